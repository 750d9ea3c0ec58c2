"""Rows as of every version equal what was written then, whatever came later: against a model that keeps whole copies."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from datasets.diffs import EntryChange
from datasets.models import Dataset
from datasets.tables.as_of import find_row_of_key, iter_rows, page_of_rows, select_every_row
from datasets.tables.changes import TwoTables, iter_row_changes, page_of_changes
from datasets.tables.columns import describe_table, see_table
from datasets.tables.moments import moment_of_home
from tests.tables.writing import (
    Written,
    add_column,
    drop_column,
    make_dataset,
    make_table,
    publish,
    run_sql,
    widen_column,
)

pytestmark = pytest.mark.django_db(transaction=True)
Rows = dict[tuple[str, ...], dict[str, str | None]]


def read_at(written: Written, number: int, *, at_once: int = 5_000) -> Rows:
    with moment_of_home() as cursor:
        table = see_table(cursor, written.table, number)
        rows = [
            dict(zip(table.names, row, strict=True))
            for row in iter_rows(cursor, table, at_once=at_once)
        ]
    return {tuple(str(row[name]) for name in table.key): row for row in rows}


def diff_of(written: Written, before: int, after: int, *, at_once: int = 2_000) -> dict[Any, Any]:
    with moment_of_home() as cursor:
        sides = [see_table(cursor, written.table, number) for number in (before, after)]
        tables = TwoTables(*sides)
        return {
            each.key: (each.change.value, each.before, each.after)
            for each in iter_row_changes(cursor, tables, at_once=at_once)
        }


def model_diff(was: Rows, now: Rows) -> dict[tuple[str, ...], str]:
    found = {}
    for key in {*was, *now}:
        one, two = was.get(key), now.get(key)
        if one is None:
            found[key] = "added"
        elif two is None:
            found[key] = "removed"
        elif {k: v for k, v in one.items() if v} != {k: v for k, v in two.items() if v}:
            found[key] = "changed"
    return found


def row(key: str, **values: str | None) -> tuple[tuple[str, ...], dict[str, str | None]]:
    return (key,), {"id": key, **values}


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def test_rows_of_each_version(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="10"), row("2", qty=None), row("10", qty="5")]))
    publish(orders, dict([row("1", qty="11"), row("10", qty="5"), row("3", qty="")][:2]))
    publish(orders, dict([row("1", qty="10"), row("2", qty="7"), row("4", qty="0")]))
    assert list(read_at(orders, 1)) == [("1",), ("2",), ("10",)]  # as numbers are ordered
    for number, held in orders.held.items():
        for at_once in (1, 2, 3, 100):
            assert read_at(orders, number, at_once=at_once) == held
    assert diff_of(orders, 1, 2) == {
        ("1",): ("changed", ("1", "10"), ("1", "11")),
        ("2",): ("removed", ("2", None), None),
    }
    assert diff_of(orders, 1, 3) == {
        ("2",): ("changed", ("2", None), ("2", "7")),
        ("4",): ("added", None, ("4", "0")),
        ("10",): ("removed", ("10", "5"), None),
    }
    assert diff_of(orders, 3, 1)[("4",)] == ("removed", ("4", "0"), None)
    assert diff_of(orders, 2, 2) == {}


def test_a_table_that_came_later_was_not_there_before(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint"})
    publish(orders, dict([row("1")]))
    bills = make_table(dataset, {"id": "bigint"}, name="bills")
    publish(bills, dict([row("5"), row("6")]))
    publish(orders, dict([row("2")]))
    assert read_at(bills, 1) == {}
    assert not describe_table(bills.table, 1).is_there
    assert read_at(bills, 2) == read_at(bills, 3) == bills.held[2]
    assert {key: each[0] for key, each in diff_of(bills, 1, 3, at_once=1).items()} == {
        ("5",): "added",
        ("6",): "added",
    }
    assert diff_of(bills, 3, 1, at_once=1)[("6",)] == ("removed", ("6",), None)
    assert diff_of(bills, 2, 3) == {}


def test_a_column_may_be_called_as_ours_are(dataset: Dataset) -> None:
    names = ("k0", "c0", "t0", "h", "r")
    orders = make_table(dataset, dict.fromkeys(names, "integer"), key=["k0"])
    first: Rows = {(str(n),): dict.fromkeys(names, str(n)) for n in range(12)}
    publish(orders, first)
    publish(orders, {key: values | {"h": "0"} for key, values in first.items()})
    assert list(read_at(orders, 1, at_once=3)) == list(read_at(orders, 2)) == list(first)
    assert read_at(orders, 1) == first
    assert list(diff_of(orders, 1, 2, at_once=2)) == list(first)[1:]


def test_many_rows_that_came_later_are_passed_by(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1"), row("900", qty="2")]))
    publish(orders, dict(row(str(n), qty="3") for n in range(2, 300)))
    with moment_of_home() as cursor:
        table = see_table(cursor, orders.table, 1)
        page = page_of_rows(cursor, table, limit=1)
        assert (page.rows, page.last) == ([("1", "1")], ("1",))
        page = page_of_rows(cursor, table, after=page.last, limit=1)
        assert (page.rows, page.last) == ([("900", "2")], None)
        assert find_row_of_key(cursor, table, ("900",)) == ("900", "2")
        assert find_row_of_key(cursor, table, ("2",)) is None
        assert find_row_of_key(cursor, see_table(cursor, orders.table, 2), ("2",)) == ("2", "3")


def test_t16_names_and_values_of_others_are_only_that(dataset: Dataset) -> None:
    names = [
        'a"b',
        "x; DROP TABLE victim;--",
        "select",
        "%s {}",
        "tab\there",
        "Größe",
        "%(after0)s",
    ]
    run_sql("CREATE TABLE {} (id int)", "victim")
    try:
        orders = make_table(
            dataset,
            dict.fromkeys(names, "text"),
            key=[names[0], names[3]],
            name='t"; DROP TABLE victim;-- %s {} é',
        )
        texts = [*names, "", "\\N", "NULL", "'", "\n\r\\"]
        first: Rows = {
            (one, two): dict(zip(names, (one, "x", None, two, "", one, two), strict=True))
            for one in texts
            for two in texts[::-1]
        }
        publish(orders, first)
        second: Rows = {
            key: {**values, "Größe": "'; --"} for key, values in first.items() if key[0]
        }
        publish(orders, second)
        for number in (1, 2):
            assert read_at(orders, number, at_once=7) == orders.held[number]
        changed = diff_of(orders, 1, 2, at_once=10)
        assert {key: each[0] for key, each in changed.items()} == model_diff(first, second)
        with moment_of_home() as cursor:
            table = see_table(cursor, orders.table, 1)
            assert find_row_of_key(cursor, table, ("'", "\\N")) is not None
        run_sql("SELECT FROM {}", "victim")
    finally:
        run_sql("DROP TABLE {}", "victim")


def test_t10_t11_columns_come_go_and_widen(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "integer", "qty": "integer", "price": "numeric(10,2)"})
    publish(orders, dict([row("1", qty="1", price="1.50"), row("2", qty="2", price="2.00")]))
    add_column(orders, "note", "text")
    publish(
        orders, dict([row("1", qty="1", price="1.50", note="new"), row("2", qty="2", price="2.00")])
    )
    widen_column(orders, "qty", "bigint")
    widen_column(orders, "price", "numeric(20,4)", lambda text: text and f"{Decimal(text):.4f}")
    widen_column(orders, "id", "bigint")
    publish(
        orders,
        dict(
            [
                row("1", qty="9000000000", price="1.5000", note="new"),
                row("2", qty="2", price="2.0000"),
                row("5000000000", qty="1", price="0.0001"),
            ]
        ),
    )
    drop_column(orders, "note")
    publish(orders, dict([row("2", qty="2", price="2.0000"), row("3", qty="3", price="3.0000")]))
    for number in orders.held:
        assert read_at(orders, number) == orders.held[number]
    at = {number: describe_table(orders.table, number) for number in orders.held}
    assert at[1].names == ("id", "qty", "price")
    assert at[4].names == ("id", "qty", "price", "note")
    assert [column.type for column in at[1].columns] == ["integer", "integer", "numeric(10,2)"]
    assert [column.until for column in at[4].columns] == [None, None, None, 4]
    assert diff_of(orders, 1, 2)[("1",)] == (
        "changed",
        ("1", "1", "1.50"),
        ("1", "1", "1.50", "new"),
    )
    assert diff_of(orders, 1, 4)[("1",)] == ("removed", ("1", "1", "1.50"), None)
    assert diff_of(orders, 2, 3) == {
        ("1",): ("changed", ("1", "1", "1.50", "new"), ("1", "9000000000", "1.5000", "new")),
        ("5000000000",): ("added", None, ("5000000000", "1", "0.0001", None)),
    }


@pytest.mark.parametrize("seed", range(6))
def test_rows_and_differences_equal_a_model_that_keeps_copies(dataset: Dataset, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 — no secret
    keys = ["id"] if seed % 2 else ["place", "id"]
    orders = make_table(
        dataset, dict.fromkeys(keys, "integer") | {"a": "text", "b": "integer"}, keys
    )
    columns = ["a", "b"]
    for number in range(1, 9):
        if number > 1:
            _perhaps_reshape(orders, chance, columns)
        rows = {key: dict(values) for key, values in orders.now.items() if chance.random() > 0.2}
        for key in [key for key in rows if chance.random() < 0.3]:
            column = chance.choice(columns)
            rows[key][column] = chance.choice([None, "7", "8"])
        for _ in range(chance.randrange(6)):
            key = tuple(str(chance.randrange(12)) for _ in keys)
            rows[key] = {name: str(chance.randrange(3)) for name in columns}
            rows[key].update(zip(keys, key, strict=True))
        publish(orders, rows)
    for number, held in orders.held.items():
        assert read_at(orders, number, at_once=chance.choice([1, 2, 5, 100])) == held
        for other, theirs in orders.held.items():
            found = diff_of(orders, number, other, at_once=chance.choice([1, 3, 100]))
            assert {key: each[0] for key, each in found.items()} == model_diff(held, theirs)


def _perhaps_reshape(orders: Written, chance: random.Random, columns: list[str]) -> None:
    what = chance.randrange(6)
    if what == 0:
        columns.append(f"n{len(orders.types)}")
        add_column(orders, columns[-1], "integer")
    elif what == 1 and len(columns) > 2:
        drop_column(orders, columns.pop())
    elif what == 2 and orders.types["b"] == "integer":
        widen_column(orders, "b", "bigint")


def test_pages_of_changes_of_one_kind(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "integer"})
    publish(orders, dict(row(str(n)) for n in range(10)))
    publish(orders, dict(row(str(n)) for n in range(5, 15)))
    with moment_of_home() as cursor:
        tables = TwoTables(see_table(cursor, orders.table, 1), see_table(cursor, orders.table, 2))
        page = page_of_changes(cursor, tables, limit=4, only=EntryChange.ADDED)
        assert [each.key for each in page.changes] == [("10",), ("11",), ("12",), ("13",)]
        assert page.last == ("13",)
        page = page_of_changes(cursor, tables, after=page.last, limit=1)
        assert ([each.key for each in page.changes], page.last) == ([("14",)], None)
        found = list(iter_row_changes(cursor, tables, only=EntryChange.ADDED, at_once=4))
    assert [each.key for each in found] == [(str(n),) for n in range(10, 15)]


def test_a_whole_version_by_copy(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "integer", "100%": "text"})
    publish(orders, {("1",): {"id": "1", "100%": ""}, ("2",): {"id": "2", "100%": None}})
    publish(orders, {("1",): {"id": "1", "100%": "other"}})
    told = []
    for number in (1, 2):
        with moment_of_home() as cursor:
            statement = select_every_row(see_table(cursor, orders.table, number))
            copied: Any = cursor
            with copied.copy(f"COPY ({statement}) TO STDOUT (FORMAT csv, HEADER)") as copy:
                told.append(b"".join(copy).decode())
    assert told == ['id,100%\n1,""\n2,\n', "id,100%\n1,other\n"]
