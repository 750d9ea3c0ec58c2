"""Tables of another database go back to a version: rows, columns and mark there in one transaction, and home follows."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from datasets.models import Table, Version
from datasets.tables.going_back import CannotGoBack
from datasets.tables.table_state import PlaceFence
from farends.rows.contract import Column
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncMode, SyncRecord
from syncjobs.upkeep import rollback_elsewhere
from syncjobs.upkeep.rollback import DatasetBusy, NothingToRollBack, VersionMissing, roll_back
from syncjobs.works.rows import telling
from tests.api.asking import asker
from tests.api.test_table_history import copy_of, rows_at
from tests.hosts.databases import Database
from tests.rows import run
from tests.rowwork.conftest import (
    MakeJob,
    connector_of_rows,
    database,
    held_as,
    make_row_job,
    orders,
)
from tests.rowwork.memory import MemoryDatabase, MemoryTable
from tests.rowwork.test_destinations import (
    job,
    make_filling_job,
    rows_there,
    state_there,
    warehouse,
)
from workspaces.models import Role

__all__ = [  # fixtures
    "connector_of_rows",
    "database",
    "job",
    "make_filling_job",
    "make_row_job",
    "orders",
    "warehouse",
]
pytestmark = pytest.mark.django_db(transaction=True)


def change(job: SyncJob, orders: MemoryTable) -> None:
    """Makes version 2 of what version 1 was."""
    run(job)
    orders.touch(orders.find(id="7"), name="changed")
    orders.remove(id="9")
    orders.add(id="200", name="new")
    assert run(job, mode=SyncMode.FULL).dataset_version == 2


def versions() -> list[tuple[Any, ...]]:
    told = Version.objects.order_by("number")
    return list(
        told.values_list("number", "restores", "rows_added", "rows_changed", "rows_removed")
    )


def test_rows_and_mark_of_a_version_come_back_and_the_next_sync_brings_the_later_ones(
    job: SyncJob, warehouse: Database, orders: MemoryTable
) -> None:
    change(job, orders)
    first = rows_at(job, 1, limit=200)
    mark = Version.objects.get(number=1).mark
    version = roll_back(job.dataset_id, 1, by="ada")
    assert (version.number, version.restores, version.restored_by) == (3, 1, "ada")
    assert versions()[2] == (3, 1, 1, 1, 1)
    there = rows_there(warehouse)
    assert (len(there), there[6]["name"], there[8]["id"]) == (100, "name 7", "9")
    assert rows_at(job, limit=200) == first
    [table] = Table.objects.all()
    assert (table.version, table.rows, table.mark) == (3, 100, mark)
    assert state_there(warehouse)[1:] == (None, 3, None)
    with pytest.raises(NothingToRollBack):
        roll_back(job.dataset_id, 1, by="ada")
    with pytest.raises(VersionMissing):
        roll_back(job.dataset_id, 9, by="ada")
    record = run(job)
    assert (record.rows_added, record.rows_changed, record.dataset_version) == (1, 1, 4)
    run(job, mode=SyncMode.FULL)
    assert rows_there(warehouse) == held_as(orders)
    assert rows_at(job, 3, limit=200) == first
    assert rows_at(job, 5, limit=200) == copy_of(orders)


def test_it_is_asked_for_by_rest(job: SyncJob, warehouse: Database, orders: MemoryTable) -> None:
    change(job, orders)
    answer = asker(Role.ADMIN).post(f"datasets/{job.dataset_id}/rollback", {"version": 1})
    assert (answer.status_code, answer.json()["number"]) == (200, 3)
    assert len(rows_there(warehouse)) == 100


def test_a_rollback_that_died_before_home_knew_is_told_by_the_next_record(
    job: SyncJob, warehouse: Database, orders: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(job, orders)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollback_elsewhere, "tell_home_of_rollback", die)
        with pytest.raises(KeyboardInterrupt):
            roll_back(job.dataset_id, 1, by="ada")
    assert len(rows_there(warehouse)) == 100
    assert len(versions()) == 2
    record = run(job)
    assert (record.state, record.rows_added, record.rows_changed) == (State.SUCCEEDED, 1, 1)
    assert versions()[2:] == [(3, 1, 1, 1, 1), (4, None, 1, 1, 0)]
    assert Version.objects.get(number=3).restored_by == "ada"
    assert state_there(warehouse)[1:] == (record.pk, 4, None)
    run(job, mode=SyncMode.FULL)
    assert rows_there(warehouse) == held_as(orders)


def test_a_rollback_that_died_is_told_by_the_next_rollback(
    job: SyncJob, warehouse: Database, orders: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    change(job, orders)
    second = rows_there(warehouse)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(rollback_elsewhere, "tell_home_of_rollback", die)
        with pytest.raises(KeyboardInterrupt):
            roll_back(job.dataset_id, 1, by="ada")
    assert roll_back(job.dataset_id, 2, by="grace").number == 4
    assert versions()[2:] == [(3, 1, 1, 1, 1), (4, 2, 1, 1, 1)]
    assert rows_there(warehouse) == second


def test_what_home_was_told_is_not_told_twice(
    job: SyncJob, warehouse: Database, orders: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever told it died, or lost the other database, before they could note there that it is told."""
    orders.raw = {("5",): b"5\tname\tmany\t\\N\n"}
    SyncJob.objects.update(row_errors_max_share=1)

    def lose(*_: Any) -> None:
        raise psycopg.OperationalError("the connection is lost")

    with monkeypatch.context() as patch:
        patch.setattr(PlaceFence, "settle", lose)
        first = run(job)
    SyncRecord.objects.filter(pk=first.pk, state=State.QUEUED).update(not_before=None)
    assert execute(first.pk, Heart("test")) == State.PARTIAL
    assert state_there(warehouse)[3] is not None
    orders.touch(orders.find(id="7"), name="changed")
    record = run(job)
    assert (record.rows_changed, record.dataset_version) == (1, 2)
    assert [one[0] for one in versions()] == [1, 2]
    assert [row.record_id for row in QuarantinedRow.objects.all()] == [first.pk]
    changes = asker().items(f"datasets/{job.dataset_id}/versions/2/changes")
    assert [one["key"]["id"] for one in changes] == ["7"]
    with monkeypatch.context() as patch:
        patch.setattr(telling, "settle_report", lose)
        assert roll_back(job.dataset_id, 1, by="ada").number == 3
    assert state_there(warehouse)[3] is not None
    assert run(job).dataset_version == 4
    assert [one[:2] for one in versions()] == [(1, None), (2, None), (3, 1), (4, None)]


def test_all_tables_go_back_together_with_their_columns(
    make_filling_job: MakeJob, warehouse: Database, database: MemoryDatabase, orders: MemoryTable
) -> None:
    lines = MemoryTable(list(orders.columns))
    lines.add(id="1", name="one")
    database.tables["lines"] = lines
    same = MemoryTable(list(orders.columns))
    database.tables["same"] = same
    job = make_filling_job(entity=None, entities={"include": ["*"]})
    assert run(job).dataset_version == 3
    orders.columns.append(Column("more", "text", "text"))
    for row in orders.rows:
        row["more"] = None
    orders.touch(orders.find(id="7"), more="text")
    lines.touch(lines.find(id="1"), name="another")
    assert run(job).dataset_version == 5
    version = roll_back(job.dataset_id, 3, by="ada")
    assert (version.number, sorted(version.tables_changed or [])) == (
        6,
        ["public.lines", "public.orders"],
    )
    assert (version.rows_added, version.rows_changed) == (0, 2)
    columns = (
        asker().get(f"datasets/{job.dataset_id}/schema", {"table": "orders"}).json()["columns"]
    )
    assert "more" not in [one["name"] for one in columns]
    found = warehouse.session.execute("SELECT name FROM shop.lines").fetchall()
    assert found == [("one",)]
    reports = warehouse.session.execute("SELECT counts FROM syncproject.table_state").fetchall()
    assert reports == [(None,)] * 3


def test_a_rollback_beside_a_record_changes_nothing(
    job: SyncJob, warehouse: Database, database: MemoryDatabase, orders: MemoryTable,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    change(job, orders)
    before = rows_there(warehouse)
    take = PlaceFence.take

    def take_and_lose(self: PlaceFence, session: Any) -> Any:
        told = take(self, session)
        with psycopg.connect(warehouse.url, autocommit=True) as other:
            other.execute("UPDATE syncproject.table_state SET token = token + 1")  # a claim
        return told

    with monkeypatch.context() as patch:
        patch.setattr(PlaceFence, "take", take_and_lose)
        with pytest.raises(CannotGoBack, match="claimed meanwhile"):
            roll_back(job.dataset_id, 1, by="ada")
    assert rows_there(warehouse) == before

    def ask_within(_number: int) -> None:
        with pytest.raises(DatasetBusy):
            roll_back(job.dataset_id, 1, by="ada")

    orders.touch(orders.find(id="7"), name="again")
    database.before_chunk = ask_within
    assert run(job).state == State.SUCCEEDED
    assert len(versions()) == 3


def test_a_constraint_that_refuses_a_row_of_then_changes_nothing(
    job: SyncJob, warehouse: Database, orders: MemoryTable
) -> None:
    change(job, orders)
    before = rows_there(warehouse)
    warehouse.session.execute("ALTER TABLE shop.orders ADD CONSTRAINT no_nine CHECK (id <> 9)")
    with pytest.raises(CannotGoBack, match=r"public\.orders does not take a row of then"):
        roll_back(job.dataset_id, 1, by="ada")
    assert rows_there(warehouse) == before
    assert len(versions()) == 2
