"""What one try has made of a batch, in one transaction: the log, the batch, the tail, the hour, and the next batch.

The tail's row is the fence: a delivery whose lease was taken over has an old token, moves no tail, and rolls back.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from database.rows import fetch_row
from events.writing import NewEvent, write_events_by
from outbox.batches import (
    BATCH_BYTES,
    Fixed,
    StreamFacts,
    fix,
    fix_next,
    key_of,
    payload_of,
    take_open,
)
from outbox.core.answers import Judgement, Rejected, TryEnd, TryOutcome
from outbox.core.retries import decide_wait, pause_s
from outbox.core.splitting import GROWS_EACH_S, REFUSED_ALONE_MAX, halve, keep, learn_bytes
from outbox.streams import PAUSED

WORDS_MAX = 300

_LOG = """
INSERT INTO outbox_delivery (batch_id, stream_id, seq_from, seq_to, count, token, at, took_ms, status, outcome, reason)
VALUES (%s, %s, %s, %s, %s, %s, clock_timestamp(), %s, %s, %s, %s)
"""
_TRIED = "UPDATE outbox_batch SET tries = %s, uncertain = uncertain OR %s WHERE id = %s AND state = 'open'"
_ENDED = """
UPDATE outbox_batch SET state = %s, ended_at = clock_timestamp(), tries = tries + 1 WHERE id = %s AND state = 'open'
"""
_LOG_TRIED = f"WITH tried AS ({_TRIED}) {_LOG}"  # one way to the database and back
_LOG_ENDED = f"WITH ended AS ({_ENDED}) {_LOG}"
_MOVE_TAIL = """
UPDATE outbox_streamtail
   SET done_seq = CASE WHEN %(done)s::bigint IS NULL OR EXISTS (
                           SELECT FROM outbox_batch WHERE stream_id = %(stream)s AND state = 'open'
                                   AND seq_from <= %(done)s::bigint AND id <> %(batch)s::uuid)
                       THEN done_seq ELSE %(done)s::bigint END,
       bytes = bytes + %(bytes)s,
       lease_expires_at = CASE WHEN lease_owner IS NULL THEN NULL
                               ELSE clock_timestamp() + make_interval(secs => %(lease_s)s) END,
       not_before = clock_timestamp() + make_interval(secs => %(wait_s)s), waiting_for = %(waits_for)s,
       refused_alone = coalesce(%(refused_alone)s, refused_alone),
       last_sync_at = CASE WHEN %(tried)s THEN clock_timestamp() ELSE last_sync_at END,
       last_sync_success = coalesce(%(success)s, last_sync_success),
       last_error = coalesce(%(error)s, last_error),
       last_error_at = CASE WHEN %(error)s IS NULL THEN last_error_at ELSE clock_timestamp() END
 WHERE stream_id = %(stream)s AND token = %(token)s
RETURNING done_seq
"""
_HOUR = """
INSERT INTO outbox_streamhour AS h (stream_id, hour, syncs, failed, readings, dead, rejected, split, retried, unreachable,
    paused, keys_count, keys_sum)
VALUES (%(stream)s, date_trunc('hour', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 1, %(failed)s, %(readings)s, %(dead)s,
    %(rejected)s, %(split)s, %(retried)s, %(unreachable)s, %(paused)s, 0, 0)
ON CONFLICT (stream_id, hour) DO UPDATE
   SET syncs = h.syncs + 1, failed = h.failed + excluded.failed, readings = h.readings + excluded.readings,
       dead = h.dead + excluded.dead, rejected = h.rejected + excluded.rejected, split = h.split + excluded.split,
       retried = h.retried + excluded.retried, unreachable = h.unreachable + excluded.unreachable,
       paused = h.paused + excluded.paused
"""
_BURY = """
INSERT INTO outbox_deadletter (stream_id, seq, key, payload, code, reason, maybe_delivered, batch_id, at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, clock_timestamp()) ON CONFLICT (stream_id, seq) DO NOTHING
"""
_REFUSED_ALONE = "SELECT refused_alone FROM outbox_streamtail WHERE stream_id = %s"
_PAUSE = """
UPDATE outbox_stream SET state = 'paused', reason = %s WHERE id = %s AND state = 'running' RETURNING workspace_id
"""
# What was learned doubles each hour: a client system that takes more by now is found out by one refused batch at most.
_ALLOWED = f"""
least(batch_bytes * 2.0 ^ least(floor(extract(epoch FROM now() - batch_bytes_at) / {GROWS_EACH_S}), 40), {BATCH_BYTES})::integer
"""
_LEARN = f"""
UPDATE outbox_stream SET batch_bytes = least(coalesce({_ALLOWED}, %(size)s), %(size)s), batch_bytes_at = now()
 WHERE id = %(stream)s
"""  # noqa: S608 — constants
_STREAM = f"""
SELECT id, number, name, batch_size, {_ALLOWED} AS batch_bytes
  FROM outbox_stream s
 WHERE id = %(stream)s AND state = 'running' AND client_id = %(client)s
   AND EXISTS (SELECT FROM connectors_connector c WHERE c.id = s.client_id AND c.status = 'active')
"""  # noqa: S608 — constants
# Before all else: whoever deletes the stream locks its tail first too, so that neither waits for the other for ever.
_LOCK_TAIL = "SELECT FROM outbox_streamtail WHERE stream_id = %s FOR UPDATE"
_DOUBT = "UPDATE outbox_batch SET uncertain = true WHERE id = %s AND state = 'open'"


class StreamFenced(Exception):
    """Raised when another delivery has the stream."""


@dataclass(frozen=True, slots=True)
class DeliveryTerms:
    """The terms of one delivery: the fence, and the rules that the stream goes by."""

    stream: StreamFacts  # as it was when the delivery began
    client_id: uuid.UUID
    token: int
    lease_s: float
    tries_max: int
    round_s: float
    check_s: float  # how often somebody looks whether the client system is there
    luck: Callable[[], float]  # random in [0, 1)

    @property
    def stream_id(self) -> uuid.UUID:
        return self.stream.id


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What becomes of the batch, worked out before the tail is moved."""

    state: str = "open"  # of the batch
    passed: int = 0  # readings that are delivered
    dead: int = 0
    done_bytes: int = 0  # of readings that are delivered or dead
    finished: bool = False  # nothing of the batch is left to be sent
    goes_on: bool = True  # the next batch follows at once
    wait_s: float | None = None
    waits_for: str = ""
    pauses: str = ""
    refused_alone: int | None = None
    learned_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    passed: int
    following: Fixed | None
    paused: str
    wait_s: float | None


def begin(
    session: psycopg.Connection[Any], terms: DeliveryTerms, *, took_over: bool = False
) -> Fixed | None:
    """The batch to send first, fixed and committed. None where nothing waits, or the stream does not run.

    `took_over`: the delivery before this one has not said how it ended, so what it had in hand may have
    been taken. Raises StreamFenced, BatchDamaged.
    """
    with session.transaction(), session.cursor() as cursor:
        done_seq = _move_tail(cursor, terms)
        batch = _take_next(cursor, terms, done_seq)
        if batch is not None and took_over and not batch.uncertain:
            cursor.execute(_DOUBT, [batch.id])
            batch = replace(batch, uncertain=True)
        return batch


def _take_next(cursor: psycopg.Cursor[Any], terms: DeliveryTerms, done_seq: int) -> Fixed | None:
    """None where nothing waits, or the stream is halted or goes to another client system by now."""
    cursor.execute(_STREAM, {"stream": terms.stream_id, "client": terms.client_id})
    stream = fetch_row(cursor, StreamFacts)
    if stream is None:
        return None
    return take_open(cursor, stream) or fix_next(cursor, stream, done_seq)


def settle(
    session: psycopg.Connection[Any],
    terms: DeliveryTerms,
    batch: Fixed,
    judgement: Judgement,
    took_ms: int,
) -> Settled:
    """Raises StreamFenced, and then nothing was written; the batch stays what it was."""
    # What has no answer that matters is sent along with the next statement that has: each way to the database and back
    # is time in which nothing is sent.
    with session.pipeline(), session.transaction(), session.cursor() as cursor:
        cursor.execute(_LOCK_TAIL, [terms.stream_id])
        verdict = _decide(cursor, terms, batch, judgement)
        stream = terms.stream
        entry = _make_entry(terms, batch, judgement, took_ms)
        if verdict.state == "open":
            tries = _tries_of(terms, batch, judgement)
            cursor.execute(_LOG_TRIED, [tries, judgement.uncertain, batch.id, *entry])
        else:
            cursor.execute(_LOG_ENDED, [verdict.state, batch.id, *entry])
        if verdict.learned_bytes is not None:
            cursor.execute(_LEARN, {"size": verdict.learned_bytes, "stream": stream.id})
        if verdict.pauses:
            _pause(cursor, terms, verdict.pauses)
        done_seq = _move_tail(cursor, terms, batch, verdict, judgement)
        following = None
        if verdict.goes_on and not verdict.pauses:
            following = _take_next(cursor, terms, done_seq)
        # Last, because intake counts in the same row and waits for it.
        cursor.execute(_HOUR, _count(stream, judgement, verdict))
    return Settled(verdict.passed, following, verdict.pauses, verdict.wait_s)


def _count(stream: StreamFacts, judgement: Judgement, verdict: _Verdict) -> dict[str, object]:
    ends = {end.value: int(end is end_of(judgement, verdict)) for end in TryEnd}
    failed = int(judgement.outcome not in (TryOutcome.DONE, TryOutcome.PARTLY))
    return {
        "stream": stream.id, "failed": failed, "readings": verdict.passed, "dead": verdict.dead, **ends,
    }  # fmt: skip


def end_of(judgement: Judgement, verdict: _Verdict) -> TryEnd:
    if verdict.pauses:
        return TryEnd.PAUSED
    match judgement.outcome:
        case TryOutcome.DONE:
            return TryEnd.DELIVERED
        case TryOutcome.OFFLINE:
            return TryEnd.UNREACHABLE
        case TryOutcome.LATER:
            return TryEnd.RETRIED
    return TryEnd.REJECTED if verdict.dead or verdict.state == "done" else TryEnd.SPLIT


def pause(session: psycopg.Connection[Any], terms: DeliveryTerms, reason: str) -> None:
    """For what no try can mend. Raises StreamFenced."""
    with session.transaction(), session.cursor() as cursor:
        _move_tail(cursor, terms)
        _pause(cursor, terms, reason)


def _pause(cursor: psycopg.Cursor[Any], terms: DeliveryTerms, reason: str) -> None:
    row = cursor.execute(_PAUSE, [reason[:2000], terms.stream_id]).fetchone()
    if row is None:
        return  # a person was there first
    event = NewEvent(
        event=PAUSED, workspace_id=row[0], stream_id=terms.stream_id,
        from_state="running", to_state="paused", token=terms.token, reason=reason[:2000],
    )  # fmt: skip
    write_events_by(cursor, [event])


def _decide(
    cursor: psycopg.Cursor[Any], terms: DeliveryTerms, batch: Fixed, judgement: Judgement
) -> _Verdict:
    match judgement.outcome:
        case TryOutcome.DONE:
            return _Verdict(
                "done", batch.count, done_bytes=_size(batch.lines), finished=True, refused_alone=0
            )
        case TryOutcome.PARTLY:
            return _take_apart(cursor, terms, batch, judgement)
        case TryOutcome.REFUSED | TryOutcome.TOO_LARGE:
            return _refused(cursor, terms, batch, judgement)
        case TryOutcome.PAUSE | TryOutcome.LOG_IN:
            return _Verdict(goes_on=False, pauses=judgement.reason)
        case _:
            wait = decide_wait(
                judgement, batch.tries,
                tries_max=terms.tries_max, round_s=_round_s(terms, judgement), luck=terms.luck(),
            )  # fmt: skip
            return _Verdict(
                goes_on=False, wait_s=wait.wait_s, waits_for=_waits_for(judgement),
                pauses=judgement.reason if wait.pauses else "",
            )  # fmt: skip


def _round_s(terms: DeliveryTerms, judgement: Judgement) -> float:
    """A client system that nobody has missed yet is not found back either: the wait ends with the next check."""
    offline = judgement.outcome is TryOutcome.OFFLINE
    return min(terms.round_s, terms.check_s) if offline else terms.round_s


def _tries_of(terms: DeliveryTerms, batch: Fixed, judgement: Judgement) -> int:
    if judgement.outcome is not TryOutcome.LATER:
        return batch.tries
    wait = decide_wait(judgement, batch.tries, tries_max=terms.tries_max, round_s=0, luck=0)
    return wait.tries


def _waits_for(judgement: Judgement) -> str:
    if judgement.outcome is TryOutcome.OFFLINE:
        return "the client system to be reachable again"
    if judgement.wait_s is not None:
        return f"{judgement.wait_s:.0f} s, as the client system asked ({judgement.status})"
    return f"the next try: {judgement.reason}"[:WORDS_MAX]


def _take_apart(
    cursor: psycopg.Cursor[Any], terms: DeliveryTerms, batch: Fixed, judgement: Judgement
) -> _Verdict:
    """Some readings were refused by name, the others taken. What the client system wants once more again and again
    becomes dead letters too: it would keep all others waiting for ever."""
    is_last = batch.tries + 1 >= terms.tries_max
    named = {item.key: _end_wish(item) if is_last else item for item in judgement.rejected}
    places = {key: index for index, key in enumerate(map(key_of, batch.lines)) if key in named}
    again = sorted(index for key, index in places.items() if named[key].retry)
    dead = [(index, named[key]) for key, index in places.items() if not named[key].retry]
    _bury(cursor, terms.stream, batch, dead)
    passed = batch.count - len(named)
    verdict = _Verdict(
        "done", passed, len(dead), _size(batch.lines), finished=True, refused_alone=0
    )
    if passed == 0 and len(dead) >= REFUSED_ALONE_MAX:
        verdict = replace(
            verdict, pauses=f"the client system refused all {len(dead)} readings of a batch"
        )
    if not again:
        return verdict
    _fix_parts(cursor, terms.stream, batch, [again], tries=batch.tries + 1)
    return replace(
        verdict, finished=False, goes_on=False, wait_s=pause_s(batch.tries + 1, terms.luck()),
        done_bytes=verdict.done_bytes - _size([batch.lines[index] for index in again]),
        waits_for=f"{len(again)} readings that the client system wants once more",
    )  # fmt: skip


def _end_wish(item: Rejected) -> Rejected:
    if not item.retry:
        return item
    words = f"the client system wanted it once more at each try: {item.reason}"
    return replace(item, retry=False, reason=words[:WORDS_MAX])


def _refused(
    cursor: psycopg.Cursor[Any], terms: DeliveryTerms, batch: Fixed, judgement: Judgement
) -> _Verdict:
    """Something in the batch is wrong, or it is too large: the parts are batches of their own."""
    if judgement.rejected:
        return _refused_by_name(cursor, terms, batch, judgement)
    if batch.count == 1:
        return _refused_alone(cursor, terms, batch, judgement)
    halves = [list(indexes) for indexes in _halves(batch.count)]
    _fix_parts(cursor, terms.stream, batch, halves)
    learned = None
    if judgement.outcome is TryOutcome.TOO_LARGE:
        size = len(batch.image.body)
        learned = learn_bytes(size, size)
    return _Verdict("split", learned_bytes=learned)


def _refused_by_name(
    cursor: psycopg.Cursor[Any], terms: DeliveryTerms, batch: Fixed, judgement: Judgement
) -> _Verdict:
    """The others were not taken either, and go as a batch of their own."""
    named = {item.key: item for item in judgement.rejected}
    keys = [key_of(line) for line in batch.lines]
    dead = [(index, named[key]) for index, key in enumerate(keys) if key in named]
    left = [index for index, key in enumerate(keys) if key not in named]
    _bury(cursor, terms.stream, batch, dead)
    gone = _size([batch.lines[index] for index, _ in dead])
    if left:
        _fix_parts(cursor, terms.stream, batch, [left])
        return _Verdict("split", 0, len(dead), gone)
    return _Verdict("dead", 0, len(dead), gone, finished=True)


def _refused_alone(
    cursor: psycopg.Cursor[Any], terms: DeliveryTerms, batch: Fixed, judgement: Judgement
) -> _Verdict:
    """A dead letter. So many in a row, of which none passed, show that nothing does: then the stream pauses
    before it makes dead letters of all that waits."""
    row = cursor.execute(_REFUSED_ALONE, [terms.stream.id]).fetchone()
    count = (row[0] if row else 0) + 1
    refusal = Rejected("", judgement.outcome.value, judgement.reason)
    _bury(cursor, terms.stream, batch, [(0, refusal)])
    verdict = _Verdict("dead", 0, 1, _size(batch.lines), finished=True, refused_alone=count)
    if count < REFUSED_ALONE_MAX:
        return verdict
    words = f"the client system refused {count} single readings in a row and took none: {judgement.reason}"
    return replace(verdict, pauses=words, refused_alone=0)


def _size(lines: Sequence[bytes]) -> int:
    return sum(map(len, lines))


def _halves(count: int) -> tuple[range, range]:
    return range(count // 2), range(count // 2, count)


def _fix_parts(
    cursor: psycopg.Cursor[Any],
    stream: StreamFacts,
    batch: Fixed,
    parts: Sequence[Sequence[int]],
    *,
    tries: int = 0,
) -> None:
    whole = batch.part
    chosen = list(halve(whole)) if len(parts) == 2 else [keep(whole, parts[0])]
    for part, indexes in zip(chosen, parts, strict=True):
        lines = [batch.lines[index] for index in indexes]
        fix(cursor, stream, part, lines, parent=batch.id, uncertain=batch.uncertain, tries=tries)


def _bury(
    cursor: psycopg.Cursor[Any],
    stream: StreamFacts,
    batch: Fixed,
    dead: Sequence[tuple[int, Rejected]],
) -> None:
    for index, refusal in dead:
        line = batch.lines[index]
        cursor.execute(
            _BURY,
            [
                stream.id, batch.part.sequence_of(index), key_of(line), payload_of(line),
                refusal.code[:100], refusal.reason, batch.uncertain, batch.id,
            ],
        )  # fmt: skip


def _make_entry(
    terms: DeliveryTerms, batch: Fixed, judgement: Judgement, took_ms: int
) -> list[object]:
    return [
        batch.id, terms.stream.id, batch.part.sequence_from, batch.part.sequence_to, batch.count,
        terms.token, took_ms, judgement.status, judgement.outcome.value, judgement.reason,
    ]  # fmt: skip


def _move_tail(
    cursor: psycopg.Cursor[Any],
    terms: DeliveryTerms,
    batch: Fixed | None = None,
    verdict: _Verdict | None = None,
    judgement: Judgement | None = None,
) -> int:
    """The number up to which all is done with. Raises StreamFenced."""
    done = size = error = success = refused_alone = None
    wait_s, waits_for = None, ""
    if batch is not None and verdict is not None and judgement is not None:
        if verdict.finished:
            done = batch.part.sequence_to
        size = verdict.done_bytes
        success = judgement.outcome in (TryOutcome.DONE, TryOutcome.PARTLY)
        error = None if success else judgement.reason
        refused_alone, wait_s, waits_for = verdict.refused_alone, verdict.wait_s, verdict.waits_for
    told = {
        "done": done, "batch": batch and batch.id, "bytes": size or 0, "lease_s": terms.lease_s, "wait_s": wait_s,
        "waits_for": waits_for[:WORDS_MAX], "refused_alone": refused_alone, "tried": batch is not None,
        "success": success, "error": error, "stream": terms.stream.id, "token": terms.token,
    }  # fmt: skip
    row = cursor.execute(_MOVE_TAIL, told).fetchone()
    if row is None:
        raise StreamFenced(f"another delivery has stream {terms.stream.name}")
    return int(row[0])
