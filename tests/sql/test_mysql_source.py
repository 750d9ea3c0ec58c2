"""MariaDB as a source of rows: values, cursors, late commits, names, and rows that do not fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from farends.errors import AuthRefused, PermissionRefused, RootMissing, SchemaGone, TlsRefused
from farends.probe import probe
from farends.rows.contract import CursorOrder, KeyFrom, MarkLostReason, Reading
from farends.sql.kind import SPEC
from farends.sql.mysql.marks import BLIND
from farends.sql.mysql.source import MysqlSource
from farends.stages import StageOutcome
from tests.conformance.rows.loading import Loader
from tests.hosts.mariadb import (
    MysqlDatabase,
    run_all,
)
from tests.hosts.sinks import loopback_context
from tests.sql.mysql_values import VALUES

UPDATED = CursorOrder("updated")


@pytest.fixture
def mysql_source(mysql_database: MysqlDatabase) -> Iterator[MysqlSource]:
    source = mysql_database.open()
    yield source
    source.close()


def begin(source: MysqlSource, table: str, cursor: CursorOrder | None = None, **more: Any) -> Any:
    found = source.describe({"table": table})
    return source.begin(Reading(found.spec, found.columns, found.key, cursor, **more))


def read(source: MysqlSource, loader: Loader) -> list[dict[str, str | None]]:
    return loader.load(source.read())


def test_t14_each_value_is_what_it_was(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader
) -> None:
    nulled = 0
    for name, (kind, value, held, text) in VALUES.items():
        mysql_database.run(
            f"CREATE TABLE `{name}` (id INT PRIMARY KEY, v {kind} NULL)",
            f"INSERT INTO `{name}` VALUES (1, {value}), (2, NULL)",  # noqa: S608 — of this test
        )
        assert mysql_source.describe({"table": name}).columns[1].type == held, name
        begin(mysql_source, name)
        chunks = list(mysql_source.read())
        assert [row["v"] for row in loader.load(chunks)] == [text, None], name
        nulled += sum(chunk.nulled for chunk in chunks)
    assert nulled == 2


def test_t14_a_date_with_a_part_of_zero_is_refused_by_the_type_that_holds_dates(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource
) -> None:
    mysql_database.run(
        "CREATE TABLE parts (id INT PRIMARY KEY, v DATE)",
        "INSERT INTO parts VALUES (1, '2025-00-15')",
    )
    begin(mysql_source, "parts")
    [chunk] = mysql_source.read()
    assert chunk.rows == [b"1\t2025-00-15\n"]
    assert chunk.nulled == 0


def test_t15_a_row_with_nul_in_its_text_is_set_apart(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader
) -> None:
    mysql_database.run(
        "CREATE TABLE nuls (id INT PRIMARY KEY, v TEXT)",
        "INSERT INTO nuls VALUES (1, 'fine'), (2, CONCAT('a', CHAR(0), 'b')), (3, 'fine')",
    )
    begin(mysql_source, "nuls")
    chunks = list(mysql_source.read())
    assert [row["id"] for row in loader.load(chunks)] == ["1", "3"]
    [bad] = [bad for chunk in chunks for bad in chunk.bad]
    assert (bad.code, bad.column, bad.key) == ("encoding", "v", {"id": "2"})
    assert bad.raw == b"2\ta\0b\n"


def test_t02_a_row_that_is_committed_late_is_read_by_the_next_reading(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader
) -> None:
    mysql_database.run(
        "CREATE TABLE late (id INT PRIMARY KEY, updated DATETIME(6))",
        "INSERT INTO late VALUES (1, UTC_TIMESTAMP(6))",
    )
    writer = mysql_database.connect()
    run_all(writer, "INSERT INTO late VALUES (2, UTC_TIMESTAMP(6))")
    mysql_database.run("INSERT INTO late VALUES (3, UTC_TIMESTAMP(6) + INTERVAL 10 SECOND)")
    mark = begin(mysql_source, "late", UPDATED).mark
    assert [row["id"] for row in read(mysql_source, loader)] == ["1", "3"]
    writer.commit()
    writer.close()
    begin(mysql_source, "late", UPDATED, since=mark)
    assert "2" in [row["id"] for row in read(mysql_source, loader)]


@pytest.mark.parametrize("kind", ["DATETIME(6)", "TIMESTAMP(6)", "DATE", "BIGINT"])
def test_t01_t04_rows_at_the_mark_are_read_again_and_none_is_missed(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader, kind: str
) -> None:
    values = (
        ["7", "8"]
        if kind == "BIGINT"
        else ["'2026-01-01 00:00:00.123456'", "'2026-01-01 00:00:00.123457'"]
    )
    mysql_database.run(
        f"CREATE TABLE ties (id INT PRIMARY KEY, updated {kind} NULL)",
        f"INSERT INTO ties VALUES (1, {values[0]}), (2, {values[1]})",  # noqa: S608 — of this test
    )
    begun = begin(mysql_source, "ties", UPDATED)
    mysql_database.run(f"INSERT INTO ties VALUES (3, {values[1]}), (4, NULL)")  # noqa: S608 — of this test
    begin(mysql_source, "ties", UPDATED, since=begun.mark)
    found = [row["id"] for row in read(mysql_source, loader)]
    assert {"2", "3", "4"} <= set(found)
    assert ("1" in found) == (kind == "DATE")
    assert bool(begun.warning) == (kind == "BIGINT")


def test_a_truncated_table_has_lost_its_mark(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource
) -> None:
    mysql_database.run(
        "CREATE TABLE cut (id INT PRIMARY KEY, updated DATETIME)",
        "INSERT INTO cut VALUES (1, '2026-01-01')",
    )
    mark = begin(mysql_source, "cut", UPDATED).mark
    assert mark.proof["file"]
    old = mark.proof | {"file": "2001-01-01 00:00:00"}
    lost = begin(
        mysql_source, "cut", UPDATED, since=type(mark)(mark.kind, mark.field, mark.text, old)
    ).lost
    assert lost is MarkLostReason.TRUNCATED


def test_who_may_not_see_transactions_is_told(mysql_database: MysqlDatabase) -> None:
    mysql_database.run(
        "CREATE TABLE seen (id INT PRIMARY KEY, updated DATETIME)",
        "INSERT INTO seen VALUES (1, '2026-01-01')",
        "CREATE OR REPLACE USER 'blind'@'%' IDENTIFIED BY 'x'",
        f"GRANT SELECT ON {mysql_database.name}.* TO 'blind'@'%'",
    )
    source = mysql_database.open(username="blind", password="x")
    assert begin(source, "seen", UPDATED).warning == BLIND
    assert begin(source, "seen", CursorOrder("updated", lag_s=60)).warning == ""
    source.close()
    target = mysql_database.target(username="blind", password="x")
    told = {one.stage.value: one for one in probe(SPEC, target, loopback_context())}
    assert {stage: one.outcome for stage, one in told.items()} == {
        "resolve": StageOutcome.PASSED,
        "connect": StageOutcome.PASSED,
        "identity": StageOutcome.SKIPPED,
        "log_in": StageOutcome.PASSED,
        "list": StageOutcome.PASSED,
        "read": StageOutcome.PASSED,
        "clock": StageOutcome.PASSED,
        "features": StageOutcome.PASSED,
    }
    assert BLIND in told["features"].detail


def test_t16_names_and_values_of_every_kind_are_data(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader
) -> None:
    name, column = "x; DROP TABLE victim;-- `%s {}", 'a"b `c` \\'
    quoted = [text.replace("`", "``") for text in (name, column)]
    mysql_database.run(
        "CREATE TABLE victim (id INT PRIMARY KEY)",
        f"CREATE TABLE `{quoted[0]}` (`select` VARCHAR(20) PRIMARY KEY, `{quoted[1]}` TEXT)",
    )
    with mysql_database.session.cursor() as cursor:
        statement = f"INSERT INTO `{quoted[0]}` VALUES (%s, %s)".replace("`%s {}", "`%%s {}")  # noqa: S608 — of this test
        cursor.execute(statement, ("'; --\\", "%s {}\t"))
    found = mysql_source.describe({"table": name, "schema": mysql_database.name})
    assert [one.name for one in found.columns] == ["select", column]
    mysql_source.begin(Reading(found.spec, found.columns, found.key))
    [chunk] = mysql_source.read()
    assert loader.load([chunk]) == [{"select": "'; --\\", column: "%s {}\t"}]
    rows = mysql_source.read_rows([{"select": "'; --\\"}])
    assert [len(one.rows) for one in rows] == [1]
    assert list(mysql_source.read({"key": ["'; --\\"], "is_whole": False})) == []
    assert mysql_source.describe({"table": "victim"}).key_from is KeyFrom.PRIMARY


def test_doubles_of_keys_are_counted_at_the_source(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource
) -> None:
    mysql_database.run(
        "CREATE TABLE twice (id INT, v TEXT)",
        "INSERT INTO twice VALUES (1, 'a'), (1, 'b'), (2, 'c')",
    )
    found = mysql_source.describe({"table": "twice"})
    assert (found.key, found.key_from) == (("id",), KeyFrom.PROPOSED)
    mysql_source.begin(Reading(found.spec, found.columns, ("id",)))
    assert mysql_source.count_doubles([{"id": "1"}, {"id": "2"}]) == [{"id": "1"}]


def test_a_row_that_the_server_may_not_send_is_set_apart(
    mysql_database: MysqlDatabase, mysql_source: MysqlSource, loader: Loader
) -> None:
    mysql_database.run(
        "CREATE TABLE big (id INT PRIMARY KEY, a LONGTEXT, b LONGTEXT)",
        "INSERT INTO big VALUES (1, 'fine', 'fine')",
        "INSERT INTO big VALUES (2, REPEAT('x', 10000000), REPEAT('y', 10000000))",
        "INSERT INTO big VALUES (3, REPEAT('z', 15000000), '')",
    )
    begin(mysql_source, "big")
    chunks = list(mysql_source.read())
    rows = loader.load(chunks)
    assert [(row["id"], len(row["a"] or "")) for row in rows] == [("1", 4), ("3", 15_000_000)]
    assert [bad.code for chunk in chunks for bad in chunk.bad] == ["too_large"]


def test_what_is_gone_or_refused_is_said(mysql_database: MysqlDatabase) -> None:
    mysql_database.run("CREATE TABLE here (id INT PRIMARY KEY, updated DATETIME)")
    source = mysql_database.open()
    found = source.describe({"table": "here"})
    mysql_database.run("ALTER TABLE here DROP COLUMN updated")
    with pytest.raises(SchemaGone):
        source.begin(Reading(found.spec, found.columns, ("id",), UPDATED))
    source.close()
    with pytest.raises(AuthRefused):
        mysql_database.open(password="wrong")
    with pytest.raises(RootMissing):
        mysql_database.open(database="nowhere")
    mysql_database.run("CREATE OR REPLACE USER 'nobody'@'%' IDENTIFIED BY 'x'")
    with pytest.raises(PermissionRefused):
        mysql_database.open(username="nobody", password="x")
    with pytest.raises(TlsRefused):
        mysql_database.open(tls="require")
