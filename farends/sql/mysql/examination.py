"""The connection test of a MySQL or MariaDB database, and what shows without a log-in that it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pymysql

from farends.contract import Context
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
)
from farends.reaching import way_to
from farends.rows.contract import Entity, EntityKind
from farends.spec import Target
from farends.sql.mysql.connection import MysqlSession, connect_mysql
from farends.sql.mysql.errors import PROCESS_NEEDED, mysql_mapped, number_of
from farends.sql.mysql.marks import BLIND
from farends.sql.mysql.source import MysqlSource
from farends.sql.options import SqlOptions
from farends.stages import StageOutcome, StageResult, judge_clock, tell_failure

_SET_CLOCK = "Set the server's clock (NTP): a cursor of time is held against it."
_CHECK_DATABASE = "Check options.database: the database as the server names it."
_GRANT_SELECT = "GRANT SELECT on the tables to this user."
_GRANT_PROCESS = "GRANT PROCESS ON *.* lets it see them."
_READ_ONLY = "tables are filled in PostgreSQL alone"
_SLICE_S = 0.2


def examine_mysql(target: Target, context: Context) -> Iterator[StageResult]:
    try:
        session = connect_mysql(target, context)
    except RootMissing as exc:
        yield replace(tell_failure(exc), advice=_CHECK_DATABASE)
        return
    with closing(MysqlSource(target, context, session)) as source, mysql_mapped():
        asked_at = time.time()
        [(clock, user)] = session.ask("SELECT UNIX_TIMESTAMP(NOW(6)), CURRENT_USER()")
        skew_s = round(float(clock) - (asked_at + time.time()) / 2, 1)
        yield _judge_tls(target.options, session)
        yield _passed(ConnectionStage.LOG_IN, f"as {user}")
        entities = list(source.entities())
        yield _list(entities)
        yield _read(source, entities)
        yield judge_clock(skew_s, _SET_CLOCK)
        yield _judge_features(target.options, source, session)


def _judge_tls(options: SqlOptions, session: MysqlSession) -> StageResult:
    stage = ConnectionStage.IDENTITY
    if options.tls == "off":
        words = "no TLS: everybody on the way reads along"
        return StageResult(stage, StageOutcome.SKIPPED, words)
    told = dict(session.ask("SHOW STATUS WHERE Variable_name IN ('Ssl_version', 'Ssl_cipher')"))
    shown = "" if options.tls == "verify" else "; the certificate is not verified"
    return _passed(stage, f"{told.get('Ssl_version')}, {told.get('Ssl_cipher')}{shown}")


def _list(entities: list[Entity]) -> StageResult:
    tables = sum(one.kind is EntityKind.TABLE for one in entities)
    words = f"{tables} tables and {len(entities) - tables} views that this user may read"
    advice = "" if entities else _GRANT_SELECT
    return StageResult(ConnectionStage.LIST, StageOutcome.PASSED, words, advice)


def _read(source: MysqlSource, entities: list[Entity]) -> StageResult:
    stage = ConnectionStage.READ
    if not entities:
        return StageResult(stage, StageOutcome.SKIPPED, "there is no table to read")
    first = next((one for one in entities if one.kind is EntityKind.TABLE), entities[0])
    source.preview(first.spec, 1)
    return _passed(stage, f"read from {first.name!r}")


def _judge_features(options: SqlOptions, source: MysqlSource, session: MysqlSession) -> StageResult:
    stage = ConnectionStage.FEATURES
    if options.writable:
        return tell_failure(PermissionRefused(_READ_ONLY, stage=stage))
    told, advice = [source.capabilities.server_software], ""
    try:
        session.ask("SELECT 1 FROM information_schema.INNODB_TRX LIMIT 1")
    except pymysql.Error as exc:
        if number_of(exc) != PROCESS_NEEDED:
            raise
        told.append(BLIND)
        advice = _GRANT_PROCESS
    return StageResult(stage, StageOutcome.PASSED, "; ".join(told), advice)


def _passed(stage: ConnectionStage, detail: str) -> StageResult:
    return StageResult(stage, StageOutcome.PASSED, detail)


def reach_mysql(target: Target, context: Context) -> None:
    """Shows that a server greets as MySQL and MariaDB do. Raises TransportError's children."""
    way = way_to(target, context)
    deadline = time.monotonic() + way.patience.connect_s
    stage = ConnectionStage.CONNECT
    with way.dialer.dial(target.host, target.port, timeout_s=way.patience.connect_s) as made:
        made.settimeout(_SLICE_S)
        greeting = b""
        while len(greeting) < 5:  # a packet's head, and the version of the protocol or an error
            way.check()
            if time.monotonic() >= deadline:
                raise Stalled("the server took too long to answer", stage=stage)
            try:
                came = made.recv(5 - len(greeting))
            except TimeoutError:
                continue
            except OSError as exc:
                raise ConnectionLost(f"the connection failed: {exc}", stage=stage) from exc
            if not came:
                raise ConnectionLost("the server ended the connection", stage=stage)
            greeting += came
    if greeting[3] != 0 or greeting[4] not in (10, 255):
        raise ProtocolViolation("no MySQL or MariaDB server answers there", stage=stage)
