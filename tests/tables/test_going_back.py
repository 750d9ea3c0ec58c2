"""Rolling tables back: the rows, columns and mark of then, as a new version, with a history that still tells of all."""

from __future__ import annotations

import random
from decimal import Decimal
from typing import Any

import pytest

from datasets.models import Dataset, Table, TableVersion
from datasets.tables.columns import describe_table
from datasets.tables.going_back import CannotGoBack
from syncjobs.upkeep.rollback import NothingToRollBack, VersionMissing, roll_back
from tests.tables.test_as_of import Rows, diff_of, model_diff, read_at, row
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


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def go_back(written: Written, number: int) -> int:
    """And what is held after it is what was held then."""
    made = roll_back(written.table.dataset_id, number, by="ada").number
    written.table.refresh_from_db()
    written.held[made] = {key: dict(values) for key, values in written.held[number].items()}
    written.now = {
        key: {name: values.get(name) for name in written.types}
        for key, values in written.held[number].items()
    }
    return made


def shape_at(written: Written, number: int) -> list[tuple[str, str]]:
    return [(one.name, one.type) for one in describe_table(written.table, number).columns]


def test_rows_and_mark_of_then_are_the_next_version(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1"), row("2", qty="2"), row("3", qty=None)]), mark={"a": 1})
    publish(orders, dict([row("1", qty="9"), row("3", qty=None), row("4", qty="4")]), mark={"a": 2})
    assert go_back(orders, 1) == 3
    for number in (1, 2, 3):
        assert read_at(orders, number) == orders.held[number]
    version = dataset.versions.get(number=3)
    assert (version.restores, version.restored_by, version.is_current) == (1, "ada", True)
    assert (version.rows, version.tables_changed, version.mark) == (3, ["orders"], {"a": 1})
    counts = (version.rows_added, version.rows_changed, version.rows_removed)
    assert counts == (1, 1, 1)
    assert (orders.table.version, orders.table.rows, orders.table.mark) == (3, 3, {"a": 1})
    assert TableVersion.objects.get(table=orders.table, number=3).rows == 3
    assert diff_of(orders, 1, 3) == {}
    with pytest.raises(NothingToRollBack):
        roll_back(dataset.pk, 1, by="ada")
    with pytest.raises(VersionMissing):
        roll_back(dataset.pk, 4, by="ada")
    assert go_back(orders, 2) == 4
    assert read_at(orders, 4) == orders.held[2]


def test_all_tables_go_back_in_one_version(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint"})
    publish(orders, dict([row("1")]), mark={"a": 1})
    bills = make_table(dataset, {"id": "bigint"}, name="bills")
    publish(bills, dict([row("5")]), mark={"b": 1})
    calm = make_table(dataset, {"id": "bigint"}, name="calm")
    publish(calm, dict([row("8")]))
    publish(orders, dict([row("2")]), mark={"a": 2})
    publish(bills, dict([row("6")]), mark={"b": 2})
    made = roll_back(dataset.pk, 3, by="ada")
    assert (made.number, made.tables_changed, made.rows) == (6, ["bills", "orders"], 3)
    assert (made.rows_added, made.rows_removed, made.mark) == (2, 2, None)
    assert read_at(orders, 6) == orders.held[1]
    assert read_at(bills, 6) == bills.held[2]
    marks = dict(Table.objects.values_list("name", "mark"))
    assert marks == {"orders": {"a": 1}, "bills": {"b": 1}, "calm": None}

    roll_back(dataset.pk, 1, by="ada")  # the others were not there yet
    assert read_at(bills, 7) == read_at(calm, 7) == {}
    assert read_at(bills, 6) == bills.held[2]
    assert {key for key, _ in diff_of(bills, 6, 7).items()} == {("5",)}
    assert Table.objects.get(name="bills").mark is None


def test_t10_t11_columns_of_then_come_back(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "integer", "qty": "integer", "price": "numeric(10,2)"})
    publish(orders, dict([row("1", qty="1", price="1.50"), row("2", qty="2", price="2.00")]))
    add_column(orders, "note", "text")
    publish(
        orders, dict([row("1", qty="1", price="1.50", note="x"), row("2", qty="2", price="2.00")])
    )
    widen_column(orders, "price", "numeric(20,4)", lambda text: text and f"{Decimal(text):.4f}")
    widen_column(orders, "id", "bigint")
    wide = row("5000000000", qty="1", price="0.0001")
    publish(
        orders,
        dict(
            [row("1", qty="1", price="1.0001", note="x"), row("2", qty="2", price="2.0000"), wide]
        ),
    )
    drop_column(orders, "qty")
    publish(orders, dict([row("2", price="2.0000"), wide]))

    made = go_back(orders, 1)
    for number in orders.held:
        assert read_at(orders, number) == orders.held[number], number
    assert [name for name, _ in shape_at(orders, made)] == [name for name, _ in shape_at(orders, 1)]
    assert shape_at(orders, made)[1:] == shape_at(orders, 1)[1:]
    current = orders.table.columns.filter(until=None).order_by("position")
    assert [column.name for column in current] == ["id", "qty", "price"]
    assert diff_of(orders, 1, made) == {}

    made = go_back(orders, 2)
    assert [name for name, _ in shape_at(orders, made)] == ["id", "qty", "price", "note"]
    assert read_at(orders, made) == orders.held[2]


def test_what_hangs_on_the_table_stays(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1"), row("2", qty="2")]))
    publish(orders, dict([row("1", qty="5")]))
    schema = orders.table.schema
    run_sql("ALTER TABLE {} ADD COLUMN own text DEFAULT 'mine'", orders.relation)
    run_sql("CREATE VIEW {} AS SELECT * FROM {}", (schema, "seen"), orders.relation)
    go_back(orders, 1)
    run_sql("SELECT own FROM {}", (schema, "seen"))
    assert read_at(orders, 3) == orders.held[1]


def test_a_row_that_a_constraint_keeps_out_leaves_all_as_it_is(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1")]))
    publish(orders, dict([row("1", qty="secret"[:0] or "7")]))
    run_sql("ALTER TABLE {} ADD CHECK (qty > 5)", orders.relation)
    with pytest.raises(CannotGoBack) as caught:
        roll_back(dataset.pk, 1, by="ada")
    assert "Failing row" not in str(caught.value)
    assert "violates check constraint" in str(caught.value)
    assert dataset.versions.count() == 2
    assert read_at(orders, 2) == orders.held[2]


@pytest.mark.parametrize("seed", range(4))
def test_p2_every_version_stays_what_it_was_whatever_is_gone_back_to(
    dataset: Dataset, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 — to be repeated
    keys = ["id"] if seed % 2 else ["place", "id"]
    orders = make_table(
        dataset, dict.fromkeys(keys, "integer") | {"a": "text", "b": "integer"}, keys
    )
    publish(orders, _some_rows(chance, keys, {}))
    for _ in range(10):
        _do_something(orders, chance, keys)
    for number, held in orders.held.items():
        assert read_at(orders, number, at_once=chance.choice([1, 3, 100])) == held, number
        other = chance.choice(list(orders.held))
        found = {key: each[0] for key, each in diff_of(orders, number, other).items()}
        assert found == model_diff(held, orders.held[other])


def _do_something(orders: Written, chance: random.Random, keys: list[str]) -> None:
    what = chance.randrange(5)
    if what == 0 and len(orders.held) > 1:
        try:
            go_back(orders, chance.choice(list(orders.held)))
        except NothingToRollBack:
            return
    elif what == 1 and len(orders.held) == max(orders.held):
        add_column(orders, f"n{len(orders.types)}", "integer")
        publish(orders, _some_rows(chance, keys, orders.now, orders.types))
    else:
        publish(orders, _some_rows(chance, keys, orders.now, orders.types))


def _some_rows(
    chance: random.Random, keys: list[str], now: Rows, columns: Any = ("a", "b")
) -> Rows:
    rows = {key: dict(values) for key, values in now.items() if chance.random() > 0.3}
    for _ in range(5):
        key = tuple(str(chance.randrange(6)) for _ in keys)
        rows[key] = {name: chance.choice([None, "1", "2"]) for name in columns}
        rows[key].update(zip(keys, key, strict=True))
    return rows
