"""Kind rest: an API whose objects are read as rows."""

from __future__ import annotations

from farends.contract import Context
from farends.rest.examination import STAGES, examine_api
from farends.rest.options import RestOptions, RestSecret
from farends.rest.source import RestSource
from farends.rows.contract import RowSource
from farends.spec import ROWS, Spec, Target


def open_api(target: Target, context: Context) -> RowSource:
    """Dials at the first request. Raises AuthConfig, TlsRefused."""
    return RestSource(target, context)


SPEC = Spec(
    kind="rest",
    title="REST API",
    default_port=443,
    options=RestOptions,
    secret=RestSecret,
    open_rows=open_api,
    far_end=ROWS,
    examine=examine_api,
    stages=STAGES,
    has_entities=True,
)
