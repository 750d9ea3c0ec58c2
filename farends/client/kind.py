"""Kind client: what takes readings. It holds no files, so nothing is synced from it."""

from __future__ import annotations

from contextlib import closing

from farends.client.examination import STAGES, examine
from farends.client.options import ClientOptions, ClientSecret
from farends.client.system import AnswerCut, ClientSystem
from farends.contract import Context
from farends.errors import Unreachable
from farends.spec import PUSH, Spec, Target


def _reach(target: Target, context: Context) -> None:
    """Any answer below 500 means that the client system is there."""
    with closing(ClientSystem(target, context)) as system:
        try:
            status = system.health().status
        except AnswerCut as exc:
            raise exc.error from exc
    if status >= 500:
        raise Unreachable(f"the client system answered {status}")


SPEC = Spec(
    kind="client",
    title="Client system",
    default_port=443,
    options=ClientOptions,
    secret=ClientSecret,
    far_end=PUSH,
    reach=_reach,
    examine=examine,
    stages=STAGES,
)
