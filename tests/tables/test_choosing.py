"""Rows that fulfil conditions, in a chosen order, as of every version: against a model in Python."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from datasets.tables.choosing import (
    CellComparison,
    NoSuchValue,
    NotComparable,
    RowChoice,
    RowCondition,
    RowPlace,
    SortColumn,
    TookTooLong,
    choose_rows,
)
from datasets.tables.columns import TableAt, see_table
from datasets.tables.moments import moment_of_home
from tests.tables.writing import (
    Rows,
    Written,
    make_dataset,
    make_table,
    publish,
    run_sql,
    widen_column,
)

pytestmark = pytest.mark.django_db(transaction=True)
Row = dict[str, str | None]


@pytest.fixture
def orders(db: None) -> Written:
    """Three versions: rows are added, changed and removed, and a column is widened between the last two."""
    made = make_table(make_dataset(), {"id": "bigint", "qty": "integer", "name": "text"})
    rows: Rows = {
        (str(n),): {"id": str(n), "qty": str(n % 7) if n % 5 else None, "name": f"item {n}"}
        for n in range(1, 41)
    }
    publish(made, rows)
    rows = {
        key: {**row, "qty": "100"} if int(key[0]) % 3 == 0 else row
        for key, row in rows.items()
        if key != ("8",)
    }
    publish(made, rows)
    widen_column(made, "qty", "bigint")
    publish(made, {**rows, ("99",): {"id": "99", "qty": "5000000000", "name": "100%_large"}})
    return made


def conditions(table: TableAt, *given: tuple[str, str, Any]) -> tuple[RowCondition, ...]:
    by_name = {column.name: column for column in table.columns}
    return tuple(
        RowCondition(by_name[name], CellComparison(op), values) for name, op, values in given
    )


def ask(
    written: Written,
    number: int,
    *given: tuple[str, str, Any],
    order: tuple[tuple[str, bool], ...] = (),
    show: tuple[str, ...] = ("id",),
    limit: int = 7,
    row_characters: int = 1_000,
    longest_s: float = 30,
) -> list[tuple[str | None, ...]]:
    """All pages."""
    found: list[tuple[str | None, ...]] = []
    place: RowPlace | None = None
    with moment_of_home(longest_s=longest_s) as cursor:
        table = see_table(cursor, written.table, number)
        by_name = {column.name: column for column in table.columns}
        choice = RowChoice(
            tuple(by_name[name] for name in show),
            conditions(table, *given),
            tuple(SortColumn(by_name[name], descending) for name, descending in order),
        )
        while True:
            page = choose_rows(
                cursor,
                table,
                choice,
                after=place,
                limit=limit,
                row_characters=row_characters,
                longest_s=longest_s,
            )
            found += page.rows
            if not page.has_more:
                return found
            place = page.places[-1]


def model(
    written: Written, number: int, holds: Callable[[Row], bool]
) -> list[tuple[str | None, ...]]:
    rows = [row for row in written.held[number].values() if holds(row)]
    return [(row["id"],) for row in sorted(rows, key=lambda row: int(row["id"] or 0))]


def qty_of(row: Row) -> int:
    return -1 if row["qty"] is None else int(row["qty"])


CASES: list[tuple[tuple[str, str, Any], Callable[[Row], bool]]] = [
    (("qty", "eq", ("3",)), lambda row: qty_of(row) == 3),
    (("qty", "ne", ("3",)), lambda row: qty_of(row) not in (-1, 3)),
    (("qty", "lt", ("2",)), lambda row: 0 <= qty_of(row) < 2),
    (("qty", "ge", ("6",)), lambda row: qty_of(row) >= 6),
    (("qty", "in", ("1", "100")), lambda row: qty_of(row) in (1, 100)),
    (("qty", "is_null", ()), lambda row: row["qty"] is None),
    (("name", "like", ("item 1%",)), lambda row: (row["name"] or "").startswith("item 1")),
    (("qty", "like", ("1%",)), lambda row: str(row["qty"]).startswith("1")),
    (("name", "gt", ("item 3",)), lambda row: (row["name"] or "") > "item 3"),
    (("id", "le", ("12",)), lambda row: int(row["id"] or 0) <= 12),
]


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize(
    ("given", "holds"),
    CASES,
    ids=lambda case: " ".join(map(str, case[:2])) if isinstance(case, tuple) else "",
)
def test_conditions_hold_as_of_each_version(
    orders: Written, number: int, given: tuple[str, str, Any], holds: Callable[[Row], bool]
) -> None:
    assert ask(orders, number, given) == model(orders, number, holds)


@pytest.mark.parametrize("number", [1, 2, 3])
def test_rows_are_sorted_by_columns_and_then_by_key(orders: Written, number: int) -> None:
    found = ask(orders, number, order=(("qty", True), ("name", False)), show=("qty", "name", "id"))
    rows = [(row["qty"], row["name"], row["id"]) for row in orders.held[number].values()]
    assert len(found) == len(rows) == len(set(found))
    # PostgreSQL has NULL first where it descends.
    assert found == sorted(rows, key=lambda row: (row[0] is not None, -int(row[0] or 0), row[1]))


def test_all_conditions_hold_together(orders: Written) -> None:
    found = ask(orders, 3, ("qty", "eq", ("100",)), ("id", "lt", ("10",)), show=("name", "id"))
    assert found == [("item 3", "3"), ("item 6", "6"), ("item 9", "9")]
    assert ask(orders, 3, ("name", "like", (r"100\%\_%",))) == [("99",)]
    assert ask(orders, 3) == model(orders, 3, lambda row: True)


def test_a_value_that_fits_no_type_is_told(orders: Written) -> None:
    for wrong in (("qty", "eq", ("x",)), ("id", "gt", ("10" * 30,)), ("name", "like", ("\\",))):
        with pytest.raises(NoSuchValue):
            ask(orders, 3, wrong)


def test_names_and_values_are_no_sql(db: None) -> None:
    evil = 'a"; DROP TABLE x; --%s %(value0_0)s'
    made = make_table(make_dataset(), {"id": "bigint", evil: "text"})
    publish(made, {("1",): {"id": "1", evil: "'; --"}})
    publish(made, {("1",): {"id": "1", evil: "other"}, ("2",): {"id": "2", evil: "'; --"}})
    for number, key in ((1, "1"), (2, "2")):
        given = (evil, "eq", ("'; --",))
        assert ask(made, number, given, order=((evil, False),), show=(evil, "id")) == [
            ("'; --", key)
        ]


def test_types_without_order_are_told(db: None) -> None:
    made = make_table(make_dataset(), {"id": "bigint", "doc": "json", "at": "point"})
    publish(made, {("1",): {"id": "1", "doc": '{"a":1}', "at": "(1,2)"}})
    with pytest.raises(NotComparable):
        ask(made, 1, ("doc", "eq", ('{"a":1}',)))
    with pytest.raises(NotComparable):
        ask(made, 1, order=(("at", False),))
    assert ask(made, 1, ("doc", "like", ("%a%",)), show=("at",)) == [("(1,2)",)]


def test_long_cells_are_cut_and_keys_are_not(db: None) -> None:
    made = make_table(make_dataset(), {"id": "text", "words": "text"})
    keys = ["k" * 200 + str(n) for n in range(3)]
    publish(made, {(key,): {"id": key, "words": "ä" * 500} for key in keys})
    found = ask(made, 1, show=("words", "id"), limit=1, row_characters=200)
    assert found == [("ä" * 100 + "…", "k" * 100 + "…")] * 3


def test_what_takes_too_long_is_ended(orders: Written) -> None:
    run_sql("CREATE VIEW {} AS SELECT t.* FROM {} t, pg_sleep(5)", "slow_orders", orders.relation)
    run_sql("ALTER TABLE {} RENAME TO {}", orders.relation, "orders_itself")
    run_sql("ALTER VIEW slow_orders SET SCHEMA {}", orders.table.schema)
    run_sql(
        "ALTER VIEW {} RENAME TO {}", (orders.table.schema, "slow_orders"), orders.table.relation
    )
    with pytest.raises(TookTooLong):
        ask(orders, 3, longest_s=0.2)


def test_a_version_without_the_table_has_no_rows(orders: Written) -> None:
    late = make_table(orders.table.dataset, {"id": "bigint"}, name="late")
    publish(late, {("1",): {"id": "1"}})
    with moment_of_home() as cursor:
        table = see_table(cursor, late.table, 1)
        page = choose_rows(
            cursor,
            table,
            RowChoice(table.columns),
            after=None,
            limit=5,
            row_characters=100,
            longest_s=5,
        )
    assert (page.rows, page.has_more) == ([], False)
