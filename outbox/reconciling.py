"""Compares, hour by hour, what was delivered with what the client system says it has, and sends again what it lacks.

An hour is a count and the sum of the keys' hashes. The client system counts a reading in the hour in which it took
it, which may be a later one. So hours that differ are added up in order of time: where the sums meet, nothing is
missing in any of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import structlog
from django.db import connection, transaction

from connectors.opening import make_context, make_target
from database.rows import fetch_rows
from farends.client.system import AnswerCut, ClientReply, ClientSystem
from farends.errors import TransportError
from farends.masking import make_target_mask
from outbox.batches import key_of
from outbox.core.images import key_hash
from outbox.core.readings import BULK_MAX, Bulk
from outbox.core.reconciling import HourDigest, add_up, find_differing_hours, read_digests, subtract
from outbox.core.segments import unpack_lines
from outbox.figures import read_status
from outbox.intake import keep_again
from outbox.models import Stream
from timing.clock import database_now

log = structlog.get_logger(__name__)

DAYS = 7  # so long readings are kept at least

_HOURS = """
SELECT hour, keys_count::bigint AS count, keys_sum FROM outbox_streamhour
 WHERE stream_id = %s AND hour >= date_trunc('hour', %s::timestamptz AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'
   AND hour < %s AND keys_count > 0 ORDER BY hour
"""
# A dead letter stands in the hour in which its key came first, whatever number it has by now.
_DEAD = """
SELECT d.key, date_trunc('hour', g.at AT TIME ZONE 'UTC') AT TIME ZONE 'UTC' AS hour
  FROM outbox_deadletter d
  JOIN LATERAL (SELECT seq FROM outbox_reading_key k WHERE k.stream = %(number)s AND k.key = d.key
                 ORDER BY seq LIMIT 1) k ON true
  JOIN LATERAL (SELECT at FROM outbox_segment g WHERE g.stream = %(number)s AND g.seq_to >= k.seq
                 ORDER BY g.seq_to LIMIT 1) g ON true
 WHERE d.stream_id = %(stream)s AND d.redriven_at IS NULL
"""
_FIRST_UNSENT = """
SELECT g.at FROM outbox_segment g JOIN outbox_streamtail t ON t.stream_id = %(stream)s
 WHERE g.stream = %(number)s AND g.seq_to > t.done_seq ORDER BY g.seq_to LIMIT 1
"""
_SEGMENTS = """
SELECT seq_from, body FROM outbox_segment
 WHERE stream = %s AND at >= %s AND at < %s AND seq_to > %s ORDER BY seq_to LIMIT 20
"""
_SEQUENCES = """
SELECT key, min(seq) FROM outbox_reading_key
 WHERE stream = %s AND key = ANY(string_to_array(%s, chr(30))) GROUP BY key
"""
_HOUR = timedelta(hours=1)


class NoDigests(Exception):
    """The client system does not tell what it holds; the words say what to do."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    hours: int  # that were compared
    differing: int
    resent: int  # readings that are in the queue again, in new batches


@dataclass(frozen=True, slots=True)
class _DeadKey:
    key: str
    hour: datetime


def window_of(since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    """Without `since` seven days, without `until` up to now."""
    until = until or database_now() + _HOUR
    earliest = datetime.min.replace(tzinfo=UTC) + timedelta(days=DAYS)
    return since or max(until, earliest) - timedelta(days=DAYS), until


def read_hours(
    stream: Stream, since: datetime | None = None, until: datetime | None = None
) -> list[HourDigest]:
    """By the hour in which readings came."""
    with connection.cursor() as cursor:
        cursor.execute(_HOURS, [stream.pk, *window_of(since, until)])
        rows = fetch_rows(cursor, HourDigest)
    return [replace(row, keys_sum=int(row.keys_sum)) for row in rows]


def reconcile(
    stream: Stream, since: datetime | None = None, until: datetime | None = None
) -> Reconciled:
    """Raises NoDigests, TransportError. Hours of which readings still wait are left for the next time."""
    since, until = window_of(since, until)
    before = read_hours(stream, since, until)
    theirs = _ask_digests(stream, since, until)
    # What came in while the client system was asked, it cannot have told of.
    steady = [hour for hour in read_hours(stream, since, until) if hour in before]
    ours = _leave_waiting_out(stream, steady)
    dead = _dead_keys(stream)
    expected = [subtract(hour, map(key_hash, dead.get(hour.hour, ()))) for hour in ours]
    differing = find_differing_hours(expected, theirs)
    resent = 0
    for hour in differing:
        told = theirs.get(hour.hour, HourDigest(hour.hour, 0, 0))
        resent += _send_again(stream, hour, told, frozenset(dead.get(hour.hour, ())))
    result = Reconciled(len(ours), len(differing), resent)
    log.info("stream.reconciled", stream=stream.name, hours=result.hours, resent=resent)
    return result


def _ask_digests(stream: Stream, since: datetime, until: datetime) -> Mapping[datetime, HourDigest]:
    if not make_target(stream.client).options.path_digest:
        raise NoDigests(
            f"connector {stream.client.name} has no paths.digest: the client system does not tell what it holds"
        )
    query = urlencode(
        {"stream": stream.name, "since": since.isoformat(), "until": until.isoformat()}
    )
    target = make_target(stream.client)
    try:
        with closing(ClientSystem(target, make_context(lambda: None))) as system:
            reply: ClientReply = system.digest(query)
    except AnswerCut as exc:
        raise exc.error from exc
    except TransportError as exc:
        mask = make_target_mask(target)
        raise type(exc)(str(exc) if mask is None else mask(str(exc))) from exc
    if reply.status != 200:
        raise NoDigests(f"the client system answered {reply.status} at paths.digest")
    try:
        told = read_digests(reply.said)
    except ValueError as exc:
        raise NoDigests(f"the client system's digests cannot be read: {exc}") from None
    return {hour: digest for hour, digest in told.items() if since - _HOUR < hour < until}


def _leave_waiting_out(stream: Stream, hours: Sequence[HourDigest]) -> list[HourDigest]:
    with connection.cursor() as cursor:
        cursor.execute(_FIRST_UNSENT, {"stream": stream.pk, "number": stream.number})
        row = cursor.fetchone()
    return [hour for hour in hours if row is None or hour.hour + _HOUR <= row[0]]


def _dead_keys(stream: Stream) -> dict[datetime, set[str]]:
    if not read_status(stream).dead_letters:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_DEAD, {"stream": stream.pk, "number": stream.number})
        found: dict[datetime, set[str]] = {}
        for row in fetch_rows(cursor, _DeadKey):
            found.setdefault(row.hour, set()).add(row.key)
    return found


def _send_again(stream: Stream, ours: HourDigest, theirs: HourDigest, dead: frozenset[str]) -> int:
    """One missing reading is told by the sums. Else all of the hour goes again: the client system takes a key
    once."""
    wanted = add_up(ours, theirs, sign=-1)
    only = wanted.keys_sum if wanted.count == 1 else None
    count = 0
    for bulk in _bulks_of(stream, ours.hour, dead, only):
        with transaction.atomic():
            keep_again(stream, bulk)
        count += len(bulk)
    if count == 0 and only is not None:
        return _send_again(stream, ours, HourDigest(ours.hour, 0, 0), dead)
    return count


def _bulks_of(
    stream: Stream, hour: datetime, dead: frozenset[str], only: int | None
) -> Iterator[Bulk]:
    wanted = (
        (key, line)
        for key, line in _readings_of(stream, hour)
        if key not in dead and (only is None or key_hash(key) == only)
    )
    while chosen := list(islice(wanted, BULK_MAX)):
        yield Bulk([key for key, _ in chosen], [line for _, line in chosen])


def _readings_of(stream: Stream, hour: datetime) -> Iterator[tuple[str, bytes]]:
    """Keys and lines of readings that came first in this hour: what was sent again since stands under other
    numbers."""
    # Up to here: what is put into the queue again meanwhile comes behind it.
    after, until = 0, min(hour + _HOUR, database_now())
    while True:
        with connection.cursor() as cursor:
            cursor.execute(_SEGMENTS, [stream.number, hour, until, after])
            segments: list[Any] = cursor.fetchall()
        if not segments:
            return
        for seq_from, body in segments:
            lines = unpack_lines(body)
            keys = list(map(key_of, lines))
            first = _first_numbers(stream, keys)
            for number, (key, line) in enumerate(zip(keys, lines, strict=True), start=seq_from):
                if first.get(key, number) == number:
                    yield key, line
            after = seq_from + len(lines) - 1


def _first_numbers(stream: Stream, keys: Sequence[str]) -> dict[str, int]:
    with connection.cursor() as cursor:
        cursor.execute(_SEQUENCES, [stream.number, "\x1e".join(keys)])
        return dict(cursor.fetchall())
