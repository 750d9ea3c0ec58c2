"""Where a reading of MySQL or MariaDB begins: a mark that no late commit can pass.

Rows that are not there yet may get values as old as the start of the oldest open transaction, so the mark is no
later than that. Who may not see other sessions' transactions (the right PROCESS) is told so.
"""

from __future__ import annotations

import pymysql

from farends.rows.contract import Begun, CursorOrder, Mark, MarkKind, MarkLostReason, Reading
from farends.sql.mysql.catalog import MysqlRelation
from farends.sql.mysql.connection import MysqlSession
from farends.sql.mysql.errors import PROCESS_NEEDED, number_of
from farends.sql.mysql.types import MysqlColumn, literal, quote

BLIND = (
    "this user may not see when other sessions' transactions began (the right PROCESS), so rows that are committed"
    " late may be missed: grant it, or set the cursor's lag_s"
)
_NO_TIME = "the cursor {} is no time: rows that are committed late with a lower value may be missed"
# InnoDB tells the start in the server's own zone, in whole seconds, cut.
_OLDEST = """
SELECT COALESCE(MAX(TIMESTAMPDIFF(MICROSECOND, trx_started, CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', 'SYSTEM'))), 0)
  FROM information_schema.INNODB_TRX WHERE trx_mysql_thread_id <> CONNECTION_ID()"""


def begin_mysql_reading(session: MysqlSession, found: MysqlRelation, reading: Reading) -> Begun:
    cursor = reading.cursor
    if cursor is None:
        return Begun(None)
    proof = {**_identify(session), **({"file": found.made_at} if found.made_at else {})}
    lost = _find_loss(reading.since, cursor, proof)
    text, warning = _find_bound(session, found, found.columns[cursor.field], cursor)
    if text is None:  # no row has a value
        kept = reading.since if lost is None and _is_of(reading.since, cursor) else None
        return Begun(kept, lost, warning)
    return Begun(Mark(MarkKind.COLUMN, cursor.field, text, proof), lost, warning)


def newer_than_mark(found: MysqlRelation, reading: Reading) -> str:
    """The condition of rows from the mark on; empty: all of them."""
    since, cursor = reading.since, reading.cursor
    if since is None or cursor is None or not _is_of(since, cursor):
        return ""
    column = found.columns[cursor.field]
    bound = f"{quote(column.name)} >= {column.write(since.text)}"
    return f"({bound} OR {quote(column.name)} IS NULL)" if column.is_nullable else bound


def _is_of(mark: Mark | None, cursor: CursorOrder) -> bool:
    return mark is not None and mark.field == cursor.field


def _find_loss(
    since: Mark | None, cursor: CursorOrder, proof: dict[str, str]
) -> MarkLostReason | None:
    """What one of them does not tell is no difference."""
    if since is None or not _is_of(since, cursor):
        return None
    for name, reason in (
        ("server", MarkLostReason.OTHER_SERVER),
        ("file", MarkLostReason.TRUNCATED),
    ):
        old, new = since.proof.get(name), proof.get(name)
        if old and new and old != new:
            return reason
    return None


def _identify(session: MysqlSession) -> dict[str, str]:
    """MySQL has a name of its own for each server; MariaDB has none that is always told apart."""
    try:
        return {"server": str(session.ask("SELECT @@server_uuid")[0][0])}
    except pymysql.Error as exc:
        if not session.open:
            raise
        del exc
        return {}


def _find_bound(
    session: MysqlSession, found: MysqlRelation, column: MysqlColumn, cursor: CursorOrder
) -> tuple[str | None, str]:
    """The text of the mark, and a warning."""
    table = f"{quote(found.schema)}.{quote(found.name)}"
    highest = f"MAX({quote(column.name)})"
    if not column.is_moment:
        row = session.ask(f"SELECT CAST({highest} AS CHAR) FROM {table}")  # noqa: S608 — names are quoted
        return row[0][0], _NO_TIME.format(column.name)
    age_us, is_blind = _find_oldest(session)
    moments = [f"{now} - INTERVAL {age_us} MICROSECOND" for now in _nows(column)]
    bound = f"LEAST({highest}, {', '.join(moments)}) - INTERVAL {cursor.lag_s or 0} SECOND"
    if column.data_type == "date":
        bound = f"DATE({bound})"
    query = f"SELECT CAST(IF({highest} IS NULL, NULL, {bound}) AS CHAR) FROM {table}"  # noqa: S608 — names are quoted
    row = session.ask(query)
    return row[0][0], BLIND if is_blind and cursor.lag_s is None else ""


def _nows(column: MysqlColumn) -> list[str]:
    """The present as a writer may have written it. A column without a zone holds UTC or the server's time."""
    utc = "UTC_TIMESTAMP(6)"
    if column.data_type == "timestamp":
        return [utc]
    own = f"CONVERT_TZ({utc}, '+00:00', @@GLOBAL.time_zone)"
    system = f"CONVERT_TZ({utc}, '+00:00', {literal('SYSTEM')})"
    return [utc, f"COALESCE({own}, {utc})", f"COALESCE({system}, {utc})"]


def _find_oldest(session: MysqlSession) -> tuple[int, bool]:
    """The age of the oldest open transaction in microseconds, and whether others' cannot be seen."""
    try:
        return max(0, int(session.ask(_OLDEST)[0][0])), False
    except pymysql.Error as exc:
        if number_of(exc) != PROCESS_NEEDED:
            raise
        return 0, True
