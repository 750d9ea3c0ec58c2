"""Versions of tables that go: what stays is read as ever, and the history has nothing of what went."""

from __future__ import annotations

import random

import pytest
from django.db import connection

from datasets.expiring import expire_versions, measure_freed
from datasets.models import Dataset, Table, Version
from datasets.reading import VersionExpired, get_version
from syncjobs.configuration.dataset_deletion import DatasetInUse, delete_dataset
from syncjobs.upkeep.retention import clear_expired
from syncjobs.upkeep.rollback import roll_back
from tests.tables.test_as_of import diff_of, model_diff, read_at, row
from tests.tables.writing import Written, make_dataset, make_table, publish, run_sql

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def dataset() -> Dataset:
    return make_dataset()


def expire(dataset: Dataset, oldest: int) -> None:
    with connection.cursor() as cursor:
        expire_versions(cursor, dataset.pk, oldest)
    clear_expired(dataset, grace_s=-1)


def numbers_in_history(written: Written) -> set[int]:
    with connection.cursor() as cursor:
        history = written.history[1]
        cursor.execute(f"SELECT DISTINCT _version FROM syncproject_history.{history}")  # noqa: S608 — a name of ours
        return {number for (number,) in cursor.fetchall()}


def is_there(schema: str, relation: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass(%s) IS NOT NULL", [f"{schema}.{relation}"])
        return bool(cursor.fetchone()[0])


def test_rows_as_of_what_stays_are_those_of_then(dataset: Dataset) -> None:
    """Against a model that keeps whole copies, with drawn changes."""
    chance = random.Random(7)  # noqa: S311 — to be repeated
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    for _ in range(9):
        rows = [row(str(key), qty=str(chance.randint(0, 3))) for key in range(8) if chance.random() < 0.7]  # fmt: skip
        publish(orders, dict(rows))
    last = max(orders.held)
    for oldest in (2, 4, last - 1):
        expire(dataset, oldest)
        for number in range(oldest, last + 1):
            assert read_at(orders, number) == orders.held[number]
            assert {key: each[0] for key, each in diff_of(orders, oldest, number).items()} == (
                model_diff(orders.held[oldest], orders.held[number])
            )
        assert min(numbers_in_history(orders), default=oldest + 1) > oldest
        with pytest.raises(VersionExpired):
            get_version(dataset, oldest - 1)
    assert roll_back(dataset.pk, last - 1, by="ada").number == last + 1
    assert read_at(orders, last + 1) == orders.held[last - 1]


def test_a_table_that_did_not_change_lately_is_there_as_ever(dataset: Dataset) -> None:
    """Its latest version is older than the oldest one that is kept."""
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1")]))
    lines = make_table(dataset, {"id": "bigint", "qty": "integer"}, name="lines")
    for number in range(4):
        publish(lines, dict([row("1", qty=str(number))]))
    expire(dataset, 4)
    assert read_at(orders, 5) == orders.held[1]
    assert read_at(lines, 4) == lines.held[4]
    assert roll_back(dataset.pk, 4, by="ada").number == 6
    assert read_at(orders, 6) == orders.held[1]


def test_what_it_frees_is_told_by_what_each_version_changed(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict(row(str(key), qty="0") for key in range(100)))
    publish(orders, dict(row(str(key), qty="1" if key < 30 else "0") for key in range(100)))
    publish(orders, dict(row(str(key), qty="1") for key in range(100)))
    freed = {one.number: one for one in measure_freed(dataset, 1)}
    assert {number: one.count for number, one in freed.items()} == {2: 30, 3: 70}
    assert 0 < freed[2].size_bytes < freed[3].size_bytes


def test_a_deleted_dataset_takes_its_tables_and_refuses_where_a_view_needs_one(
    dataset: Dataset,
) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1")]))
    publish(orders, dict([row("1", qty="2")]))
    run_sql("CREATE VIEW public.late_orders AS SELECT id FROM {}", orders.relation)
    with pytest.raises(DatasetInUse, match="late_orders"):
        delete_dataset(dataset)
    assert read_at(orders, 1) == orders.held[1]
    run_sql("DROP VIEW public.late_orders")
    gone = delete_dataset(dataset)
    assert [table.relation for table in gone.tables] == ["orders"]
    assert (gone.versions, gone.rows) == (2, 1)
    assert not is_there(orders.table.schema, "orders")
    assert not is_there(*orders.history)
    assert not Table.objects.exists()
    assert not Version.either.exists()


def test_a_table_in_another_database_is_left_and_told(dataset: Dataset) -> None:
    orders = make_table(dataset, {"id": "bigint", "qty": "integer"})
    publish(orders, dict([row("1", qty="1")]))
    Table.objects.update(connector_id=dataset.pk)
    gone = delete_dataset(dataset)
    assert (gone.tables, [table.relation for table in gone.tables_left]) == ((), ["orders"])
    assert is_there(orders.table.schema, "orders")
