"""Which kind of far end needs which kind of work. The attempt, and whoever saves a job, ask here."""

from __future__ import annotations

from connectors.models import Connector
from farends.registry import SPECS, get_spec
from farends.spec import FILES, ROWS
from syncjobs.works.contract import Work
from syncjobs.works.files.work import FileWork
from syncjobs.works.rows.work import RowWork

WORKS: dict[str, Work] = {FILES: FileWork(), ROWS: RowWork()}  # by `Spec.far_end`


class NoWork(LookupError):
    """No kind of work syncs from this kind of connector."""


def has_work(far_end: str) -> bool:
    """Whether jobs can sync from such a far end, as its kind's Spec names it."""
    return far_end in WORKS


def kinds_with_work() -> list[str]:
    """Kinds of connectors that jobs can sync from."""
    return [kind for kind, spec in SPECS.items() if has_work(spec.far_end)]


def get_work(connector: Connector | None) -> Work:
    """Returns the work of who syncs from a connector; None: from the files of a dataset. Raises UnknownKind and
    NoWork."""
    far_end = ROWS if connector is None else get_spec(connector.kind).far_end
    try:
        return WORKS[far_end]
    except KeyError:
        source = "a dataset" if connector is None else f"a connector of kind {connector.kind}"
        raise NoWork(f"no job can sync from {source}") from None
