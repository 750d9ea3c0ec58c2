"""PostgreSQL as a source of rows: what it offers, and what a reading gives."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace

import psycopg
import pytest
from psycopg import sql

from farends.errors import PermissionRefused, RootMissing, SchemaGone, Throttled
from farends.rows.contract import (
    CursorOrder,
    Encoding,
    EntityKind,
    KeyFrom,
    Mark,
    MarkKind,
    MarkLostReason,
    Reading,
)
from farends.sql.postgresql.source import PostgresSource
from tests.conformance.rows.loading import Loader
from tests.hosts.databases import Database, making_database
from tests.hosts.debian_postgres import running_postgres
from tests.sql.values import TYPES, VALUES

MAJOR = 18  # of the PostgreSQL of this test run, and of the loader
XMIN = CursorOrder("xmin")
ITEMS = "CREATE TABLE items (id bigint PRIMARY KEY, v text, at timestamptz, day date)"


@pytest.fixture(scope="module")
def older_database() -> Iterator[Database]:
    with running_postgres(settings=["max_connections=20"]) as url, making_database(url) as made:
        yield made


def run(database: Database, *statements: str) -> None:
    for statement in statements:
        database.session.execute(statement.encode())


def reading_of(
    source: PostgresSource,
    table: str,
    cursor: CursorOrder | None = None,
    since: Mark | None = None,
    *,
    major: int = 0,
) -> Reading:
    found = source.describe({"schema": "public", "table": table})
    return Reading(found.spec, found.columns, found.key, cursor, since, postgres_major=major)


def sync(
    source: PostgresSource, loader: Loader, table: str, cursor: CursorOrder, since: Mark | None
) -> tuple[Mark, list[str]]:
    """The next mark, and the ids that were read."""
    begun = source.begin(reading_of(source, table, cursor, since))
    assert begun.mark is not None
    assert begun.lost is None
    return begun.mark, ids(loader.load(source.read()))


def ids(rows: Iterable[dict[str, str | None]]) -> list[str]:
    return sorted(str(row["id"]) for row in rows)


@pytest.mark.parametrize("cursor", [XMIN, CursorOrder("at")], ids=["xmin", "column"])
def test_t01_a_row_with_the_marks_own_value_is_read(
    database: Database, pg_source: PostgresSource, loader: Loader, cursor: CursorOrder
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', '2026-01-01 00:00:00.5+00')")
    mark, _ = sync(pg_source, loader, "items", cursor, None)
    run(database, "INSERT INTO items VALUES (2, 'b', '2026-01-01 00:00:00.5+00')")
    _, read = sync(pg_source, loader, "items", cursor, mark)
    assert "2" in read


@pytest.mark.parametrize("cursor", [XMIN, CursorOrder("at")], ids=["xmin", "column"])
def test_t02_a_row_that_is_committed_late_is_read(
    database: Database, pg_source: PostgresSource, loader: Loader, cursor: CursorOrder
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', now())")
    with database.connect() as late:
        late.execute("INSERT INTO items VALUES (2, 'late', now())")
        run(database, "INSERT INTO items VALUES (3, 'in time', now())")
        mark, read = sync(pg_source, loader, "items", cursor, None)
        assert read == ["1", "3"]
        late.commit()
    mark, read = sync(pg_source, loader, "items", cursor, mark)
    assert "2" in read
    _, read = sync(pg_source, loader, "items", cursor, mark)
    assert "1" not in read


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Lima"])
def test_t02_a_late_row_is_read_by_a_time_without_a_zone(
    database: Database, pg_source: PostgresSource, loader: Loader, zone: str
) -> None:
    """Writers write it in UTC, or in the zone that the server gives them."""
    run(database, "CREATE TABLE items (id int PRIMARY KEY, at timestamp)")
    insert = "INSERT INTO items VALUES (%s, now() AT TIME ZONE %s)"
    server_zone = sql.SQL("ALTER DATABASE {} SET timezone TO {}")
    database.session.execute(server_zone.format(sql.Identifier(database.name), sql.Literal(zone)))
    with database.connect() as late, closing(database.open()) as source:
        late.execute(insert, [2, zone])
        database.session.execute(insert, [3, zone])
        mark, read = sync(source, loader, "items", CursorOrder("at"), None)
        assert read == ["3"]
        late.commit()
        _, read = sync(source, loader, "items", CursorOrder("at"), mark)
    assert "2" in read
    reset = sql.SQL("ALTER DATABASE {} RESET timezone")
    database.session.execute(reset.format(sql.Identifier(database.name)))


def test_t02_an_open_transaction_that_has_written_nothing_yet_holds_the_mark(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', now())")
    with database.connect() as late:
        late.execute("SELECT now()")
        run(database, "INSERT INTO items VALUES (3, 'in time', now())")
        mark, _ = sync(pg_source, loader, "items", CursorOrder("at"), None)
        late.execute("INSERT INTO items VALUES (2, 'late', now())")
        late.commit()
    _, read = sync(pg_source, loader, "items", CursorOrder("at"), mark)
    assert "2" in read


def test_t03_rows_without_a_cursor_are_read_each_time_and_counted(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS)
    run(database, "INSERT INTO items SELECT g, 'n' FROM generate_series(1, 3) g")
    run(database, "INSERT INTO items VALUES (4, 'a', '2026-01-01')")
    mark = None
    for _ in range(3):
        begun = pg_source.begin(reading_of(pg_source, "items", CursorOrder("at"), mark))
        mark = begun.mark
        chunks = list(pg_source.read())
        assert {"1", "2", "3"} <= set(ids(loader.load(chunks)))
        assert sum(chunk.without_cursor for chunk in chunks) == 3
        assert sum(chunk.without_cursor for chunk in pg_source.read(chunks[-1].resume)) == 0


def test_t04_a_cursor_is_the_sources_own_text(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(
        database,
        ITEMS,
        "INSERT INTO items VALUES (1, 'a', '2026-01-01 00:00:00.123456+00', '2026-01-01')",
        "INSERT INTO items VALUES (2, 'a', '2026-01-01 00:00:00.123457+00', '2026-01-01')",
    )
    mark, _ = sync(pg_source, loader, "items", CursorOrder("at"), None)
    assert mark.to_json() | {"proof": {}} == {
        "kind": "column",
        "field": "at",
        "text": "2026-01-01 00:00:00.123457+00",
        "proof": {},
    }
    _, read = sync(pg_source, loader, "items", CursorOrder("at"), mark)
    assert read == ["2"]
    day, _ = sync(pg_source, loader, "items", CursorOrder("day"), None)
    assert day.text == "2026-01-01"
    run(database, "INSERT INTO items VALUES (3, 'same day', now(), '2026-01-01')")
    _, read = sync(pg_source, loader, "items", CursorOrder("day"), day)
    assert read == ["1", "2", "3"]


def test_a_cursor_with_a_lag_reads_so_much_again(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS)
    run(database, "INSERT INTO items SELECT g, '', timestamptz '2026-01-01' + g * interval '1 min' FROM generate_series(1, 10) g")  # fmt: skip
    cursor = CursorOrder("at", lag_s=120)
    mark, _ = sync(pg_source, loader, "items", cursor, None)
    assert mark.text == "2026-01-01 00:08:00+00"
    _, read = sync(pg_source, loader, "items", cursor, mark)
    assert read == ["10", "8", "9"]


def test_a_cursor_in_the_future_does_not_run_ahead_of_the_clock(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', 'infinity'), (2, 'b', '2999-01-01')")
    mark, _ = sync(pg_source, loader, "items", CursorOrder("at"), None)
    run(database, "INSERT INTO items VALUES (3, 'c', now())")
    _, read = sync(pg_source, loader, "items", CursorOrder("at"), mark)
    assert "3" in read


def test_a_user_who_sees_no_other_sessions_is_warned(database: Database) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', now())")
    with closing(database.open()) as source:
        warned = source.begin(reading_of(source, "items", CursorOrder("at")))
        assert "pg_read_all_stats" in warned.warning
        assert source.begin(reading_of(source, "items", CursorOrder("at", lag_s=60))).warning == ""
        assert source.begin(reading_of(source, "items", XMIN)).warning == ""


@pytest.mark.parametrize("major", [0, MAJOR], ids=["text", "binary"])
def test_t13_each_value_is_the_same_at_the_destination(
    database: Database, pg_source: PostgresSource, loader: Loader, major: int
) -> None:
    run(database, TYPES)
    for name, (kind, value, held) in VALUES.items():
        made = "CREATE TABLE {0} (id int PRIMARY KEY, v {1}); INSERT INTO {0} VALUES (1, {2}), (2, NULL)"
        run(database, made.format(name, kind, value))
        reading = reading_of(pg_source, name, major=major)
        assert reading.columns[1].type == held, name
        pg_source.begin(reading)
        told = database.session.execute(
            sql.SQL("SELECT v::text FROM {} ORDER BY id").format(sql.Identifier(name))
        )
        expected = [row[0] for row in told]
        assert [row["v"] for row in loader.load(pg_source.read())] == expected, name
        shown = pg_source.preview(reading.spec, 5)
        assert [row[1] for row in shown.rows] == expected, name


def test_rows_are_binary_where_both_ends_are_the_same_major(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', now()), (2, NULL, NULL)")
    for major, encoding in ((MAJOR, Encoding.BINARY), (MAJOR - 1, Encoding.TEXT)):
        pg_source.begin(reading_of(pg_source, "items", major=major))
        chunks = list(pg_source.read())
        assert {chunk.encoding for chunk in chunks} == {encoding}
        assert ids(loader.load(chunks)) == ["1", "2"]
    pg_source.begin(reading_of(pg_source, "items", major=MAJOR))
    assert ids(loader.load(pg_source.read_keys())) == ["1", "2"]
    run(database, "CREATE TABLE money (id int PRIMARY KEY, v money)")
    run(database, "INSERT INTO money VALUES (1, 2)")
    pg_source.begin(reading_of(pg_source, "money", major=MAJOR))
    assert {chunk.encoding for chunk in pg_source.read()} == {Encoding.TEXT}


HOSTILE = ('a"b', "x; DROP TABLE victim;--", "select", "%s {}", "tab\t", "Größe", "new\nline", "back\\slash", "it's", "Upper", "z" * 63)  # fmt: skip


def test_t16_every_name_is_a_name(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, "CREATE TABLE victim (id int PRIMARY KEY)")
    for name in HOSTILE:
        quoted = sql.Identifier(name)
        made = sql.SQL("CREATE TABLE {} ({} text PRIMARY KEY, at date)").format(quoted, quoted)
        database.session.execute(made)
        values = sql.SQL("INSERT INTO {} VALUES ({}, '2026-01-01'), ('b', NULL)")
        database.session.execute(values.format(quoted, sql.Literal(name)))
        for major in (0, MAJOR):
            cursor = CursorOrder("at")
            begun = pg_source.begin(reading_of(pg_source, name, cursor, major=major))
            chunks = list(pg_source.read())
            assert {row[name] for row in loader.load(chunks)} == {name, "b"}
            assert {row[name] for row in loader.load(pg_source.read_keys())} == {name, "b"}
            again = loader.load(pg_source.read_rows([{name: name}]))
            assert [row[name] for row in again] == [name]
            assert pg_source.count_doubles([{name: name}]) == []
            pg_source.begin(reading_of(pg_source, name, cursor, begun.mark, major=major))
            assert {row[name] for row in loader.load(pg_source.read())} == {name, "b"}
        assert len(pg_source.preview({"schema": "public", "table": name}, 5).rows) == 2
    offered = {entity.spec["table"] for entity in pg_source.entities()}
    assert offered == {*HOSTILE, "victim"}


@pytest.mark.parametrize("major", [0, MAJOR], ids=["text", "binary"])
def test_a_reading_goes_on_behind_any_key(
    database: Database, pg_source: PostgresSource, loader: Loader, major: int
) -> None:
    run(
        database,
        TYPES,
        "CREATE TABLE items (a mood, id text, b timestamptz, v text, PRIMARY KEY (a, id, b))",
        "INSERT INTO items SELECT m, E'\\t\\\\' || (g % 7), timestamptz '2026-01-01' + g * interval '1 us',"
        " repeat('x', 2000000) FROM generate_series(1, 5) g, unnest(enum_range(NULL::mood)) m",
    )
    pg_source.begin(reading_of(pg_source, "items", major=major))
    chunks = list(pg_source.read())
    assert len(chunks) > 2
    for kept in range(len(chunks)):
        rest = pg_source.read(chunks[kept].resume)
        loaded = loader.load([*chunks[: kept + 1], *rest])
        assert len(loaded) == len({(row["a"], row["id"], row["b"]) for row in loaded}) == 15


def test_xmin_sees_updates_that_nothing_stamped(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS, "INSERT INTO items SELECT g, 'a' FROM generate_series(1, 100) g")
    mark, read = sync(pg_source, loader, "items", XMIN, None)
    assert len(read) == 100
    run(database, "UPDATE items SET v = 'b' WHERE id = 42")
    mark, read = sync(pg_source, loader, "items", XMIN, mark)
    assert read == ["42"]
    _, read = sync(pg_source, loader, "items", XMIN, mark)
    assert read == []


def test_a_mark_too_old_for_32_bits_reads_all(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a')")
    mark, _ = sync(pg_source, loader, "items", XMIN, None)
    ancient = replace(mark, text=str(int(mark.text) - (1 << 31)))
    _, read = sync(pg_source, loader, "items", XMIN, ancient)
    assert read == ["1"]


LOST: dict[str, tuple[dict[str, str], str, MarkLostReason]] = {
    "another server": ({"server": "1"}, "", MarkLostReason.OTHER_SERVER),
    "another timeline": ({"timeline": "000000FF"}, "", MarkLostReason.WENT_BACK),
    "a number to come": ({}, "99999999999", MarkLostReason.WENT_BACK),
}


@pytest.mark.parametrize("case", LOST)
def test_a_mark_that_is_not_of_this_server_is_lost(
    database: Database, pg_source: PostgresSource, loader: Loader, case: str
) -> None:
    changed, text, reason = LOST[case]
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a')")
    mark, _ = sync(pg_source, loader, "items", XMIN, None)
    assert set(mark.proof) == {"server", "timeline", "file"}
    other = replace(mark, proof={**mark.proof, **changed}, text=text or mark.text)
    begun = pg_source.begin(reading_of(pg_source, "items", XMIN, other))
    assert begun.lost is reason
    assert begun.mark is not None
    assert ids(loader.load(pg_source.read())) == ["1"]


@pytest.mark.parametrize("cursor", [XMIN, CursorOrder("at")], ids=["xmin", "column"])
def test_a_truncated_table_loses_its_mark(
    database: Database, pg_source: PostgresSource, loader: Loader, cursor: CursorOrder
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a', '2026-01-01'), (2, 'b', '2025-01-01')")
    mark, _ = sync(pg_source, loader, "items", cursor, None)
    run(database, "TRUNCATE items", "INSERT INTO items VALUES (3, 'c', '2024-01-01')")
    begun = pg_source.begin(reading_of(pg_source, "items", cursor, mark))
    assert begun.lost is MarkLostReason.TRUNCATED
    assert ids(loader.load(pg_source.read())) == ["3"]


def test_a_partitioned_table_is_one_table(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(
        database,
        "CREATE TABLE items (id int, k int, PRIMARY KEY (id, k)) PARTITION BY RANGE (k)",
        "CREATE TABLE items_1 PARTITION OF items FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE items_2 PARTITION OF items FOR VALUES FROM (10) TO (20)",
        "INSERT INTO items SELECT g, g FROM generate_series(1, 19) g",
        "ANALYZE items_1",
        "ANALYZE items_2",
    )
    (entity,) = pg_source.entities()
    assert (entity.name, entity.kind, entity.key) == ("public.items", EntityKind.TABLE, ("id", "k"))
    assert entity.estimated_rows == 19
    assert entity.proposed_cursor == XMIN
    mark, read = sync(pg_source, loader, "items", XMIN, None)
    assert len(read) == 19
    run(database, "TRUNCATE items_2")
    begun = pg_source.begin(reading_of(pg_source, "items", XMIN, mark))
    assert begun.lost is MarkLostReason.TRUNCATED


def test_views_are_offered_with_what_can_be_known(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(
        database,
        ITEMS,
        "INSERT INTO items VALUES (1, 'a', '2026-01-01')",
        "CREATE VIEW v AS SELECT id, at AS updated_at FROM items",
        "CREATE MATERIALIZED VIEW m AS SELECT v AS text FROM items",
    )
    offered = {entity.spec["table"]: entity for entity in pg_source.entities()}
    assert {name: one.kind for name, one in offered.items()} == {
        "items": EntityKind.TABLE,
        "v": EntityKind.VIEW,
        "m": EntityKind.VIEW,
    }
    assert (offered["v"].key, offered["v"].key_from) == (("id",), KeyFrom.PROPOSED)
    assert offered["v"].proposed_cursor == CursorOrder("updated_at")
    assert (offered["m"].key, offered["m"].key_from) == ((), KeyFrom.NONE)
    assert offered["m"].proposed_cursor is None
    assert offered["items"].proposed_cursor == XMIN
    mark, _ = sync(pg_source, loader, "v", CursorOrder("updated_at"), None)
    assert mark.kind is MarkKind.COLUMN
    with pytest.raises(SchemaGone, match="xmin"):
        pg_source.begin(reading_of(pg_source, "v", XMIN))
    pg_source.begin(reading_of(pg_source, "m"))
    assert [chunk.resume for chunk in pg_source.read()] == [None]


def test_a_key_is_the_primary_one_or_a_unique_one_that_is_never_null(
    database: Database, pg_source: PostgresSource
) -> None:
    run(
        database,
        "CREATE TABLE wide (a int NOT NULL, b int NOT NULL, c int UNIQUE, UNIQUE (a, b))",
        "CREATE TABLE part (a int NOT NULL)",
        "CREATE UNIQUE INDEX ON part (a) WHERE a > 0",
        "CREATE UNIQUE INDEX ON part ((a + 1))",
        "CREATE TABLE parent (id int PRIMARY KEY)",
        "CREATE TABLE heir () INHERITS (parent)",
    )
    keys = {one.spec["table"]: (one.key, one.key_from) for one in pg_source.entities()}
    assert keys == {
        "wide": (("a", "b"), KeyFrom.UNIQUE),
        "part": ((), KeyFrom.NONE),
        "parent": (("id",), KeyFrom.PROPOSED),
        "heir": (("id",), KeyFrom.PROPOSED),
    }


def test_names_are_split_at_a_dot(database: Database, pg_source: PostgresSource) -> None:
    run(
        database,
        "CREATE TABLE plain (id int)",
        'DROP SCHEMA IF EXISTS "a.b" CASCADE',
        'CREATE SCHEMA "a.b"',
        'CREATE TABLE "a.b"."c.d" (id int)',
    )
    for spec in ({"table": "plain"}, {"table": "public.plain"}):
        assert pg_source.describe(spec).spec == {"schema": "public", "table": "plain"}
    assert pg_source.describe({"table": "a.b.c.d"}).spec == {"schema": "a.b", "table": "c.d"}
    for missing in ({"table": "nope"}, {"schema": "nope", "table": "plain"}, {}, {"table": "a\0"}):
        with pytest.raises(RootMissing):
            pg_source.describe(missing)
    run(database, 'DROP SCHEMA "a.b" CASCADE')


def test_what_may_not_be_read_is_not_offered(older_database: Database) -> None:
    run(
        older_database,
        "CREATE TABLE mine (id int PRIMARY KEY, open text, secret text)",
        "CREATE TABLE closed (id int)",
        "INSERT INTO mine VALUES (1, 'x', 'canary')",
        "CREATE ROLE reader LOGIN PASSWORD 'canary'",
        "GRANT SELECT (id, open) ON mine TO reader",
    )
    with closing(older_database.open(username="reader", password="canary")) as source:
        (entity,) = source.entities()
        assert [column.name for column in entity.columns] == ["id", "open"]
        assert source.preview(entity.spec, 5).rows == (("1", "x"),)
        with pytest.raises(PermissionRefused):
            source.describe({"table": "closed"})


def test_a_column_that_is_gone_is_said(database: Database, pg_source: PostgresSource) -> None:
    run(database, ITEMS)
    reading = reading_of(pg_source, "items", CursorOrder("at"))
    run(database, "ALTER TABLE items DROP COLUMN at")
    with pytest.raises(SchemaGone, match="at, which is the cursor"):
        pg_source.begin(reading)
    run(database, "ALTER TABLE items RENAME COLUMN id TO number")
    with pytest.raises(SchemaGone, match="id, which is of the key"):
        pg_source.begin(replace(reading, cursor=None))


def test_rows_without_a_key_are_told_apart(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    run(database, "CREATE TABLE items (id int, b int, v text)")
    run(database, "INSERT INTO items VALUES (1, 1, 'a'), (NULL, 1, 'b'), (NULL, NULL, 'c')")
    found = pg_source.describe({"table": "items"})
    pg_source.begin(Reading(found.spec, found.columns, ("id", "b")))
    chunks = list(pg_source.read())
    assert ids(loader.load(chunks)) == ["1"]
    bad = [bad for chunk in chunks for bad in chunk.bad]
    assert {(one.code, one.column, str(one.key)) for one in bad} == {
        ("value", "id", "{'id': None, 'b': '1'}"),
        ("value", "id", "{'id': None, 'b': None}"),
    }
    assert bad[0].values is not None
    assert bad[0].values["v"] in ("b", "c")


@pytest.mark.parametrize("major", [0, MAJOR], ids=["text", "binary"])
def test_a_row_that_is_too_large_is_told_apart(
    database: Database, pg_source: PostgresSource, loader: Loader, major: int
) -> None:
    run(database, ITEMS, "INSERT INTO items VALUES (1, 'a'), (3, 'c')")
    run(database, "INSERT INTO items VALUES (2, repeat('x', 65 * 1024 * 1024))")
    pg_source.begin(reading_of(pg_source, "items", major=major))
    chunks = list(pg_source.read())
    assert ids(loader.load(chunks)) == ["1", "3"]
    (bad,) = (bad for chunk in chunks for bad in chunk.bad)
    assert (bad.code, bad.key) == ("too_large", {"id": "2"})
    assert len(bad.raw) <= 65_536


def test_doubles_of_a_key_are_found(database: Database, pg_source: PostgresSource) -> None:
    run(database, "CREATE TABLE items (id int, v text)")
    run(database, "INSERT INTO items VALUES (1, 'a'), (2, 'b'), (2, 'c')")
    found = pg_source.describe({"table": "items"})
    pg_source.begin(Reading(found.spec, found.columns, ("id",)))
    assert pg_source.count_doubles([{"id": "1"}, {"id": "2"}, {"id": "3"}]) == [{"id": "2"}]


def test_a_reading_is_of_one_moment(
    database: Database, pg_source: PostgresSource, loader: Loader
) -> None:
    """A row whose key moves to where the reading has been is neither missed nor read twice."""
    run(database, ITEMS)
    run(database, "INSERT INTO items SELECT g, repeat('x', 1000000) FROM generate_series(1, 40) g")
    pg_source.begin(reading_of(pg_source, "items"))
    reading = pg_source.read()
    chunks = [next(reading)]
    run(database, "UPDATE items SET id = -id WHERE id > 30", "DELETE FROM items WHERE id = 30")
    chunks += list(reading)
    assert len(loader.load(chunks)) == 40


def test_nothing_can_be_written_by_reading(database: Database, pg_source: PostgresSource) -> None:
    run(
        database,
        "CREATE TABLE log (id int)",
        "CREATE FUNCTION noted() RETURNS int LANGUAGE sql AS 'INSERT INTO log VALUES (1) RETURNING 1'",
        "CREATE VIEW v AS SELECT noted() AS id",
    )
    with pytest.raises(PermissionRefused):
        pg_source.preview({"table": "v"}, 5)
    assert pg_source.describe({"table": "v"}).key == ("id",)


def test_a_limit_of_the_role_does_not_cut_a_reading(
    database: Database, opened_sources: Callable[..., PostgresSource]
) -> None:
    run(database, "CREATE VIEW v AS SELECT 1 AS id FROM pg_sleep(0.3)")
    limited = sql.SQL("ALTER DATABASE {} SET statement_timeout = '100ms'")
    database.session.execute(limited.format(sql.Identifier(database.name)))
    assert opened_sources().preview({"table": "v"}, 5).rows == (("1",),)
    reset = sql.SQL("ALTER DATABASE {} RESET statement_timeout")
    database.session.execute(reset.format(sql.Identifier(database.name)))


def test_another_major_is_read_in_text(older_database: Database, loader: Loader) -> None:
    run(older_database, ITEMS, "INSERT INTO items VALUES (1, 'a', now(), now())")
    with closing(older_database.open()) as source:
        mark, read = sync(source, loader, "items", XMIN, None)
        assert read == ["1"]
        pg = source.begin(reading_of(source, "items", XMIN, mark, major=MAJOR))
        assert pg.lost is None
        assert {chunk.encoding for chunk in source.read()} <= {Encoding.TEXT}
        assert list(source.entities())


def take_all_sessions(database: Database) -> None:
    with ExitStack() as held:
        while True:
            held.enter_context(closing(database.open()))


def test_a_server_that_is_full_asks_for_fewer(older_database: Database) -> None:
    with pytest.raises(Throttled):
        take_all_sessions(older_database)
    with psycopg.connect(older_database.url) as session:
        assert session.execute("SELECT 1").fetchone() == (1,)
