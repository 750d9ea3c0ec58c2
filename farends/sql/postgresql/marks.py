"""Where a reading of PostgreSQL begins: marks that no late commit can pass.

`xmin`: all transactions below the snapshot's `xmin` have ended, so whatever they wrote is read by a reading that
begins afterwards. The next one reads what newer transactions wrote. `age()` compares 32-bit numbers around the
present one, so a mark that is 2^31 transactions old tells nothing, and all is read.

A column: rows that are not there yet may get values as old as the start of the oldest open transaction, so the
mark is no later than that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from database.rows import fetch_rows
from farends.rows.contract import Begun, CursorOrder, Mark, MarkKind, MarkLostReason, Reading
from farends.sql.postgresql.catalog import Found, FoundColumn

_XID_BITS = 0xFFFFFFFF
_XID_FIRST = 3  # lower ones are special
_XID_SPAN = (1 << 31) - (1 << 20)  # how far `age` tells old from new, with room for a long reading

# One question each, because a managed server may refuse any of them.
_SERVER = "SELECT system_identifier::text FROM pg_control_system()"
_TIMELINE = "SELECT CASE WHEN NOT pg_is_in_recovery() THEN left(pg_walfile_name(pg_current_wal_lsn()), 8) END"
# A TRUNCATE gives a table a new file; so do VACUUM FULL and CLUSTER, after which reading all is needless but right.
_FILES = """
SELECT l.oid::int8::text || '/' || coalesce(pg_relation_filenode(l.oid), 0)::text AS file
  FROM pg_class c CROSS JOIN LATERAL (
       SELECT c.oid WHERE c.relkind = 'r'
        UNION ALL SELECT t.relid FROM pg_partition_tree(c.oid) t WHERE c.relkind = 'p' AND t.isleaf) l(oid)
 WHERE c.oid = %s::int8::oid
 ORDER BY l.oid"""
_SNAPSHOT = (
    "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS lowest,"
    " pg_snapshot_xmax(pg_current_snapshot())::text AS next"
)
# `zone` is what a session has that says nothing: what most writers write a time without a zone in.
_WRITERS = """
SELECT (SELECT min(xact_start) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()
           AND coalesce(backend_type, '') NOT IN ('autovacuum worker', 'walsender'))::text AS oldest,
       clock_timestamp()::text AS now,
       (SELECT reset_val FROM pg_settings WHERE name = 'TimeZone') AS zone,
       pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
       (SELECT count(*) FROM pg_prepared_xacts WHERE database = current_database())::int AS prepared"""

BLIND = (
    "this user may not see when other sessions' transactions began (pg_read_all_stats), so rows that are committed"
    " late may be missed: grant it, or set the cursor's lag_s"
)
_PREPARED = "prepared transactions are open; rows that they commit late may be missed, unless the cursor has lag_s"
_NO_TIME = "the cursor {} is no time: rows that are committed late with a lower value may be missed"


@dataclass(frozen=True, slots=True)
class _Snapshot:
    lowest: str
    next: str


@dataclass(frozen=True, slots=True)
class _Writers:
    oldest: str | None
    now: str
    zone: str
    sees_all: bool
    prepared: int


def begin_reading(
    connection: psycopg.Connection[Any], found: Found, reading: Reading, server: Mapping[str, str]
) -> Begun:
    """Runs in a transaction of one snapshot. `server` is what `identify_server` told."""
    cursor = reading.cursor
    if cursor is None:
        return Begun(None)
    proof = {**server, **_find_file(connection, found)}
    if cursor.is_xmin:
        (snapshot,) = fetch_rows(connection.execute(_SNAPSHOT), _Snapshot)
        mark = Mark(MarkKind.XMIN, "xmin", snapshot.lowest, proof)
        return Begun(mark, _find_loss(reading.since, cursor, proof, snapshot))
    text, warning = _find_bound(connection, found, found.columns[cursor.field], cursor)
    lost = _find_loss(reading.since, cursor, proof, None)
    if text is None:  # no row has a value
        kept = reading.since if lost is None and _is_of(reading.since, cursor) else None
        return Begun(kept, lost, warning)
    return Begun(Mark(MarkKind.COLUMN, cursor.field, text, proof), lost, warning)


def _is_of(mark: Mark | None, cursor: CursorOrder) -> bool:
    return mark is not None and mark.field == cursor.field


def _find_loss(
    since: Mark | None, cursor: CursorOrder, proof: Mapping[str, str], snapshot: _Snapshot | None
) -> MarkLostReason | None:
    if since is None or not _is_of(since, cursor):
        return None
    if _differ(since.proof, proof, "server"):
        return MarkLostReason.OTHER_SERVER
    # A server that took over, or was set back in time, may have given the same numbers to other transactions.
    if _differ(since.proof, proof, "timeline"):
        return MarkLostReason.WENT_BACK
    if snapshot is not None and int(since.text) > int(snapshot.next):
        return MarkLostReason.WENT_BACK
    return MarkLostReason.TRUNCATED if _differ(since.proof, proof, "file") else None


def _differ(old: Mapping[str, str], new: Mapping[str, str], name: str) -> bool:
    """What one of them does not tell is no difference."""
    return bool(old.get(name) and new.get(name)) and old[name] != new[name]


def _find_file(connection: psycopg.Connection[Any], found: Found) -> dict[str, str]:
    files = [str(file) for (file,) in connection.execute(_FILES, [found.relation.oid])]
    told = ",".join(files)
    if len(told) > 100:
        told = hashlib.sha256(told.encode()).hexdigest()[:32]
    return {"file": told} if told else {}


def identify_server(connection: psycopg.Connection[Any]) -> dict[str, str]:
    """Which server this is, as far as it tells. Runs outside of a transaction."""
    told = {"server": _ask(connection, _SERVER), "timeline": _ask(connection, _TIMELINE)}
    return {name: value for name, value in told.items() if value}


def _ask(connection: psycopg.Connection[Any], question: str) -> str:
    try:
        row = connection.execute(question.encode()).fetchone()
    except psycopg.OperationalError:
        raise
    except psycopg.Error:
        return ""
    return str(row[0] or "") if row else ""


def _find_bound(
    connection: psycopg.Connection[Any], found: Found, column: FoundColumn, cursor: CursorOrder
) -> tuple[str | None, str]:
    """The text of the mark, and a warning."""
    (writers,) = fetch_rows(connection.execute(_WRITERS), _Writers)
    table = sql.Identifier(found.relation.schema, found.relation.name)
    highest = sql.SQL("(SELECT max({}) FROM {})").format(sql.Identifier(column.name), table)
    if not column.is_moment:
        row = connection.execute(sql.SQL("SELECT {}::text").format(highest)).fetchone()
        return (row[0] if row else None), _NO_TIME.format(column.name)
    bound = sql.SQL("least({}, {})").format(highest, _earliest(writers, column))
    if cursor.lag_s:
        bound = sql.SQL("({} - make_interval(secs => {}))").format(bound, sql.Literal(cursor.lag_s))
    plain = sql.SQL(column.base_name)  # one of three built-in names
    row = connection.execute(
        sql.SQL("SELECT CASE WHEN {} IS NOT NULL THEN ({})::{}::text END").format(
            highest, bound, plain
        )
    ).fetchone()
    return (row[0] if row else None), _warn(writers, cursor)


def _earliest(writers: _Writers, column: FoundColumn) -> sql.Composable:
    """The time from which on rows may still come with values that are not there yet. A column without a zone is
    taken for UTC or for the server's own zone, whichever is earlier."""
    moment = sql.SQL("{}::timestamptz").format(sql.Literal(writers.oldest or writers.now))
    if column.base_name == "timestamptz":
        return moment
    zones = [
        sql.SQL("({} AT TIME ZONE {})").format(moment, sql.Literal(zone))
        for zone in ("UTC", writers.zone)
    ]
    return sql.SQL("least({})::{}").format(sql.SQL(", ").join(zones), sql.SQL(column.base_name))


def _warn(writers: _Writers, cursor: CursorOrder) -> str:
    if cursor.lag_s is not None:
        return ""
    if not writers.sees_all:
        return BLIND
    return _PREPARED if writers.prepared else ""


def newer_than(found: Found, reading: Reading) -> sql.Composable | None:
    """The condition of rows from the mark on; None: all of them."""
    since, cursor = reading.since, reading.cursor
    if since is None or cursor is None or not _is_of(since, cursor):
        return None
    if cursor.is_xmin:
        return _by_xmin(int(since.text))
    column = found.columns[cursor.field]
    name = sql.Identifier(column.name)
    bound = sql.SQL("{} >= {}::{}").format(
        name,
        sql.Literal(since.text),
        sql.SQL(column.base_name if column.is_moment else column.plain_type),
    )
    return bound if column.is_required else sql.SQL("({} OR {} IS NULL)").format(bound, name)


def _by_xmin(mark: int) -> sql.Composable:
    low = sql.Literal(str(max(mark & _XID_BITS, _XID_FIRST)))
    # In 64 bits it is told whether the mark is within what 32 bits compare.
    distance = sql.SQL(
        "(SELECT pg_snapshot_xmax(pg_current_snapshot())::text::int8 - {} >= {})"
    ).format(sql.Literal(mark), sql.Literal(_XID_SPAN))
    return sql.SQL("(age(xmin) <= (SELECT age({}::xid)) OR {})").format(low, distance)
