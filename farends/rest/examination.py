"""The connection test of an API: its log-in, its first entity, its clock."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from farends.contract import Context
from farends.errors import AuthRefused, ConnectionStage, PermissionRefused, TransportError
from farends.rest.options import RestOptions
from farends.rest.source import RestSource
from farends.spec import Target
from farends.stages import StageOutcome, StageResult, judge_clock, tell_failure

STAGES = (
    ConnectionStage.RESOLVE,
    ConnectionStage.CONNECT,
    ConnectionStage.IDENTITY,
    ConnectionStage.LOG_IN,
    ConnectionStage.LIST,
    ConnectionStage.READ,
    ConnectionStage.CLOCK,
)
_SET_CLOCK = "Set the host's clock (NTP), or this machine's: Retry-After and certificates go by it."


def examine_api(target: Target, context: Context) -> Iterator[StageResult]:
    options: RestOptions = target.options
    with closing(RestSource(target, context)) as source:
        if options.scheme == "http":
            yield _skipped(ConnectionStage.IDENTITY, "no TLS: the secret travels in the clear")
        source.api.log_in()
        name = min(target.entities, default=None)
        if name is None:
            yield from _look_at_host(source, options)
        else:
            yield from _look_at_entity(source, name, options)
        yield judge_clock(source.skew_s, _SET_CLOCK)


def _look_at_host(source: RestSource, options: RestOptions) -> Iterator[StageResult]:
    """Nobody has said yet what there is to read: any answer shows that the API is there."""
    try:
        source.note(source.api.get(f"{options.base}/"))
    except (AuthRefused, PermissionRefused) as exc:
        yield _at_log_in(exc)
        return
    except TransportError as exc:
        if exc.retryable:
            raise
    yield _passed(ConnectionStage.LOG_IN, _tell_log_in(options))
    yield _skipped(ConnectionStage.LIST, "the connector names no entities yet")
    yield _skipped(ConnectionStage.READ, "the connector names no entities yet")


def _look_at_entity(source: RestSource, name: str, options: RestOptions) -> Iterator[StageResult]:
    try:
        found = source.describe({"name": name})
    except AuthRefused as exc:
        yield _at_log_in(exc)
        return
    except TransportError as exc:
        yield _passed(ConnectionStage.LOG_IN, _tell_log_in(options))
        exc.stage = ConnectionStage.LIST
        raise
    yield _passed(ConnectionStage.LOG_IN, _tell_log_in(options))
    yield _passed(ConnectionStage.LIST, f"the first of the entities, {name}, is there")
    columns = len(found.columns)
    key = (
        f", and the key is {', '.join(found.key)}"
        if found.key
        else ", and nothing looks like a key"
    )
    yield _passed(
        ConnectionStage.READ,
        f"its objects have {columns} names{key}" if columns else "it has no objects",
    )


def _tell_log_in(options: RestOptions) -> str:
    return "the API asks for no log-in" if options.auth == "none" else "the API takes the log-in"


def _at_log_in(error: TransportError) -> StageResult:
    error.stage = ConnectionStage.LOG_IN
    return tell_failure(error)


def _passed(stage: ConnectionStage, detail: str) -> StageResult:
    return StageResult(stage, StageOutcome.PASSED, detail)


def _skipped(stage: ConnectionStage, detail: str) -> StageResult:
    return StageResult(stage, StageOutcome.SKIPPED, detail)
