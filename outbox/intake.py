"""Takes readings in: all of a bulk or nothing, committed before anybody is told so.

The lock of a stream's head makes the order of the numbers the order of the commits, so that delivery, which reads
behind a number, never passes one that is committed later. What costs time is done before that lock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import connection, transaction

from outbox.core.images import KEYS_SUM_MODULUS, key_hash
from outbox.core.readings import ReadingLine, cut_into_segments, encode_bulk, first_of_each
from outbox.models import Stream

SEGMENT_BYTES = 1 << 20
FULL_WAIT_S = 30  # what a full queue tells senders
RING_LOCK = 7_201_002  # shared by intake, exclusive for whoever turns the ring

_BETWEEN = "\x1e"  # no key holds it: it is not printable
_LOOK = """
SELECT coalesce((SELECT slot FROM outbox_ring), 0), head.next_seq, tail.done_seq, stream.batch_size, stream.batch_bytes, stream.max_queued
  FROM outbox_stream stream
  JOIN outbox_streamhead head ON head.stream_id = stream.id
  JOIN outbox_streamtail tail ON tail.stream_id = stream.id
 WHERE stream.id = %s FOR UPDATE OF head
"""
# LIMIT within LATERAL: one look into the index for each key, whatever the planner expects of the slots.
_KEEP_KEYS = """
WITH came AS (
    SELECT key, crc, place
      FROM unnest(string_to_array(%(keys)s, chr(30)), string_to_array(%(crcs)s, ',')::int[])
           WITH ORDINALITY t (key, crc, place)),
fresh AS MATERIALIZED (
    SELECT key, crc, place, row_number() OVER (ORDER BY place) AS nth
      FROM came
      LEFT JOIN LATERAL (SELECT true AS is_known FROM outbox_reading_key known
                          WHERE known.stream = %(stream)s AND known.key = came.key LIMIT 1) k ON true
     WHERE is_known IS NULL),
kept AS (
    INSERT INTO outbox_reading_key (stream, key, seq, crc, slot)
    SELECT %(stream)s, key, %(next)s + nth - 1, crc, %(slot)s FROM fresh)
SELECT coalesce(string_agg(place::text, ',' ORDER BY place), '') FROM fresh
"""
_COUNT_CONFLICTS = """
SELECT count(*)
  FROM unnest(string_to_array(%(keys)s, chr(30)), string_to_array(%(crcs)s, ',')::int[]) came (key, crc)
  JOIN LATERAL (SELECT crc FROM outbox_reading_key known
                 WHERE known.stream = %(stream)s AND known.key = came.key LIMIT 1) known
    ON known.crc <> came.crc
"""
_KEEP_SEGMENT = """
INSERT INTO outbox_segment (stream, seq_from, seq_to, bytes, slot, body) VALUES (%s, %s, %s, %s, %s, %b)
"""
_MOVE_HEAD = "UPDATE outbox_streamhead SET next_seq = %s, bytes = bytes + %s WHERE stream_id = %s"
_COUNT_HOUR = f"""
INSERT INTO outbox_streamhour AS h (stream_id, hour, syncs, failed, readings, dead, keys_count, keys_sum)
VALUES (%s, date_trunc('hour', now() AT TIME ZONE 'UTC') AT TIME ZONE 'UTC', 0, 0, 0, 0, %s, %s)
ON CONFLICT (stream_id, hour) DO UPDATE
   SET keys_count = h.keys_count + excluded.keys_count,
       keys_sum = (h.keys_sum + excluded.keys_sum) %% {KEYS_SUM_MODULUS}
"""  # noqa: S608 — a constant


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


def take(stream: Stream, readings: object, *, within: bool = False) -> BulkResult:
    """Raises ReadingsRefused, QueueFull, StreamGone; then nothing was taken.

    `within`: the caller's transaction commits them, and nobody is told before. Else the call commits them itself,
    and may not be made within a transaction.
    """
    lines = encode_bulk(readings)
    by_key = first_of_each(lines)
    with transaction.atomic(durable=not within), _cursor() as cursor:
        fresh, conflicts = _take(cursor, stream, by_key)
    return BulkResult(fresh, len(lines) - fresh, conflicts)


def keep_again(stream: Stream, lines: Sequence[ReadingLine]) -> None:
    """Puts readings in the queue whose keys are known already: under new numbers, in the caller's transaction."""
    with _cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [RING_LOCK])
        row = cursor.execute(_LOOK, [stream.pk]).fetchone()
        if row is None:
            raise StreamGone(f"stream {stream.name} does not exist any more")
        slot, next_seq, _, batch_size, batch_bytes, _ = row
        bounds = (batch_size, batch_bytes or SEGMENT_BYTES)
        _keep(cursor, stream, slot, next_seq, lines, bounds, are_new=False)


def _cursor() -> psycopg.Cursor[Any]:
    """Parameters travel beside the statement: bytes are not written out as text."""
    connection.ensure_connection()
    return psycopg.Cursor(connection.connection)


def _take(
    cursor: psycopg.Cursor[Any], stream: Stream, by_key: Mapping[str, ReadingLine]
) -> tuple[int, int]:
    """How many are new, and how many old ones differ."""
    cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [RING_LOCK])
    row = cursor.execute(_LOOK, [stream.pk]).fetchone()
    if row is None:
        raise StreamGone(f"stream {stream.name} does not exist any more")
    slot, next_seq, done_seq, batch_size, batch_bytes, most = row
    told = {
        "keys": _BETWEEN.join(by_key),
        "crcs": ",".join(str(line.crc) for line in by_key.values()),
        "stream": stream.number,
        "next": next_seq,
        "slot": slot,
    }
    (places,) = cursor.execute(_KEEP_KEYS, told).fetchone() or ("",)
    all_lines = list(by_key.values())
    fresh = [all_lines[int(place) - 1] for place in places.split(",")] if places else []
    queued = next_seq - 1 - done_seq
    if fresh and queued + len(fresh) > most:
        raise QueueFull(queued, most)
    if fresh:
        _keep(cursor, stream, slot, next_seq, fresh, (batch_size, batch_bytes or SEGMENT_BYTES))
    conflicts = 0
    if len(fresh) < len(by_key):
        (conflicts,) = cursor.execute(_COUNT_CONFLICTS, told).fetchone() or (0,)
    return len(fresh), int(conflicts)


def _keep(
    cursor: psycopg.Cursor[Any],
    stream: Stream,
    slot: int,
    next_seq: int,
    fresh: Sequence[ReadingLine],
    bounds: tuple[int, int],
    *,
    are_new: bool = True,
) -> None:
    size = 0
    segments = cut_into_segments((line.content for line in fresh), *bounds)
    for segment in segments:
        body = b"\n".join(segment)
        last = next_seq + len(segment) - 1
        cursor.execute(_KEEP_SEGMENT, [stream.number, next_seq, last, len(body), slot, body])
        next_seq, size = last + 1, size + sum(map(len, segment))
    cursor.execute(_MOVE_HEAD, [next_seq, size, stream.pk])
    if not are_new:
        return
    keys_sum = sum(key_hash(line.key) for line in fresh) % KEYS_SUM_MODULUS
    cursor.execute(_COUNT_HOUR, [stream.pk, len(fresh), keys_sum])
