"""The cells of a generation: an index (IVFFlat) that finds neighbours without reading every vector.

Cells are worth it from CELLS_FROM vectors on; below, an exact scan is as fast and misses nothing. They are made when the
bulk is in, because their centres are chosen by the vectors that are there. A vector that comes later goes to the cell
whose centre is nearest. When a workspace has grown so much that it wants OUTGROWN times as many cells, they are made anew
beside the old ones. They are made beside readers and writers (CONCURRENTLY), on a session without a time limit, and
with memory of its own.

A graph (HNSW) takes longer to make, and among many texts that are much alike it misses a quarter of the nearest
(decision 016).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import psycopg
import structlog
from django.db import connection
from psycopg import sql

from farends.watched import WatchedConnection
from search.core.scanning import count_cells, size_making
from search.models import IndexGeneration
from search.vectors.tables import CELLS_DIMENSIONS_MAX, find_vector_tables, vector_table

log = structlog.get_logger(__name__)

CELLS_FROM = 50_000
CELLS_BELOW = 40_000  # it goes below so many: not at each file that comes and goes
OUTGROWN = 2
MAKING_BYTES = 2 << 30
_LEAST_KB = 64 * 1024
_LOCK = "search.cells:"

_LEFT = """
SELECT c.relname FROM pg_class c
 WHERE c.relkind = 'i' AND c.relname ~ '^search_cells_[0-9]+(_next)?$' AND pg_table_is_visible(c.oid)
   AND NOT EXISTS (SELECT FROM search_indexgeneration g WHERE split_part(c.relname, '_', 3) = g.id::text)
"""


def name_cells(generation: int) -> str:
    return f"search_cells_{generation}"


def needs_cells(generation: IndexGeneration, vector_count: int) -> bool:
    least = CELLS_BELOW if generation.cell_count else CELLS_FROM
    return 0 < (generation.dimensions or 0) <= CELLS_DIMENSIONS_MAX and vector_count >= least


def tend_cells(generation: IndexGeneration, vector_count: int, check: Callable[[], None]) -> bool:
    """Makes the cells, makes them anew, or drops them, as the number of vectors wants it; whether something changed.
    `check` raises when the work is over, which cancels it: the next one begins anew."""
    if not needs_cells(generation, vector_count):
        if generation.cell_count:
            drop_cells(generation)
            return True
        return False
    wanted = _count_wanted(generation, vector_count)
    if not _wants_more(generation, wanted):
        return False
    return _make_cells(generation, vector_count, wanted, check)


def drop_cells(generation: IndexGeneration) -> None:
    """Searches see first that there are none any more."""
    _note_cells(generation, 0)
    with closing(_open_session(lambda: None)) as session:
        _drop(session, name_cells(generation.pk))
        _drop(session, _name_next(generation.pk))


def drop_left_cells() -> int:
    """Drops the cells of generations that went with their workspace; how many."""
    if not find_vector_tables():
        return 0
    with connection.cursor() as cursor:
        cursor.execute(_LEFT)
        left = [name for (name,) in cursor.fetchall()]
    if left:
        with closing(_open_session(lambda: None)) as session:
            for name in left:
                _drop(session, name)
    return len(left)


def _name_next(generation: int) -> str:
    return f"{name_cells(generation)}_next"


def _wants_more(generation: IndexGeneration, wanted: int) -> bool:
    standing = generation.cell_count
    return standing == 0 or wanted >= OUTGROWN * standing


def _count_wanted(generation: IndexGeneration, vector_count: int) -> int:
    """As many as the memory allows: the server's setting says how much its machine has for the files of a database."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_size_bytes(current_setting('effective_cache_size'))")
        [cached_bytes] = cursor.fetchone()
    most_bytes = min(MAKING_BYTES, cached_bytes // 2)
    return count_cells(vector_count, generation.dimensions or 0, most_bytes)


def _note_cells(generation: IndexGeneration, cell_count: int) -> None:
    IndexGeneration.objects.filter(pk=generation.pk).update(cell_count=cell_count)
    generation.cell_count = cell_count


def _make_cells(
    generation: IndexGeneration, vector_count: int, cells: int, check: Callable[[], None]
) -> bool:
    """False where another makes them, or has."""
    name, following = name_cells(generation.pk), _name_next(generation.pk)
    dimensions = generation.dimensions or 0
    with closing(_open_session(check)) as session:
        held = session.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"{_LOCK}{generation.pk}"]
        ).fetchone()
        if held is None or not held[0]:
            return False
        generation.refresh_from_db(fields=["cell_count"])
        if not _wants_more(generation, cells):
            return False
        _drop(session, following)  # what an earlier one left unfinished
        _set_memory(session, cells, dimensions)
        log.info("cells.begin", generation=generation.pk, vectors=vector_count, cells=cells)
        _create(session, following, generation.pk, dimensions, cells)
        _drop(session, name)
        session.execute(
            sql.SQL("ALTER INDEX {} RENAME TO {}").format(
                sql.Identifier(following), sql.Identifier(name)
            )
        )
    _note_cells(generation, cells)
    log.info("cells.made", generation=generation.pk, vectors=vector_count, cells=cells)
    return True


def _create(
    session: WatchedConnection, name: str, generation: int, dimensions: int, cells: int
) -> None:
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON {} USING ivfflat (embedding halfvec_ip_ops)"
        " WITH (lists = {}) WHERE generation = {}"
    ).format(
        sql.Identifier(name),
        sql.Identifier(vector_table(dimensions)),
        sql.Literal(cells),
        sql.Literal(generation),
    )
    try:
        session.execute(create)
    except psycopg.errors.DiskFull:
        # Its workers share memory in /dev/shm, of which a container has little.
        log.warning("cells.made_alone", generation=generation)
        _drop(session, name)
        session.execute("SET max_parallel_maintenance_workers = 0")
        session.execute(create)


def _set_memory(session: WatchedConnection, cells: int, dimensions: int) -> None:
    memory_kb = _LEAST_KB + size_making(cells, dimensions) // 1024
    session.execute(sql.SQL("SET maintenance_work_mem = {}").format(sql.Literal(f"{memory_kb}kB")))


def _drop(session: WatchedConnection, name: str) -> None:
    session.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(sql.Identifier(name)))


def _open_session(check: Callable[[], None]) -> WatchedConnection:
    """A session of its own, in autocommit and without time limits, which ends when `check` raises."""
    ours = ("options", "client_encoding", "context", "cursor_factory", "prepare_threshold", "pool")
    parameters: dict[str, Any] = {
        key: value for key, value in connection.get_connection_params().items() if key not in ours
    }
    session = WatchedConnection.connect(
        **parameters, autocommit=True, application_name="search cells"
    )
    session.follow(check, lambda: None)
    return session
