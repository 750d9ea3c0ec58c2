"""The staged connection test: what works, what does not, and what to do about it.

The stages are derived from where a transport's error says it belongs: what comes before passed, what
comes after was not reached.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import islice

from farends.contract import Capabilities, Context, RemoteEntry, Seen, Skipped, Transport
from farends.dialing import Dialer
from farends.errors import ConnectionStage, TransportError, Truncated, Unstable, Vanished
from farends.measuring import describe_capabilities
from farends.reaching import of_jump_host, way_to
from farends.spec import Examine, FarEndOptions, Spec, Target
from farends.stages import StageOutcome, StageResult, judge_clock, tell_failure

ENTRIES_MAX = 20
_SET_CLOCK = "Set the host's clock (NTP): changes are told by its times."


def probe(
    spec: Spec,
    target: Target,
    context: Context,
    measured: Callable[[Capabilities], None] | None = None,
) -> list[StageResult]:
    """A result for every stage of the kind, in order. Raises only what `context.check` raises. `measured` is
    told what the host can do, where it came to that."""
    if spec.examine is not None:
        return _follow(spec.examine, spec.stages, target, context)
    passed: dict[ConnectionStage, str] = {}
    try:
        # First, because a secret that cannot be used would hide whether the host is there at all.
        passed[ConnectionStage.RESOLVE] = _look_up(target, way_to(target, context))
        if spec.greet is not None:
            passed[ConnectionStage.LOG_IN] = spec.greet(target, context)
        transport = spec.open(target, context)
    except TransportError as exc:
        return _results(spec, target, passed, _at_log_in(exc))
    try:
        failure = _read_some(transport, passed, target.options.nothing_listed)
        if measured is not None:
            measured(transport.capabilities)
        return _results(spec, target, passed, failure, transport)
    finally:
        transport.close()


def _follow(
    examine: Examine, stages: tuple[ConnectionStage, ...], target: Target, context: Context
) -> list[StageResult]:
    """The test of a kind that has no files: it says itself what it saw."""
    told: dict[ConnectionStage, StageResult] = {}
    try:
        found = _look_up(target, way_to(target, context))
        told[ConnectionStage.RESOLVE] = _passed(ConnectionStage.RESOLVE, found)
        for result in examine(target, context):
            told[result.stage] = result
    except TransportError as exc:
        exc.stage = _find_stage(stages, told, exc.stage)
        told[exc.stage] = tell_failure(exc)
    last = max(map(stages.index, told))
    return [
        told.get(stage) or (_passed(stage) if place < last else _not_reached(stage))
        for place, stage in enumerate(stages)
    ]


def _find_stage(
    stages: tuple[ConnectionStage, ...],
    told: dict[ConnectionStage, StageResult],
    claimed: ConnectionStage,
) -> ConnectionStage:
    """Where an error belongs: to the way there if it says so and that is not behind us, else to the stage that
    the test had come to."""
    log_in = stages.index(ConnectionStage.LOG_IN)
    first = max(map(stages.index, told)) + 1 if told else 0
    if claimed in stages[first : log_in + 1]:
        return claimed
    return stages[min(max(first, log_in), len(stages) - 1)]


def _passed(stage: ConnectionStage, detail: str = "") -> StageResult:
    return StageResult(stage, StageOutcome.PASSED, detail)


def _not_reached(stage: ConnectionStage) -> StageResult:
    return StageResult(stage, StageOutcome.SKIPPED, "not reached")


def _look_up(target: Target, context: Context) -> str:
    """Says where the host is and what stands before it, once the first of them has answered."""
    dialer, wait_s = context.dialer, context.patience.connect_s
    options: FarEndOptions = target.options
    jump = options.jump()
    if jump is not None and jump.host and jump.port:
        with of_jump_host(jump.host, dialer):
            at = _reach(jump.host, jump.port, dialer, wait_s)
        behind = dialer.resolve_elsewhere(target.host, target.port)[0]
        return f"{behind}, by the jump host at {at}"
    return _reach(target.host, target.port, dialer, wait_s)


def _reach(host: str, port: int, dialer: Dialer, wait_s: float) -> str:
    if dialer.proxy is None:
        found = str(dialer.resolve(host, port)[0])
    else:
        found = f"{dialer.resolve_elsewhere(host, port)[0]}, by the proxy {dialer.proxy.place}"
    dialer.dial(host, port, timeout_s=wait_s).close()
    return found


def _read_some(
    transport: Transport, passed: dict[ConnectionStage, str], nothing_listed: str
) -> TransportError | None:
    """Lists a few entries and reads a byte of the first file; None where both went well."""
    try:
        walk = iter(transport.walk())
        found = list(islice(walk, ENTRIES_MAX))
        _close(walk)
    except TransportError as exc:
        if exc.stage is ConnectionStage.READ:
            exc.stage = ConnectionStage.LIST
        return exc
    files = [item for item in found if isinstance(item, RemoteEntry)]
    passed[ConnectionStage.LIST] = _listing(found, len(files)) if found else nothing_listed
    if not files:
        passed[ConnectionStage.READ] = ""
        return None
    try:
        _read_byte(transport, files[0])
    except TransportError as exc:
        exc.stage = ConnectionStage.READ
        return exc
    passed[ConnectionStage.READ] = f"read from {files[0].path!r}"
    return None


class _Enough(Exception):
    """The byte that was wanted has come: ends the fetch, with the rest of the file unread."""


class _OneByte:
    """A sink, and the receiver of the one file that it is for: takes a byte and ends the fetch.
    `held` is the file's first byte, where the probe asks for a part of the file."""

    def __init__(self, held: bytes = b"") -> None:
        self._held = held
        self.came = b""

    @property
    def offset(self) -> int:
        return len(self._held)

    def receive(self, entry: RemoteEntry) -> _OneByte:
        return self

    def prefix_sha256(self) -> bytes:
        return hashlib.sha256(self._held).digest()

    def rewind(self) -> None:
        self._held = b""

    def write(self, data: bytes | memoryview) -> None:
        self.came = bytes(data[:1])
        if self.came:
            raise _Enough

    def finish(self) -> object:
        return None  # of an empty file

    def abandon(self) -> None:
        """There is nothing to give back."""


def _read_byte(transport: Transport, entry: RemoteEntry) -> None:
    """Reads the first byte. Where the host says that a part of a file can be asked for, and might prove
    that the part is of this file, it is asked for the part after that byte."""
    sink = _OneByte()
    # A file that grows beside the test is no failure of the host: its size is not held to the listing.
    _fetch_one(transport, replace(entry, size_bytes=None), sink)
    told = transport.capabilities
    if told.ranges_tried or not told.proves_parts or not sink.came or (entry.size_bytes or 0) < 2:
        return
    try:
        _fetch_one(transport, entry, _OneByte(sink.came))
    except (Unstable, Truncated, Vanished):
        return  # the file changed beside the test: of the host this says nothing


def _fetch_one(transport: Transport, entry: RemoteEntry, sink: _OneByte) -> None:
    fetch = transport.fetch([entry], sink)
    try:
        for answer in fetch:
            if answer.error is not None:
                raise answer.error
    except _Enough:
        return
    finally:
        _close(fetch)


def _close(walk: object) -> None:
    close: Callable[[], None] | None = getattr(walk, "close", None)
    if close is not None:
        close()


def _listing(found: list[Seen], files: int) -> str:
    more = " or more" if len(found) == ENTRIES_MAX else ""
    skipped = [item for item in found if isinstance(item, Skipped)]
    detail = f"{files}{more} files"
    if skipped:
        detail += f"; {len(skipped)} will be skipped, the first: {skipped[0].path!r}"
        detail += f" ({skipped[0].reason})"
    return detail


def _at_log_in(error: TransportError) -> TransportError:
    """An error of `Spec.open` belongs to the log-in at the latest."""
    stages = list(ConnectionStage)
    if stages.index(error.stage) > stages.index(ConnectionStage.LOG_IN):
        error.stage = ConnectionStage.LOG_IN
    return error


def _results(
    spec: Spec,
    target: Target,
    passed: dict[ConnectionStage, str],
    failure: TransportError | None,
    transport: Transport | None = None,
) -> list[StageResult]:
    results = []
    reached = True
    if (
        failure is not None
        and failure.stage is ConnectionStage.IDENTITY
        and ConnectionStage.TLS in spec.stages
    ):
        failure.stage = ConnectionStage.TLS
    for stage in spec.stages:
        if failure is not None and stage is failure.stage:
            results.append(tell_failure(failure))
            reached = False
        elif not reached or (
            transport is None and stage in (ConnectionStage.CLOCK, ConnectionStage.FEATURES)
        ):
            results.append(_not_reached(stage))
        elif stage is ConnectionStage.TLS and getattr(target.options, "scheme", "") == "http":
            results.append(
                StageResult(stage, StageOutcome.SKIPPED, "no TLS: the secret travels in the clear")
            )
        elif stage is ConnectionStage.READ and not passed.get(ConnectionStage.READ):
            results.append(StageResult(stage, StageOutcome.SKIPPED, "there is no file to read"))
        elif stage is ConnectionStage.CLOCK and transport is not None:
            results.append(judge_clock(transport.capabilities.clock_skew_s, _SET_CLOCK))
        elif stage is ConnectionStage.FEATURES and transport is not None:
            results.append(_features(transport))
        else:
            results.append(_passed(stage, passed.get(stage, "")))
    return results


def _features(transport: Transport) -> StageResult:
    words = (
        f"{title.lower()}: {said}" for title, said in describe_capabilities(transport.capabilities)
    )
    return StageResult(ConnectionStage.FEATURES, StageOutcome.PASSED, "; ".join(words))
