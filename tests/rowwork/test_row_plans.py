"""The plan of a row job is approved by a person, and applied to each table as it was, or not at all."""

from __future__ import annotations

import pytest

from datasets.models import Version
from farends.rows.contract import Column
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.records.asking import AlreadyApplied, NoPlan, approve
from syncjobs.upkeep.rollback import roll_back
from tests.hosts.databases import Database
from tests.rows import run
from tests.rowwork.conftest import MakeJob, held_as, rows_of
from tests.rowwork.memory import MemoryDatabase, MemoryTable
from tests.rowwork.test_destinations import make_filling_job, rows_there, warehouse

__all__ = ["make_filling_job", "warehouse"]  # fixtures
pytestmark = pytest.mark.django_db(transaction=True)


def apply(plan: SyncRecord) -> SyncRecord:
    record = approve(plan, by="a person")
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    return record


def change(orders: MemoryTable) -> None:
    orders.touch(orders.find(id="7"), name="changed")
    orders.add(id="200", name="new")
    orders.remove(id="9")


def test_the_plan_of_a_first_load_is_applied(job: SyncJob, orders: MemoryTable) -> None:
    plan = run(job, dry_run=True)
    assert plan.plan is not None
    told = plan.plan["tables"]["public.orders"]
    assert (told["version"], told["added"], told["removed"]) == (None, 100, 0)
    assert run(job, dry_run=True).plan == plan.plan
    record = apply(plan)
    assert (record.state, record.rows_added, record.dataset_version) == (State.SUCCEEDED, 100, 1)
    assert rows_of(job) == held_as(orders)
    with pytest.raises(AlreadyApplied, match=str(record.pk)):
        approve(plan, by="a person")


def test_an_approved_plan_of_rows_is_applied_in_its_own_mode(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    change(orders)
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    record = apply(plan)
    assert (record.state, record.verdict) == (State.SUCCEEDED, "ok")
    assert (record.rows_added, record.rows_changed, record.rows_removed) == (1, 1, 1)
    assert rows_of(job) == held_as(orders)
    assert run(job).rows_read == 0  # the mark moved with the rows


@pytest.mark.parametrize("how", ["more", "value", "gone"])
def test_a_source_that_went_on_is_refused_and_nothing_is_written(
    job: SyncJob, orders: MemoryTable, how: str
) -> None:
    run(job)
    change(orders)
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    before = rows_of(job)
    if how == "more":
        orders.add(id="201")
    elif how == "value":
        orders.touch(orders.find(id="200"), name="another")
    else:
        orders.remove(id="8")
        orders.add(id="9")  # as many are removed, and another
    record = apply(plan)
    assert (record.state, record.verdict) == (State.FAILED, "plan_drifted")
    assert record.error_code == "plan_drifted"
    assert "make a new plan" in record.error
    assert record.drift is not None
    [told] = record.drift["tables"]
    assert (told["name"], told["then"]["added"]) == ("public.orders", 1)
    assert told["now"]["added"] == (2 if how == "more" else 1)
    assert rows_of(job) == before
    assert Version.objects.count() == 1
    with pytest.raises(NoPlan, match="dry run"):
        approve(record, by="a person")
    assert apply(run(job, mode=SyncMode.FULL, dry_run=True)).state == State.SUCCEEDED


def test_another_version_of_the_table_is_another_plan(job: SyncJob, orders: MemoryTable) -> None:
    run(job)
    change(orders)
    run(job, mode=SyncMode.FULL)
    orders.touch(orders.find(id="3"), name="changed")
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    roll_back(job.dataset_id, 1, by="ada")
    roll_back(job.dataset_id, 2, by="ada")
    record = apply(plan)
    assert (record.error_code, Version.objects.count()) == ("plan_drifted", 4)
    assert "of version 2; now they are" in record.error
    assert "of version 4" in record.error


def test_the_approval_covers_the_guard_that_the_plan_of_rows_showed(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    del orders.rows[:60]
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    assert plan.plan is not None
    assert (plan.plan["guard"]["rule"], plan.plan["guard"]["files"]) == ("mass_removal", 60)
    record = apply(plan)
    assert (record.state, record.rows_removed) == (State.SUCCEEDED, 60)


def test_a_schema_that_a_person_must_decide_has_no_plan_to_apply(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    orders.columns[2] = Column("qty", "text", "text")
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    assert plan.plan is not None
    assert plan.plan["not_planned"]["public.orders"]["code"] == "schema_change"
    with pytest.raises(NoPlan, match=r"public\.orders: .*qty was changed.*Run the job"):
        approve(plan, by="a person")


def test_a_schema_that_changed_since_the_plan_is_drift(job: SyncJob, orders: MemoryTable) -> None:
    run(job)
    change(orders)
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    orders.columns[2] = Column("qty", "text", "text")
    record = apply(plan)
    assert (record.state, record.error_code) == (State.FAILED, "plan_drifted")
    assert "qty was changed" in record.error


def test_a_column_that_came_since_the_plan_is_drift_though_no_row_has_a_value(
    job: SyncJob, orders: MemoryTable
) -> None:
    run(job)
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    orders.columns.append(Column("more", "text", "text"))
    for row in orders.rows:
        row["more"] = None
    assert apply(plan).error_code == "plan_drifted"


def test_a_table_that_drifted_does_not_stop_the_others(
    make_row_job: MakeJob, database: MemoryDatabase, orders: MemoryTable
) -> None:
    other = MemoryTable(list(orders.columns))
    other.add(id="1", name="one")
    database.tables["lines"] = other
    job = make_row_job(entity=None, entities={"include": ["*"]})
    run(job)
    change(orders)
    other.add(id="2", name="two")
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    other.add(id="3", name="three")
    database.tables["late"] = MemoryTable(list(orders.columns))
    record = apply(plan)
    assert (record.state, record.error_code) == (State.PARTIAL, "plan_drifted")
    assert record.tables is not None
    states = {one["name"]: (one["state"], one["error_code"]) for one in record.tables}
    assert states == {
        "public.late": ("failed", "plan_drifted"),
        "public.lines": ("failed", "plan_drifted"),
        "public.orders": ("succeeded", ""),
    }
    assert record.drift is not None
    assert {one["name"] for one in record.drift["tables"]} == {"public.late", "public.lines"}
    assert len(rows_of(job, "public.lines")) == 1
    assert rows_of(job) == held_as(orders)
    with pytest.raises(AlreadyApplied):
        approve(plan, by="a person")
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    del database.tables["lines"]
    record = apply(plan)
    assert (record.state, record.error_code) == (State.PARTIAL, "plan_drifted")
    assert "public.lines is in the plan that was approved, and the source does not" in record.error


def test_a_plan_is_applied_in_another_database(
    make_filling_job: MakeJob, warehouse: Database, orders: MemoryTable
) -> None:
    job = make_filling_job()
    run(job)
    change(orders)
    plan = run(job, mode=SyncMode.FULL, dry_run=True)
    orders.touch(orders.find(id="200"), name="another")
    assert apply(plan).error_code == "plan_drifted"
    orders.touch(orders.find(id="200"), name="new")
    assert apply(plan).state == State.SUCCEEDED
    assert rows_there(warehouse) == held_as(orders)
