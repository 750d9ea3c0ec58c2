"""Batches: fixed by a committed row before their first try, and never changed afterwards.

Every function here works in the caller's transaction.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from database.rows import fetch_row, fetch_rows
from outbox.core.images import Image, make_head, make_image
from outbox.core.segments import unpack_lines
from outbox.core.splitting import BatchPart

BATCH_BYTES = 8 << 20  # of a batch's lines, until a client system has taught less

_OPEN = """
SELECT id, seq_from, seq_to, members, head, sha256, tries, uncertain
  FROM outbox_batch WHERE stream_id = %s AND state = 'open' ORDER BY seq_from, made_at LIMIT 1
"""
# Whole segments while they fit; the first one always.
_QUEUED = """
SELECT seq_from, seq_to, body
  FROM (SELECT seq_from, seq_to, body, sum(bytes) OVER (ORDER BY seq_to) AS total, row_number() OVER (ORDER BY seq_to) AS nth
          FROM (SELECT seq_from, seq_to, bytes, body FROM outbox_segment
                 WHERE stream = %(stream)s AND seq_to > %(done)s ORDER BY seq_to LIMIT %(count)s) first) queued
 WHERE nth = 1 OR (seq_to - %(done)s <= %(count)s AND total <= %(bytes)s)
 ORDER BY seq_to
"""
_LINES = """
SELECT seq_from, seq_to, body FROM outbox_segment
 WHERE stream = %s AND seq_to >= %s AND seq_from <= %s ORDER BY seq_to
"""
_FIX = """
INSERT INTO outbox_batch (id, stream_id, seq_from, seq_to, members, head, sha256, size_bytes, count, parent,
    tries, uncertain, state, made_at)
VALUES (%s, %s, %s, %s, %s, %b, %b, %s, %s, %s, %s, %s, 'open', clock_timestamp())
"""


class BatchDamaged(Exception):
    """The stored bytes are not what was fixed: nothing is sent."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What batches need to know of their stream."""

    id: uuid.UUID
    number: int
    name: str
    batch_size: int
    batch_bytes: int | None


@dataclass(frozen=True, slots=True)
class Fixed:
    """A batch with its bytes."""

    id: uuid.UUID
    part: BatchPart
    lines: Sequence[bytes]  # one reading each
    image: Image
    tries: int
    uncertain: bool

    @property
    def count(self) -> int:
        return len(self.lines)


@dataclass(frozen=True, slots=True)
class _OpenBatch:
    id: uuid.UUID
    seq_from: int
    seq_to: int
    members: list[int] | None
    head: bytes
    sha256: bytes
    tries: int
    uncertain: bool


@dataclass(frozen=True, slots=True)
class _Stored:
    seq_from: int
    seq_to: int
    body: bytes


def take_open(cursor: psycopg.Cursor[Any], stream: StreamFacts) -> Fixed | None:
    """The oldest batch that is still to be delivered. Raises BatchDamaged."""
    cursor.execute(_OPEN, [stream.id], binary=True)
    row = fetch_row(cursor, _OpenBatch)
    if row is None:
        return None
    members = None if row.members is None else tuple(row.members)
    part = BatchPart(row.seq_from, row.seq_to, members)
    lines = read_lines(cursor, stream, part)
    image = make_image(bytes(row.head), lines)
    if image.sha256 != bytes(row.sha256):
        raise BatchDamaged(f"batch {row.id}: its bytes are not those that were fixed")
    return Fixed(row.id, part, lines, image, row.tries, row.uncertain)


def fix_next(cursor: psycopg.Cursor[Any], stream: StreamFacts, done_seq: int) -> Fixed | None:
    """A batch of what waits first, whole segments while they fit. None where nothing waits."""
    most_bytes = stream.batch_bytes or BATCH_BYTES
    told = {
        "stream": stream.number,
        "done": done_seq,
        "count": stream.batch_size,
        "bytes": most_bytes,
    }
    cursor.execute(_QUEUED, told, binary=True)
    segments = fetch_rows(cursor, _Stored)
    if not segments:
        return None
    first, last = done_seq + 1, min(segments[-1].seq_to, done_seq + stream.batch_size)
    part = BatchPart(first, last)
    lines = _lines_of(stream, segments, first, last)
    if len(lines) > 1 and sum(map(len, lines)) > most_bytes:
        kept = _count_that_fit(lines, most_bytes)
        part, lines = BatchPart(first, first + kept - 1), lines[:kept]
    return fix(cursor, stream, part, lines)


def _count_that_fit(lines: Sequence[bytes], most_bytes: int) -> int:
    """At least one."""
    total = 0
    for count, line in enumerate(lines):
        total += len(line) + 1
        if count and total > most_bytes:
            return count
    return len(lines)


def fix(
    cursor: psycopg.Cursor[Any],
    stream: StreamFacts,
    part: BatchPart,
    lines: Sequence[bytes],
    *,
    parent: uuid.UUID | None = None,
    uncertain: bool = False,
    tries: int = 0,
) -> Fixed:
    """From the commit on the batch's id, and so its key, and its bytes stay what they are."""
    batch_id = uuid.uuid4()
    head = make_head(batch_id, stream.name, part.sequence_from, part.sequence_to, len(lines))
    image = make_image(head, lines)
    members = None if part.members is None else json.dumps(part.members)
    cursor.execute(
        _FIX,
        [
            batch_id, stream.id, part.sequence_from, part.sequence_to, members, head, image.sha256,
            len(image.body), len(lines), parent, tries, uncertain,
        ],
    )  # fmt: skip
    return Fixed(batch_id, part, lines, image, tries, uncertain)


def read_lines(cursor: psycopg.Cursor[Any], stream: StreamFacts, part: BatchPart) -> list[bytes]:
    """The part's readings, in order. Raises BatchDamaged where one is missing."""
    first, last = part.sequence_from, part.sequence_to
    cursor.execute(_LINES, [stream.number, first, last], binary=True)
    lines = _lines_of(stream, fetch_rows(cursor, _Stored), first, last)
    return lines if part.members is None else [lines[place] for place in part.members]


def _lines_of(
    stream: StreamFacts, segments: Sequence[_Stored], first: int, last: int
) -> list[bytes]:
    lines: list[bytes] = []
    for segment in segments:
        try:
            found = unpack_lines(segment.body)
        except ValueError as exc:
            raise BatchDamaged(f"stream {stream.name}: {exc}") from None
        lines += found[max(0, first - segment.seq_from) : last - segment.seq_from + 1]
    if len(lines) != last - first + 1:
        raise BatchDamaged(
            f"stream {stream.name}: {len(lines)} of the readings {first} to {last} are stored"
        )
    return lines


def key_of(line: bytes) -> str:
    key: str = json.loads(line)["key"]
    return key


def payload_of(line: bytes) -> str:
    """Returns the payload as it was sent, in JSON."""
    return json.dumps(json.loads(line)["payload"], ensure_ascii=False)
