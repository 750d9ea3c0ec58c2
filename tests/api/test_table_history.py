"""What syncs wrote is read as of each version, and gone back to: with the engine's own history."""

from __future__ import annotations

import random

import pytest
from django.db import connection

from datasets.tables.columns import describe_table
from farends.errors import ConnectionLost
from farends.rows.contract import Column
from syncjobs.core.states import State
from syncjobs.models import OnDelete, SyncJob, SyncMode
from syncjobs.upkeep.rollback import roll_back
from tests.api.asking import asker
from tests.rows import run
from tests.rowwork.conftest import (
    MakeJob,
    connector_of_rows,
    database,
    held_as,
    job,
    make_row_job,
    orders,
    rows_of,
    table_of,
)
from tests.rowwork.memory import MemoryDatabase, MemoryTable, Row
from tests.rowwork.test_guards import staged_of

__all__ = ["connector_of_rows", "database", "job", "make_row_job", "orders"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def rows_at(job: SyncJob, number: int | None = None, *, limit: int = 200) -> list[Row]:
    """By REST."""
    query = {} if number is None else {"version": number}
    return asker().items(f"datasets/{job.dataset_id}/rows", limit=limit, **query)


def copy_of(source: MemoryTable) -> list[Row]:
    return [dict(row) for row in held_as(source)]


def change_something(source: MemoryTable, chance: random.Random) -> None:
    for row in chance.sample(source.rows, 5):
        source.touch(row, name=chance.choice([None, "", "other"]))
    for _ in range(3):
        source.remove(id=chance.choice(source.rows)["id"] or "")
    for number in chance.sample(range(1_000, 2_000), 4):
        if not any(row["id"] == str(number) for row in source.rows):
            source.add(id=str(number), name="new", qty="1")


@pytest.mark.parametrize("seed", range(2))
def test_rows_of_each_version_are_what_the_source_had_then(
    job: SyncJob, orders: MemoryTable, seed: int
) -> None:
    chance = random.Random(seed)  # noqa: S311 — to be repeated
    held: dict[int, list[Row]] = {}
    for turn in range(5):
        if turn == 2:
            orders.columns.append(Column("note", "text", "text"))
            for row in orders.rows:
                row["note"] = "noted" if chance.random() < 0.5 else None
        record = run(job, mode=SyncMode.FULL)
        assert record.state == State.SUCCEEDED, record.error
        held[record.dataset_version or 0] = copy_of(orders)
        change_something(orders, chance)
    assert list(held) == [1, 2, 3, 4, 5]
    for number, rows in held.items():
        assert rows_at(job, number, limit=chance.choice([7, 200])) == rows


def test_the_next_incremental_brings_back_what_came_after_the_state_gone_back_to(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    first, mark = copy_of(orders), table_of(job).mark
    orders.add(id="500", name="later", qty="1")
    orders.touch(orders.find(id="7"), name="changed")
    run(job, mode=SyncMode.INCREMENTAL)
    second = copy_of(orders)
    version = roll_back(job.dataset_id, 1, by="ada")
    assert (version.number, version.rows_changed, version.rows_removed) == (3, 1, 1)
    assert rows_at(job) == rows_of(job) == rows_at(job, 1) == first
    assert table_of(job).mark == version.mark == mark
    record = run(job, mode=SyncMode.INCREMENTAL)
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 1, 1)
    assert rows_at(job) == rows_of(job) == rows_at(job, 2) == second
    assert rows_at(job, 3) == first


def test_what_was_staged_of_a_later_state_is_not_gone_on_with(
    job: SyncJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    run(job)
    orders.touch(orders.find(id="7"), name="changed")
    run(job, mode=SyncMode.INCREMENTAL)
    for number in range(500, 550):
        orders.add(id=str(number), name="later", qty="1")

    def lose(number: int) -> None:
        if number == 3:
            database.before_chunk = lambda _: None
            raise ConnectionLost

    database.before_chunk = lose
    record = run(job, mode=SyncMode.INCREMENTAL)
    assert record.state == State.QUEUED
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM syncproject_staging.checkpoint WHERE table_id = %s",
            [table_of(job).pk],
        )
        assert cursor.fetchone() == (1,)
    roll_back(job.dataset_id, 1, by="ada")
    assert staged_of(job) == []


def test_a_column_that_came_later_goes_and_comes_back_under_its_name(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    orders.columns.append(Column("note", "text", "text"))
    for row in orders.rows:
        orders.touch(row, note="noted")
    run(job, mode=SyncMode.INCREMENTAL)
    second = copy_of(orders)
    roll_back(job.dataset_id, 1, by="ada")
    assert rows_at(job) == rows_at(job, 1)
    assert "note" not in describe_table(table_of(job), 3).names
    assert {row["note"] for row in rows_of(job)} == {None}  # the relation keeps it
    run(job, mode=SyncMode.INCREMENTAL)
    assert rows_at(job) == rows_of(job) == second
    columns = asker().get(f"datasets/{job.dataset_id}/schema").json()["columns"]
    spans = {each["name"]: (each["since"], each["until"]) for each in columns}
    assert spans["note"] == (4, None)
    assert rows_at(job, 2) == second


def test_rows_that_are_marked_as_gone_say_when(make_row_job: MakeJob, orders: MemoryTable) -> None:
    job = make_row_job(on_delete=OnDelete.MARK)
    run(job)
    orders.remove(id="7")
    run(job, mode=SyncMode.FULL)
    marked = [row["id"] for row in rows_at(job) if row["_deleted_at"] is not None]
    assert marked == ["7"]
    assert [row for row in rows_at(job, 1) if row["_deleted_at"] is not None] == []
    roll_back(job.dataset_id, 1, by="ada")
    assert rows_at(job) == rows_at(job, 1)


def test_rows_without_a_key_have_their_content_for_one(
    make_row_job: MakeJob, orders: MemoryTable
) -> None:
    orders.key = ()
    job = make_row_job(sync_mode=SyncMode.FULL, cursor=None)
    run(job)
    first = rows_at(job)
    assert len(first) == 100
    orders.remove(id="7")
    orders.add(id="500", name="later")
    run(job)
    assert rows_at(job, 1) == first
    changes = asker().items(f"datasets/{job.dataset_id}/versions/2/changes")
    assert sorted(
        (each["change"], (each["after"] or each["before"])["id"]) for each in changes
    ) == [
        ("added", "500"),
        ("removed", "7"),
    ]
