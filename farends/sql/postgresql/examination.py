"""The connection test of a PostgreSQL database, and what shows without a log-in that it is there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from database.rows import fetch_rows
from farends.contract import Context
from farends.errors import (
    ConnectionLost,
    ConnectionStage,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    Stalled,
    TlsRefused,
)
from farends.reaching import way_to
from farends.rows.contract import Entity, EntityKind
from farends.spec import Target
from farends.sql.options import SqlOptions
from farends.sql.postgresql.connection import connect
from farends.sql.postgresql.errors import does_without_tls, mapped
from farends.sql.postgresql.marks import BLIND
from farends.sql.postgresql.source import PostgresSource
from farends.stages import StageOutcome, StageResult, judge_clock, tell_failure

_SET_CLOCK = "Set the server's clock (NTP): a cursor of time is held against it."
_CHECK_DATABASE = "Check options.database: the database as the server names it."
_SWITCH_TLS_ON = "Let the server speak TLS (ssl = on). Only where nobody on the way may read along: set options.tls to off."
_GRANT = "GRANT pg_read_all_stats TO {} lets it see them; xmin as the cursor needs no right."
_GRANT_SELECT = "GRANT SELECT on the tables, and USAGE on their schemas, to this user."
_GRANT_CREATE = "Make the schemas, and GRANT USAGE, CREATE ON SCHEMA … TO {}."

# PostgreSQL 18 docs, "Message Formats", SSLRequest. The answer is one byte, without any log-in.
_SSL_REQUEST = b"\x00\x00\x00\x08\x04\xd2\x16\x2f"
_SLICE_S = 0.2

_FACTS = """
SELECT extract(epoch FROM clock_timestamp())::float8 AS clock, current_user::text AS username,
       pg_is_in_recovery() AS is_standby, pg_has_role(current_user, 'pg_read_all_stats', 'USAGE') AS sees_all,
       (SELECT version || ', ' || cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls"""
_CLOSED = """
SELECT s.name FROM unnest(%s::text[]) AS s(name) LEFT JOIN pg_namespace n ON n.nspname = s.name
 WHERE n.oid IS NULL OR NOT has_schema_privilege(n.oid, 'USAGE') OR NOT has_schema_privilege(n.oid, 'CREATE')"""


@dataclass(frozen=True, slots=True)
class _Facts:
    clock: float
    username: str
    is_standby: bool
    sees_all: bool
    tls: str | None


def examine_postgresql(target: Target, context: Context) -> Iterator[StageResult]:
    try:
        connection = connect(target, context)
    except RootMissing as exc:
        yield replace(tell_failure(exc), advice=_CHECK_DATABASE)
        return
    except TlsRefused as exc:
        if not does_without_tls(exc):
            raise
        yield replace(tell_failure(exc), advice=_SWITCH_TLS_ON)
        return
    with closing(connection), mapped():
        asked_at = time.time()
        (facts,) = fetch_rows(connection.execute(_FACTS), _Facts)
        skew_s = round(facts.clock - (asked_at + time.time()) / 2, 1)
        yield _judge_tls(target.options, facts)
        yield _passed(ConnectionStage.LOG_IN, f"as {facts.username}")
        source = PostgresSource(connection, way_to(target, context))
        entities = list(source.entities())
        yield _list(entities)
        yield _read(source, entities)
        yield judge_clock(skew_s, _SET_CLOCK)
        yield _judge_features(target.options, facts, source, connection)


def _judge_tls(options: SqlOptions, facts: _Facts) -> StageResult:
    stage = ConnectionStage.IDENTITY
    if facts.tls is None:
        words = "no TLS: everybody on the way reads along"
        return StageResult(stage, StageOutcome.SKIPPED, words)
    shown = "" if options.tls == "verify" else "; the certificate is not verified"
    return _passed(stage, facts.tls + shown)


def _list(entities: list[Entity]) -> StageResult:
    tables = sum(one.kind is EntityKind.TABLE for one in entities)
    words = f"{tables} tables and {len(entities) - tables} views that this user may read"
    return StageResult(
        ConnectionStage.LIST, StageOutcome.PASSED, words, "" if entities else _GRANT_SELECT
    )


def _read(source: PostgresSource, entities: list[Entity]) -> StageResult:
    stage = ConnectionStage.READ
    if not entities:
        return StageResult(stage, StageOutcome.SKIPPED, "there is no table to read")
    first = next((one for one in entities if one.kind is EntityKind.TABLE), entities[0])
    source.preview(first.spec, 1)
    return _passed(stage, f"read from {first.name!r}")


def _judge_features(
    options: SqlOptions,
    facts: _Facts,
    source: PostgresSource,
    connection: psycopg.Connection[Any],
) -> StageResult:
    stage = ConnectionStage.FEATURES
    told = [source.capabilities.server_software]
    if facts.is_standby:
        told.append("a standby: xmin is not proposed as a cursor")
    if not facts.sees_all:
        told.append(BLIND)
    advice = "" if facts.sees_all else _GRANT.format(facts.username)
    if options.writable:
        closed = [str(name) for (name,) in connection.execute(_CLOSED, [list(options.schemas)])]
        if facts.is_standby or closed:
            words = (
                "a standby takes no tables"
                if facts.is_standby
                else (f"this user may not make tables in {', '.join(closed)}")
            )
            refused = tell_failure(PermissionRefused(words, stage=stage))
            return replace(refused, advice=_GRANT_CREATE.format(facts.username))
        told.append(f"may fill tables in {', '.join(options.schemas)}")
    return StageResult(stage, StageOutcome.PASSED, "; ".join(told), advice)


def _passed(stage: ConnectionStage, detail: str) -> StageResult:
    return StageResult(stage, StageOutcome.PASSED, detail)


def reach_postgresql(target: Target, context: Context) -> None:
    """Shows that a PostgreSQL server is there. Raises TransportError's children."""
    way = way_to(target, context)
    deadline = time.monotonic() + way.patience.connect_s
    with way.dialer.dial(target.host, target.port, timeout_s=way.patience.connect_s) as made:
        try:
            made.sendall(_SSL_REQUEST)
            made.settimeout(_SLICE_S)
            answer = None
            while answer is None:
                way.check()
                if time.monotonic() >= deadline:
                    raise Stalled(
                        "the server took too long to answer", stage=ConnectionStage.CONNECT
                    )
                try:
                    answer = made.recv(1)
                except TimeoutError:
                    continue
        except OSError as exc:
            raise ConnectionLost(
                f"the connection failed: {exc}", stage=ConnectionStage.CONNECT
            ) from exc
    if not answer:
        raise ConnectionLost("the server ended the connection", stage=ConnectionStage.CONNECT)
    if answer not in (b"S", b"N", b"E"):
        raise ProtocolViolation("no PostgreSQL server answers there", stage=ConnectionStage.CONNECT)
