"""Keeps in PostgreSQL where packed blobs lie: one statement for a whole batch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import connection

from database.rows import Cursor, fetch_rows
from store.packs import PackContent, Place

log = structlog.get_logger(__name__)

_ADD = """
INSERT INTO datasets_packedblob (workspace_id, sha256, pack, "offset", size_bytes, stored_at)
SELECT %s, sha256, pack, place, size_bytes, now()
  FROM unnest(%s::bytea[], %s::uuid[], %s::bigint[], %s::int[]) AS t (sha256, pack, place, size_bytes)
 ORDER BY sha256
ON CONFLICT (workspace_id, sha256) DO NOTHING
"""
_REPLACE = _ADD.replace(
    "DO NOTHING",
    """DO UPDATE
   SET pack = excluded.pack, "offset" = excluded."offset", size_bytes = excluded.size_bytes,
       stored_at = excluded.stored_at""",
)
_MARK = """
INSERT INTO datasets_damagedblob (workspace_id, sha256, damage, found_at) VALUES (%s, %s, %s, now())
ON CONFLICT (workspace_id, sha256) DO UPDATE SET damage = excluded.damage
"""
_ANY_MARKED = "SELECT FROM datasets_damagedblob WHERE workspace_id = %s LIMIT 1"
# Rows are locked in one order everywhere, so that nobody who locks the same blobs waits for another in a circle.
_UNMARK = """
DELETE FROM datasets_damagedblob d USING (
    SELECT sha256 FROM datasets_damagedblob WHERE workspace_id = %(workspace)s AND sha256 = ANY(%(digests)s)
     ORDER BY sha256 FOR UPDATE) sound
 WHERE d.workspace_id = %(workspace)s AND d.sha256 = sound.sha256
"""
_REFRESH = """
WITH known AS (SELECT sha256 FROM datasets_packedblob WHERE workspace_id = %s AND sha256 = ANY(%s)
                ORDER BY sha256 FOR NO KEY UPDATE)
UPDATE datasets_packedblob b SET stored_at = now() FROM known
 WHERE b.workspace_id = %s AND b.sha256 = known.sha256 RETURNING b.sha256, b.pack, b."offset", b.size_bytes
"""
_FIND = """
SELECT sha256, pack, "offset", size_bytes FROM datasets_packedblob
 WHERE workspace_id = %s AND sha256 = ANY(%s)
"""
# A row that was replaced or forgotten meanwhile has no such place any more, and stays as it is.
_MOVE = """
WITH moving AS (
    SELECT b.sha256, t.new_pack, t.new_offset FROM datasets_packedblob b
      JOIN unnest(%(digests)s::bytea[], %(packs)s::uuid[], %(offsets)s::bigint[],
                  %(new_packs)s::uuid[], %(new_offsets)s::bigint[])
        AS t (sha256, pack, "offset", new_pack, new_offset)
        ON t.sha256 = b.sha256 AND t.pack = b.pack AND t."offset" = b."offset"
     WHERE b.workspace_id = %(workspace)s ORDER BY b.sha256 FOR NO KEY UPDATE OF b)
UPDATE datasets_packedblob b SET pack = moving.new_pack, "offset" = moving.new_offset FROM moving
 WHERE b.workspace_id = %(workspace)s AND b.sha256 = moving.sha256 RETURNING b.sha256
"""
_FIND_IN = """
SELECT sha256, pack, "offset", size_bytes FROM datasets_packedblob
 WHERE workspace_id = %s AND pack = %s ORDER BY "offset"
"""
_MEASURE = """
SELECT pack, count(*) AS count, sum(size_bytes)::bigint AS size_bytes FROM datasets_packedblob
 WHERE workspace_id = %s AND pack = ANY(%s) GROUP BY pack
"""
_KNOWN_PACKS = (
    "SELECT DISTINCT pack FROM datasets_packedblob WHERE workspace_id = %s AND pack = ANY(%s)"
)
# One pass over what the workspace's datasets name, hashed: entries that ended have no index by digest.
_NAMED = """
SELECT FROM (SELECT e.sha256 FROM datasets_entry e JOIN datasets_dataset d ON d.id = e.dataset_id
              WHERE d.workspace_id = %(workspace)s
             UNION ALL
             SELECT r.sha256 FROM datasets_receipt r JOIN datasets_dataset d ON d.id = r.dataset_id
              WHERE d.workspace_id = %(workspace)s) n WHERE n.sha256 = b.sha256
"""
_UNNAMED = f"""
SELECT b.sha256 FROM unnest(%(digests)s::bytea[]) AS b (sha256) WHERE NOT EXISTS ({_NAMED})
"""  # noqa: S608 — made of constants
# A blob that is stored once more meanwhile is young when its row's lock is had, and stays.
_FORGET = f"""
WITH old AS (
    SELECT b.sha256 FROM datasets_packedblob b WHERE b.workspace_id = %(workspace)s
       AND b.stored_at < to_timestamp(%(before)s) AND NOT EXISTS ({_NAMED}) ORDER BY b.sha256 FOR UPDATE OF b),
gone AS (
    DELETE FROM datasets_packedblob b USING old
     WHERE b.workspace_id = %(workspace)s AND b.sha256 = old.sha256 RETURNING b.size_bytes)
SELECT count(*), coalesce(sum(size_bytes), 0)::bigint FROM gone
"""  # noqa: S608 — made of constants
_FORGET_MARKS = f"""
DELETE FROM datasets_damagedblob d USING (
    SELECT b.sha256 FROM datasets_damagedblob b WHERE b.workspace_id = %(workspace)s AND NOT EXISTS ({_NAMED})
     ORDER BY b.sha256 FOR UPDATE OF b) gone
 WHERE d.workspace_id = %(workspace)s AND d.sha256 = gone.sha256
"""  # noqa: S608 — made of constants
_LOCK = "SELECT pg_advisory_lock_shared(hashtextextended(%s::text, 0))"
_UNLOCK = "SELECT pg_advisory_unlock_shared(hashtextextended(%s::text, 0))"


@dataclass(frozen=True, slots=True)
class _Placed:
    sha256: bytes
    pack: uuid.UUID
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class _Measured:
    pack: uuid.UUID
    count: int
    size_bytes: int


def _fetch_places(cursor: Cursor) -> dict[bytes, Place]:
    rows = fetch_rows(cursor, _Placed)
    return {bytes(row.sha256): Place(row.pack, row.offset, row.size_bytes) for row in rows}


class Places:
    """The index of one workspace, over whatever session opens the cursors."""

    def __init__(
        self,
        workspace_id: uuid.UUID,
        cursor: Callable[[], AbstractContextManager[Cursor]] | None = None,
    ) -> None:
        self._workspace_id = workspace_id
        # Asked for anew each time: `connection.cursor` is that of the thread which looks it up.
        self._cursor = cursor or (lambda: connection.cursor())

    def find(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        with self._cursor() as cursor:
            cursor.execute(_FIND, [self._workspace_id, list(digests)])
            return _fetch_places(cursor)

    def refresh(self, digests: Sequence[bytes]) -> dict[bytes, Place]:
        with self._cursor() as cursor:
            cursor.execute(_REFRESH, [self._workspace_id, list(digests), self._workspace_id])
            return _fetch_places(cursor)

    def add(self, places: Mapping[bytes, Place]) -> None:
        self._keep(_ADD, places)

    def replace(self, places: Mapping[bytes, Place]) -> None:
        self._keep(_REPLACE, places)

    def _keep(self, statement: str, places: Mapping[bytes, Place]) -> None:
        rows = [(sha256, at.pack, at.offset, at.size_bytes) for sha256, at in places.items()]
        columns = [list(column) for column in zip(*rows, strict=True)]
        with self._cursor() as cursor:
            cursor.execute(statement, [self._workspace_id, *columns])

    def move(self, moves: Mapping[bytes, tuple[Place, Place]]) -> set[bytes]:
        told: dict[str, Any] = {
            "workspace": self._workspace_id,
            "digests": list(moves),
            "packs": [old.pack for old, _ in moves.values()],
            "offsets": [old.offset for old, _ in moves.values()],
            "new_packs": [new.pack for _, new in moves.values()],
            "new_offsets": [new.offset for _, new in moves.values()],
        }
        with self._cursor() as cursor:
            cursor.execute(_MOVE, told)
            return {bytes(sha256) for (sha256,) in cursor.fetchall()}

    def find_in(self, pack: uuid.UUID) -> dict[bytes, Place]:
        with self._cursor() as cursor:
            cursor.execute(_FIND_IN, [self._workspace_id, pack])
            return _fetch_places(cursor)

    def measure(self, packs: Sequence[uuid.UUID]) -> dict[uuid.UUID, PackContent]:
        with self._cursor() as cursor:
            cursor.execute(_MEASURE, [self._workspace_id, list(packs)])
            return {
                row.pack: PackContent(row.count, row.size_bytes)
                for row in fetch_rows(cursor, _Measured)
            }

    def mark(self, sha256: bytes, damage: str) -> None:
        log.error(
            "blob.damaged", workspace=str(self._workspace_id), sha256=sha256.hex(), damage=damage
        )
        with self._cursor() as cursor:
            cursor.execute(_MARK, [self._workspace_id, sha256, damage])

    def unmark(self, digests: Sequence[bytes]) -> None:
        with self._cursor() as cursor:
            cursor.execute(
                _ANY_MARKED, [self._workspace_id]
            )  # seldom; a list of digests takes its time
            if cursor.fetchall():
                told: dict[str, Any] = {"workspace": self._workspace_id, "digests": list(digests)}
                cursor.execute(_UNMARK, told)

    def find_orphans(self, packs: Sequence[uuid.UUID]) -> set[uuid.UUID]:
        with self._cursor() as cursor:
            cursor.execute(_KNOWN_PACKS, [self._workspace_id, list(packs)])
            return set(packs) - {pack for (pack,) in cursor.fetchall()}

    def find_unnamed(self, digests: Sequence[bytes]) -> set[bytes]:
        with self._cursor() as cursor:
            cursor.execute(_UNNAMED, {"workspace": self._workspace_id, "digests": list(digests)})
            return {bytes(sha256) for (sha256,) in cursor.fetchall()}

    def forget_unnamed(self, before_s: float) -> tuple[int, int]:
        with self._cursor() as cursor:
            cursor.execute(_FORGET, {"workspace": self._workspace_id, "before": before_s})
            ((count, size_bytes),) = cursor.fetchall()
            cursor.execute(_FORGET_MARKS, {"workspace": self._workspace_id})
            return count, size_bytes

    def storing(self) -> AbstractContextManager[None]:
        return self._locked(_LOCK, _UNLOCK)

    def sweeping(self) -> AbstractContextManager[None]:
        return self._locked(_LOCK.replace("_shared", ""), _UNLOCK.replace("_shared", ""))

    @contextmanager
    def _locked(self, lock: str, unlock: str) -> Iterator[None]:
        """Holds a lock of the session; the end of the session frees it too."""
        with self._cursor() as cursor:
            cursor.execute(lock, [self._workspace_id])
            try:
                yield
            finally:
                cursor.execute(unlock, [self._workspace_id])
