"""The HNSW graph of a generation: an index that finds neighbours without reading every vector.

A graph is worth it from GRAPH_FROM vectors on; below, an exact scan is as fast and misses nothing. It is made when the
bulk is in, because a vector that is put into a standing graph costs five to ten times as much. It is built beside
readers and writers (CONCURRENTLY), on a session without a time limit, and with memory of its own.
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
from search.models import IndexGeneration
from search.vectors.tables import GRAPH_DIMENSIONS_MAX, find_vector_tables, vector_table

log = structlog.get_logger(__name__)

GRAPH_FROM = 50_000
GRAPH_BELOW = 40_000  # it goes below so many: not at each file that comes and goes
_NEIGHBOURS, _CANDIDATES = 16, 64  # pgvector's own defaults
_MEMORY_KB = (64 * 1024, 2 * 1024 * 1024)
_LOCK = "search.graphs:"

_IS_VALID = """
SELECT x.indisvalid FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid WHERE c.relname = %s AND pg_table_is_visible(c.oid)
"""
_LEFT = """
SELECT c.relname FROM pg_class c
 WHERE c.relkind = 'i' AND c.relname ~ '^search_graph_[0-9]+$' AND pg_table_is_visible(c.oid)
   AND NOT EXISTS (SELECT FROM search_indexgeneration g WHERE c.relname = 'search_graph_' || g.id)
"""


def name_graph(generation: int) -> str:
    return f"search_graph_{generation}"


def needs_graph(generation: IndexGeneration, vector_count: int) -> bool:
    least = GRAPH_BELOW if generation.has_graph else GRAPH_FROM
    return 0 < (generation.dimensions or 0) <= GRAPH_DIMENSIONS_MAX and vector_count >= least


def tend_graph(generation: IndexGeneration, vector_count: int, check: Callable[[], None]) -> bool:
    """Builds the graph, or drops it, as the number of vectors wants it; whether something changed. `check` raises when
    the work is over, which cancels the build: the next one begins anew."""
    wants = needs_graph(generation, vector_count)
    if wants == generation.has_graph:
        return False
    if wants:
        return _build_graph(generation, vector_count, check)
    drop_graph(generation)
    return True


def drop_graph(generation: IndexGeneration) -> None:
    """Searches see first that there is none any more."""
    IndexGeneration.objects.filter(pk=generation.pk).update(has_graph=False)
    generation.has_graph = False
    with closing(_open_session(lambda: None)) as session:
        _drop(session, name_graph(generation.pk))


def drop_left_graphs() -> int:
    """Drops the graphs of generations that went with their workspace; how many."""
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


def _build_graph(generation: IndexGeneration, vector_count: int, check: Callable[[], None]) -> bool:
    """False where another builds it."""
    name = name_graph(generation.pk)
    dimensions = generation.dimensions or 0
    with closing(_open_session(check)) as session:
        held = session.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", [f"{_LOCK}{generation.pk}"]
        ).fetchone()
        if held is None or not held[0]:
            return False
        is_valid = session.execute(_IS_VALID, [name]).fetchone()
        if is_valid is None or not is_valid[0]:
            _drop(session, name)  # what an earlier build left unfinished
            _set_memory(session, vector_count, dimensions)
            log.info("graph.build_begins", generation=generation.pk, vectors=vector_count)
            _create(session, name, generation.pk, dimensions)
    IndexGeneration.objects.filter(pk=generation.pk).update(has_graph=True)
    generation.has_graph = True
    log.info("graph.built", generation=generation.pk, vectors=vector_count)
    return True


def _create(session: WatchedConnection, name: str, generation: int, dimensions: int) -> None:
    create = sql.SQL(
        "CREATE INDEX CONCURRENTLY {} ON {} USING hnsw (embedding halfvec_cosine_ops)"
        " WITH (m = {}, ef_construction = {}) WHERE generation = {}"
    ).format(
        sql.Identifier(name),
        sql.Identifier(vector_table(dimensions)),
        sql.Literal(_NEIGHBOURS),
        sql.Literal(_CANDIDATES),
        sql.Literal(generation),
    )
    try:
        session.execute(create)
    except psycopg.errors.DiskFull:
        # Its workers share the memory in /dev/shm, of which a container has little.
        log.warning("graph.built_alone", generation=generation)
        _drop(session, name)
        session.execute("SET max_parallel_maintenance_workers = 0")
        session.execute(create)


def _set_memory(session: WatchedConnection, vector_count: int, dimensions: int) -> None:
    """As much as the graph takes, within bounds: beyond its memory a build slows down by an order of magnitude."""
    wanted_kb = int(vector_count * (dimensions * 2 + 8 * _NEIGHBOURS * 3 + 128) * 1.2) // 1024
    least, most = _MEMORY_KB
    memory_kb = min(max(wanted_kb, least), most)
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
        **parameters, autocommit=True, application_name="search graphs"
    )
    session.follow(check, lambda: None)
    return session
