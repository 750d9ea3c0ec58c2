"""Kind sql: tables of a database. Each engine brings its own source of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from farends.contract import Context
from farends.errors import AuthConfig
from farends.rows.contract import RowSource
from farends.spec import ROWS, Examine, Spec, Target, read_stored
from farends.sql.mysql import examination as mysql_examination
from farends.sql.mysql import source as mysql_source
from farends.sql.options import SqlOptions, SqlSecret
from farends.sql.postgresql import connection as postgresql_connection
from farends.sql.postgresql import examination as postgresql_examination
from farends.sql.postgresql import source as postgresql_source
from farends.stages import StageResult
from farends.watched import WatchedConnection

PORT = 5432
MYSQL_PORT = 3306


@dataclass(frozen=True, slots=True)
class Engine:
    """What one kind of server needs of its own."""

    port: int
    open_rows: Callable[[Target, Context], RowSource]
    examine: Examine
    reach: Callable[[Target, Context], None]  # as in `Spec`


_MYSQL = Engine(
    MYSQL_PORT,
    mysql_source.open_mysql_source,
    mysql_examination.examine_mysql,
    mysql_examination.reach_mysql,
)
ENGINES: dict[str, Engine] = {
    "postgresql": Engine(
        PORT,
        postgresql_source.open_source,
        postgresql_examination.examine_postgresql,
        postgresql_examination.reach_postgresql,
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}


def _engine(target: Target) -> Engine:
    try:
        return ENGINES[target.options.engine]
    except KeyError:
        raise AuthConfig(f"this installation does not read {target.options.engine}") from None


def _examine(target: Target, context: Context) -> Iterator[StageResult]:
    return _engine(target).examine(target, context)


def _reach(target: Target, context: Context) -> None:
    _engine(target).reach(target, context)


def _open_rows(target: Target, context: Context) -> RowSource:
    return _engine(target).open_rows(target, context)


def _open_database(target: Target, context: Context) -> WatchedConnection:
    if target.options.engine != "postgresql":
        raise AuthConfig("tables are filled in PostgreSQL alone")
    return postgresql_connection.connect(target, context)


def _port_for(stored: Mapping[str, Any]) -> int:
    engine = ENGINES.get(str(stored.get("engine")))
    return PORT if engine is None else engine.port


def _schemas_for(stored: Mapping[str, Any]) -> tuple[str, ...]:
    options = read_stored(SqlOptions, stored)
    can_write = options.writable and options.engine == "postgresql"
    return options.schemas if can_write else ()


def _database_for(stored: Mapping[str, Any]) -> str:
    return read_stored(SqlOptions, stored).database


SPEC = Spec(
    kind="sql",
    title="SQL database",
    default_port=PORT,
    options=SqlOptions,
    secret=SqlSecret,
    open_rows=_open_rows,
    open_database=_open_database,
    far_end=ROWS,
    reach=_reach,
    examine=_examine,
    port_for=_port_for,
    schemas_for=_schemas_for,
    database_for=_database_for,
)
