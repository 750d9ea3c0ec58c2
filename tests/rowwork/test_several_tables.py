"""One job fills several tables, each published on its own."""

from __future__ import annotations

from typing import NoReturn

import pytest
from django.db.models.functions import Now

from datasets.models import Version
from farends.errors import ConnectionLost
from farends.rows.contract import Column
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queueing.giving_up import give_up
from syncjobs.records.asking import release
from tests.rows import fresh, run
from tests.rowwork.conftest import ORDERS, MakeJob, held_as, rows_of
from tests.rowwork.memory import MemoryDatabase, MemoryRows, MemoryTable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(database: MemoryDatabase) -> MemoryDatabase:
    for name in ("customers", "invoices", "logs"):
        table = database.tables[name] = MemoryTable(list(ORDERS))
        for number in range(1, 61):
            table.add(id=str(number), name=f"{name} {number}")
    return database


@pytest.fixture
def job(make_row_job: MakeJob, shop: MemoryDatabase) -> SyncJob:
    return make_row_job(entity=None, entities={"include": ["customers", "inv*", "public.orders"]})


def states_of(record: SyncRecord) -> dict[str, str]:
    return {one["name"]: one["state"] for one in record.tables or []}


def test_each_entity_that_is_meant_becomes_a_table_and_a_version(
    job: SyncJob, shop: MemoryDatabase
) -> None:
    record = run(job)
    assert (record.state, record.rows_added) == (State.SUCCEEDED, 220)
    assert states_of(record) == {
        "public.customers": "succeeded",
        "public.invoices": "succeeded",
        "public.orders": "succeeded",
    }
    changed = Version.objects.order_by("number").values_list("tables_changed", "rows")
    assert list(changed) == [
        (["public.customers"], 60),
        (["public.invoices"], 120),
        (["public.orders"], 220),
    ]
    assert record.dataset_version == 3
    assert rows_of(job, "public.invoices") == held_as(shop.tables["invoices"])


def test_without_an_entity_all_are_taken_but_what_is_excluded(
    make_row_job: MakeJob, shop: MemoryDatabase
) -> None:
    every = run(make_row_job(entity=None))
    assert len(states_of(every)) == 4
    fewer = run(make_row_job(entity=None, entities={"include": ["*"], "exclude": ["logs"]}))
    assert len(states_of(fewer)) == 3


def test_a_table_that_fails_does_not_stop_the_others(job: SyncJob, shop: MemoryDatabase) -> None:
    run(job)
    for table in shop.tables.values():
        table.touch(table.find(id="1"), name="changed")
    shop.tables["customers"].columns = [
        Column("number", "int", "bigint") if column.name == "id" else column for column in ORDERS
    ]
    record = run(job)
    assert (record.state, record.error_code, record.verdict) == (State.PARTIAL, "schema", "partial")
    assert states_of(record) == {
        "public.customers": "failed",
        "public.invoices": "succeeded",
        "public.orders": "succeeded",
    }
    assert record.rows_changed == 2


def test_a_table_that_is_lost_for_a_while_lets_the_others_through_and_is_tried_again(
    job: SyncJob, shop: MemoryDatabase
) -> None:
    cuts = iter([True])

    def cut(number: int) -> None:
        if shop.readings[-1][0] == "customers" and next(cuts, False):
            raise ConnectionLost

    shop.before_chunk = cut
    record = run(job)
    assert record.state == State.QUEUED
    assert states_of(record) == {
        "public.customers": "failed",
        "public.invoices": "succeeded",
        "public.orders": "succeeded",
    }
    SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
    shop.readings.clear()
    execute(record.pk, Heart("test"))
    record = fresh(record)
    assert (record.state, record.rows_added) == (State.SUCCEEDED, 220)
    assert {name for name, _, _ in shop.readings} == {"customers"}


def test_a_table_that_stays_lost_ends_the_record_in_part(
    job: SyncJob, shop: MemoryDatabase
) -> None:
    def cut(number: int) -> None:
        if shop.readings[-1][0] == "customers":
            raise ConnectionLost

    shop.before_chunk = cut
    job.max_attempts = 1
    job.save()
    record = run(job)
    assert (record.state, record.error_code) == (State.PARTIAL, "connection_lost")
    assert states_of(record) == {
        "public.customers": "failed",
        "public.invoices": "succeeded",
        "public.orders": "succeeded",
    }


def test_a_source_that_is_lost_for_good_after_some_tables_leaves_a_part(
    job: SyncJob, shop: MemoryDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    job.max_attempts = 2
    job.save()

    def lose(*_: object) -> NoReturn:
        raise ConnectionLost

    def cut(number: int) -> None:
        if shop.readings[-1][0] == "customers":
            lose()

    shop.before_chunk = cut
    record = run(job)
    assert record.state == State.QUEUED
    monkeypatch.setattr(MemoryRows, "entities", lose)
    for _ in range(2):  # the first attempt got further, and so counts for nothing
        SyncRecord.objects.filter(pk=record.pk).update(not_before=None)
        execute(record.pk, Heart("test"))
    record = fresh(record)
    assert (record.state, record.verdict) == (State.PARTIAL, "partial")
    assert record.error_code == "connection_lost"
    assert Version.objects.count() == 2


def test_a_record_that_gives_up_waiting_after_some_tables_did_a_part(
    job: SyncJob, shop: MemoryDatabase
) -> None:
    def cut(number: int) -> None:
        if shop.readings[-1][0] == "customers":
            raise ConnectionLost

    shop.before_chunk = cut
    record = run(job)
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(tries_until=Now())
    assert give_up() == 1
    record = fresh(record)
    assert (record.state, record.verdict) == (State.PARTIAL, "partial")
    assert record.error_code == "connection_lost"
    last = record.events.last()
    assert last is not None
    assert last.event == "gave_up_partly"


def test_a_record_that_gives_up_before_any_table_has_failed(
    job: SyncJob, shop: MemoryDatabase
) -> None:
    def cut(number: int) -> None:
        raise ConnectionLost

    shop.before_chunk = cut
    record = run(job)
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(tries_until=Now())
    assert give_up() == 1
    assert fresh(record).state == State.FAILED


def test_a_table_that_is_held_waits_alone(job: SyncJob, shop: MemoryDatabase) -> None:
    run(job)
    shop.tables["customers"].rows.clear()
    shop.tables["orders"].touch(shop.tables["orders"].find(id="1"), name="changed")
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error_code) == (State.HELD, "empty_source")
    assert list((record.hold or {})["tables"]) == ["public.customers"]
    assert rows_of(job, "public.orders")[0]["name"] == "changed"
    shop.readings.clear()
    assert release(record.pk, by="a person")
    execute(record.pk, Heart("test"))
    assert fresh(record).state == State.SUCCEEDED
    assert [name for name, _, _ in shop.readings] == ["customers"]
    assert (record.rows_removed, record.rows_changed) == (60, 1)
    assert rows_of(job, "public.customers") == []


def test_an_override_gives_a_table_another_key_cursor_and_columns(
    make_row_job: MakeJob, shop: MemoryDatabase
) -> None:
    override = {"key": ["name"], "cursor": {"field": "id"}, "columns": {"include": ["name", "id"]}}
    job = make_row_job(entity=None, overrides={"customers": override})
    run(job)
    customers = rows_of(job, "public.customers")
    assert list(customers[0]) == ["id", "name"]
    assert customers == sorted(customers, key=lambda row: row["name"] or "")
    [told] = [one for one in run(job).tables or [] if one["name"] == "public.customers"]
    assert told["cursor_column"] == "id"
