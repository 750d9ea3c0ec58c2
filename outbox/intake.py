"""Takes readings in: all of a bulk or nothing, committed before anybody is told so.

The lock of a stream's head makes the order of the numbers the order of the commits, so that delivery, which reads
behind a number, never passes one that is committed later. What costs time is done before that lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import psycopg
from django.db import connection, transaction

from database.rows import fetch_row
from outbox.core.images import KEYS_SUM_MODULUS, sum_of_keys
from outbox.core.readings import Bulk, cut_into_segments, encode_bulk, first_of_each
from outbox.core.segments import pack_lines
from outbox.models import SLOTS, Stream

SEGMENT_BYTES = 1 << 20
FULL_WAIT_S = 30  # what a full queue tells senders
RING_LOCK = 7_201_002  # shared by intake, exclusive for whoever turns the ring

_BETWEEN = "\x1e"  # no key holds it: it is not printable
_LOOK = """
SELECT coalesce((SELECT slot FROM outbox_ring), 0) AS slot, coalesce((SELECT oldest FROM outbox_ring), 0) AS oldest, head.next_seq,
       tail.done_seq, stream.batch_size, stream.batch_bytes, stream.max_queued
  FROM outbox_stream stream
  JOIN outbox_streamhead head ON head.stream_id = stream.id
  JOIN outbox_streamtail tail ON tail.stream_id = stream.id
 WHERE stream.id = %s FOR UPDATE OF head
"""
# LIMIT within LATERAL: one look into the index for each key, whatever the planner expects. Slots that hold nothing
# are left out by name, because each one that is looked into costs as much again.
_KEEP_KEYS = """
WITH came AS (
    SELECT key, crc, place
      FROM unnest(string_to_array(%(keys)s, chr(30)), string_to_array(%(crcs)s, ',')::int[])
           WITH ORDINALITY t (key, crc, place)),
fresh AS MATERIALIZED (
    SELECT key, crc, place, row_number() OVER (ORDER BY place) AS nth
      FROM came
      LEFT JOIN LATERAL (SELECT true AS is_known FROM outbox_reading_key known
                          WHERE known.stream = %(stream)s AND known.key = came.key AND known.slot IN ({slots})
                          LIMIT 1) k ON true
     WHERE is_known IS NULL),
kept AS (
    INSERT INTO outbox_reading_key_{slot} (stream, key, seq, crc, slot)
    SELECT %(stream)s, key, %(next)s + nth - 1, crc, {slot} FROM fresh)
SELECT CASE WHEN count(*) = %(count)s THEN 'all' ELSE coalesce(string_agg(place::text, ',' ORDER BY place), '') END
  FROM fresh
"""
_COUNT_CONFLICTS = """
SELECT count(*)
  FROM unnest(string_to_array(%(keys)s, chr(30)), string_to_array(%(crcs)s, ',')::int[]) came (key, crc)
  JOIN LATERAL (SELECT crc FROM outbox_reading_key known
                 WHERE known.stream = %(stream)s AND known.key = came.key AND known.slot IN ({slots}) LIMIT 1) known
    ON known.crc <> came.crc
"""
_KEEP_SEGMENT = """
INSERT INTO outbox_segment (stream, seq_from, seq_to, bytes, slot, body) VALUES (%s, %s, %s, %s, %s, %b)
"""
_MOVE_HEAD = "UPDATE outbox_streamhead SET next_seq = %s, bytes = bytes + %s WHERE stream_id = %s"
_COUNT_HOUR = f"""
INSERT INTO outbox_streamhour AS h (stream_id, hour, syncs, failed, readings, dead, rejected, split, retried, unreachable,
    paused, keys_count, keys_sum)
VALUES (%s, date_trunc('hour', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 0, 0, 0, 0, 0, 0, 0, 0, 0, %s, %s)
ON CONFLICT (stream_id, hour) DO UPDATE
   SET keys_count = h.keys_count + excluded.keys_count,
       keys_sum = (h.keys_sum + excluded.keys_sum) %% {KEYS_SUM_MODULUS}
"""  # noqa: S608 — a constant
_MOVE_AND_COUNT = f"WITH moved AS ({_MOVE_HEAD}) {_COUNT_HOUR}"  # one way to the database and back
_KEEP_ONE = f"WITH kept AS ({_KEEP_SEGMENT}), moved AS ({_MOVE_HEAD}) {_COUNT_HOUR}"


class QueueFull(Exception):
    """The stream holds as many readings as it may; `wait_s` is when to try again."""

    def __init__(self, queued: int, most: int) -> None:
        super().__init__(
            f"{queued} readings wait of {most} (max_queued): send these again in {FULL_WAIT_S} s"
        )
        self.wait_s = FULL_WAIT_S


class StreamGone(Exception):
    """Somebody has deleted the stream."""


@dataclass(frozen=True, slots=True)
class BulkResult:
    accepted: int
    duplicates: int
    conflicts: int  # duplicates of which the first had another payload


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a stream's next readings go, while its head is locked."""

    slot: int
    oldest: int  # slot of the ring that holds anything
    next_seq: int
    done_seq: int
    batch_size: int
    batch_bytes: int | None
    max_queued: int


@dataclass(frozen=True, slots=True)
class _Packed:
    """Readings as they are kept: for each segment how many, the bytes of its lines, and its body."""

    segments: list[tuple[int, int, bytes]]
    keys_sum: int


def _pack(bulk: Bulk, batch_size: int, batch_bytes: int | None) -> _Packed:
    cut = cut_into_segments(bulk.lines, batch_size, batch_bytes or SEGMENT_BYTES)
    segments = [(len(lines), sum(map(len, lines)), pack_lines(lines)) for lines in cut]
    return _Packed(segments, sum_of_keys(bulk.keys))


def take(stream: Stream, readings: object, *, within: bool = False) -> BulkResult:
    """Raises ReadingsRefused, QueueFull, StreamGone; then nothing was taken.

    `within`: the caller's transaction commits them, and nobody is told before. Else the call commits them itself,
    and may not be made within a transaction.
    """
    return take_bulk(stream, encode_bulk(readings), within=within)


def take_bulk(stream: Stream, bulk: Bulk, *, within: bool = False) -> BulkResult:
    """As `take`, of readings that were looked at. Raises QueueFull, StreamGone."""
    distinct = first_of_each(bulk)
    # Nearly always all are new: then nothing is left to be done behind the lock but to write.
    packed = _pack(distinct, stream.batch_size, stream.batch_bytes)
    with transaction.atomic(durable=not within), _cursor() as cursor:
        fresh, conflicts = _take(cursor, stream, distinct, packed)
    return BulkResult(fresh, len(bulk) - fresh, conflicts)


def hold_head(stream: Stream) -> None:
    """Nobody else takes readings for it, and it stays, until the caller's transaction ends. Raises StreamGone."""
    with _cursor() as cursor:
        _lock_head(cursor, stream)


def keep_again(stream: Stream, bulk: Bulk) -> None:
    """Puts readings in the queue whose keys are known already: under new numbers, in the caller's transaction."""
    packed = _pack(bulk, stream.batch_size, stream.batch_bytes)
    with _cursor() as cursor:
        _keep(cursor, stream, _lock_head(cursor, stream), packed, counted=0)


def _cursor() -> psycopg.Cursor[Any]:
    """Parameters travel beside the statement: bytes are not written out as text."""
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def _lock_head(cursor: psycopg.Cursor[Any], stream: Stream) -> _Place:
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [RING_LOCK])
    cursor.execute(_LOOK, [stream.pk])
    place = fetch_row(cursor, _Place)
    if place is None:
        raise StreamGone(f"stream {stream.name} does not exist any more")
    return place


def _take(
    cursor: psycopg.Cursor[Any], stream: Stream, bulk: Bulk, packed: _Packed
) -> tuple[int, int]:
    """How many are new, and how many old ones differ."""
    told: dict[str, Any] = {
        "keys": _BETWEEN.join(bulk.keys),
        "crcs": ",".join(map(str, bulk.crcs)),
        "count": len(bulk),
        "stream": stream.number,
    }
    place = _lock_head(cursor, stream)
    told["next"] = place.next_seq
    keep_keys, count_conflicts = _statements(place.slot, place.oldest)
    (places,) = cursor.execute(keep_keys, told).fetchone() or ("",)
    fresh = bulk if places == "all" else bulk.choose(int(at) - 1 for at in places.split(",") if at)
    queued = place.next_seq - 1 - place.done_seq
    if len(fresh) and queued + len(fresh) > place.max_queued:
        raise QueueFull(queued, place.max_queued)
    if len(fresh):
        if fresh is not bulk:
            packed = _pack(fresh, place.batch_size, place.batch_bytes)
        _keep(cursor, stream, place, packed, counted=len(fresh))
    conflicts = 0
    if len(fresh) < len(bulk):
        (conflicts,) = cursor.execute(count_conflicts, told).fetchone() or (0,)
    return len(fresh), int(conflicts)


@lru_cache(maxsize=SLOTS * SLOTS)
def _statements(slot: int, oldest: int) -> tuple[bytes, bytes]:
    """What keeps keys and what counts conflicts, while these slots of the ring are in use."""
    used = ", ".join(str((oldest + n) % SLOTS) for n in range((slot - oldest) % SLOTS + 1))
    keep = _KEEP_KEYS.format(slots=used, slot=slot)
    return keep.encode(), _COUNT_CONFLICTS.format(slots=used).encode()


def _keep(
    cursor: psycopg.Cursor[Any], stream: Stream, place: _Place, packed: _Packed, *, counted: int
) -> None:
    """`counted`: readings that count for the hour in which they came."""
    first = place.next_seq
    rows: list[tuple[Any, ...]] = []
    for count, text_bytes, body in packed.segments:
        last = first + count - 1
        rows.append((stream.number, first, last, text_bytes + count - 1, place.slot, body))
        first = last + 1
    moved = (first, sum(text_bytes for _, text_bytes, _ in packed.segments), stream.pk)
    hour = (stream.pk, counted, packed.keys_sum if counted else 0)
    if len(rows) == 1:
        cursor.execute(_KEEP_ONE, [*rows[0], *moved, *hour])
    else:
        cursor.executemany(_KEEP_SEGMENT, rows)
        cursor.execute(_MOVE_AND_COUNT, [*moved, *hour])
