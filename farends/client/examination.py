"""The connection test of a client system: what can be seen of it without a reading."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from http import HTTPStatus

from farends.client.options import ClientOptions
from farends.client.system import AnswerCut, ClientReply, ClientSystem
from farends.contract import Context
from farends.errors import AuthRefused, ConnectionStage
from farends.spec import Target
from farends.stages import StageOutcome, StageResult, judge_clock, tell_failure
from farends.web.dates import epoch_s

STAGES = (
    ConnectionStage.RESOLVE,
    ConnectionStage.CONNECT,
    ConnectionStage.IDENTITY,
    ConnectionStage.LOG_IN,
    ConnectionStage.UPLOAD,
    ConnectionStage.CLOCK,
)

_NO_PATH = frozenset({404, 410})
_NO_METHOD = frozenset({405, 501})
_REFUSED = frozenset({401, 403})
_LOOK_AT_LOG = "Look at the client system's own log, and try again."
_DO_NOT_REDIRECT = (
    "Set host, options.base or the path to where it leads: a redirect is never followed, because the key"
    " would go along."
)
_SET_CLOCK = (
    "Set the client system's clock (NTP), or this machine's: Retry-After and certificates go by it."
)


def examine(target: Target, context: Context) -> Iterator[StageResult]:
    options: ClientOptions = target.options
    with closing(ClientSystem(target, context)) as system:
        try:
            shown = _show_key(system, options)
            if not options.tls:
                yield _skipped(ConnectionStage.IDENTITY, "no TLS: the key travels in the clear")
            yield shown
            if shown.outcome is StageOutcome.FAILED:
                return
            asked_at = time.time()
            reply = system.look_at_batches()
            answered_at = time.time()
        except AnswerCut as exc:
            raise exc.error from exc
        yield _judge_upload(reply, options)
        yield judge_clock(_find_skew_s(reply, (asked_at + answered_at) / 2), _SET_CLOCK)


def _show_key(system: ClientSystem, options: ClientOptions) -> StageResult:
    stage, path = ConnectionStage.LOG_IN, options.base + options.path_auth
    try:
        status = system.check_key().status
    except AuthRefused as exc:
        return tell_failure(exc)
    if 200 <= status < 300:
        how = "the answer holds a token" if system.logs_in else "the key is taken"
        return StageResult(stage, StageOutcome.PASSED, f"POST {path}: {status}, {how}")
    said = f"POST {path}: {_name(status)}"
    if status in _REFUSED:
        return tell_failure(AuthRefused(f"{said}: the client system does not take the key"))
    if status in _NO_PATH | _NO_METHOD:
        return _skipped(
            stage, f"{said}: there is no path to show the key to; the first batch will tell"
        )
    return _failed(stage, said, _advise(status))


def _judge_upload(reply: ClientReply, options: ClientOptions) -> StageResult:
    """What the answer to OPTIONS says of POST. Nothing was sent that has an effect."""
    stage, status = ConnectionStage.UPLOAD, reply.status
    path = options.base + options.path_batch
    said = f"OPTIONS {path}: {_name(status)}"
    if 200 <= status < 300 or status in _NO_METHOD:
        return _judge_methods(reply, said, path)
    if status in _NO_PATH:
        advice = "Check options.base and options.paths.batch."
        return _failed(stage, f"{said}: the client system has no such path", advice)
    if status in _REFUSED:
        refused = AuthRefused(f"{said}: the key may not be used here", stage=stage)
        return tell_failure(refused)
    if 400 <= status < 500:
        return _skipped(stage, f"{said}: this says nothing of POST")
    return _failed(stage, said, _advise(status))


def _judge_methods(reply: ClientReply, said: str, path: str) -> StageResult:
    stage = ConnectionStage.UPLOAD
    methods = {name.strip().upper() for name in reply.fields.get("allow", "").split(",")} - {""}
    if "POST" in methods:
        return StageResult(stage, StageOutcome.PASSED, f"{said}: it takes POST")
    if methods:
        advice = "Check options.paths.batch: readings are sent by POST."
        return _failed(
            stage, f"{said}: it takes {', '.join(sorted(methods))}, and not POST", advice
        )
    if reply.status in _NO_METHOD:
        return _skipped(
            stage,
            f"{said}: the path does not answer OPTIONS, so whether it takes POST is not known",
        )
    return StageResult(stage, StageOutcome.PASSED, f"{said}: the path is there")


def _find_skew_s(reply: ClientReply, at: float) -> float | None:
    """Date has a precision of 1 s and was cut: half of that is added."""
    told = epoch_s(reply.fields.get("date"))
    return None if told is None else round(told + 0.5 - at, 1)


def _advise(status: int) -> str:
    return _DO_NOT_REDIRECT if 300 <= status < 400 else _LOOK_AT_LOG


def _name(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _skipped(stage: ConnectionStage, detail: str) -> StageResult:
    return StageResult(stage, StageOutcome.SKIPPED, detail)


def _failed(stage: ConnectionStage, detail: str, advice: str) -> StageResult:
    return StageResult(stage, StageOutcome.FAILED, detail, advice, "protocol")
