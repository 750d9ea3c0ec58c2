"""Records of rows by REST: counts, marks, what is held, the quarantine, and reading a table anew."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.models import Connector
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.requesting import retry
from tests.api.asking import Asker, asker
from tests.console.conftest import make_record
from tests.rows import make_connector, make_job, run
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

MARK = {"kind": "xmin", "field": "xmin", "text": "700", "proof": {"system": "7"}}
CHANGE = {
    "table": "orders",
    "column": "qty",
    "change": "changed",
    "from": "bigint",
    "to": "text",
    "offers": ["rebuild", "new_column", "stop"],
}
HELD = {
    "rule": "schema_change",
    "reason": "the source's columns are others",
    "removed": 0,
    "table_rows": 1000,
    "sample_keys": [],
    "schema_changes": [CHANGE],
}
EMPTY = {**HELD, "rule": "empty_source", "removed": 5, "sample_keys": [{"id": "5"}], "schema_changes": []}  # fmt: skip


@pytest.fixture
def operator() -> Asker:
    return asker(Role.OPERATOR)


@pytest.fixture
def job(shop: Connector) -> SyncJob:
    return make_job(shop, name="orders", entity={"table": "orders"})


def hold(record: SyncRecord, **tables: Any) -> None:
    rule = next(iter(tables.values()))["rule"]
    SyncRecord.objects.filter(pk=record.pk).update(
        hold={"rule": rule, "files": 5, "tables": tables}, error="two tables are held"
    )


def put_in_quarantine(record: SyncRecord, count: int = 3, **fields: Any) -> list[int]:
    given = {
        "table": "orders",
        "key": {"id": "5"},
        "column": "day",
        "code": "value",
        "message": "no date",
        "raw": b"5\t2026-13-01\xff\0",
    }
    rows = [QuarantinedRow(record=record, **given | fields) for _ in range(count)]
    return [row.pk for row in QuarantinedRow.objects.bulk_create(rows)]


def test_a_record_of_rows_counts_rows(operator: Asker, job: SyncJob) -> None:
    record = run(job)
    told = operator.get(f"sync-records/{record.pk}").json()
    assert (told["state"], told["rows_read"], told["rows_added"]) == ("succeeded", 100, 100)
    assert (told["rows_failed"], told["files_added"], told["cursor_column"]) == (0, 0, "xmin")
    assert {*told["mark"]} == {"kind", "field", "text"}
    assert told["held"] is None
    (table,) = told["tables"]
    assert (table["name"], table["state"], table["rows_added"]) == (
        "public.orders",
        "succeeded",
        100,
    )
    assert operator.items("sync-records") == [told]


def test_a_record_of_files_has_no_rows(operator: Asker) -> None:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    record = make_record(make_job(make_connector(target)), State.SUCCEEDED)
    told = operator.get(f"sync-records/{record.pk}").json()
    names = ("rows_read", "rows_failed", "values_nulled", "cursor_column", "mark", "held", "tables")
    assert [told[name] for name in names] == [None] * len(names)


def test_what_is_held_is_told(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.HELD)
    path = f"sync-records/{record.pk}"
    hold(record, orders=HELD)
    assert operator.get(path).json()["held"] == HELD
    hold(record, orders=HELD, lines=EMPTY)
    told = operator.get(path).json()["held"]
    assert (told["rule"], told["reason"]) == ("schema_change", "two tables are held")
    assert (told["removed"], told["table_rows"]) == (5, 2000)
    assert (told["schema_changes"], told["sample_keys"]) == ([CHANGE], [{"id": "5"}])
    assert operator.items("sync-records")[0]["held"] == told


def test_a_changed_schema_is_released_with_an_answer(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.HELD)
    path = f"sync-records/{record.pk}/release"
    hold(record, orders=HELD)
    refused = operator.post(path)
    assert refused.status_code == 409
    assert "orders.qty" in refused.json()["detail"]
    assert operator.post(path, {"schema_changes": "drop"}).status_code == 400
    released = operator.post(path, {"schema_changes": "new_column"})
    assert (released.status_code, released.json()["state"]) == (202, "queued")
    record.refresh_from_db()
    assert record.hold is not None
    assert (record.hold["answer"], record.guards_waived) == ("new_column", True)
    assert operator.post(path, {"schema_changes": "new_column"}).status_code == 409


def test_the_plan_of_a_row_job_is_approved(operator: Asker, job: SyncJob) -> None:
    run(job)
    planned = run(job, mode=SyncMode.FULL, dry_run=True)
    path = f"sync-records/{planned.pk}/approve"
    assert asker(Role.VIEWER).post(path).status_code == 403
    answer = operator.post(path)
    told = answer.json()
    assert (answer.status_code, told["state"], told["dry_run"]) == (202, "queued", False)
    execute(uuid.UUID(told["id"]), Heart("test"))
    ended = operator.get(f"sync-records/{told['id']}").json()
    assert (ended["state"], ended["error"]) == ("succeeded", "")
    twice = operator.post(path)
    assert (twice.status_code, twice.json()["record"]["id"]) == (409, told["id"])
    refused = operator.post(f"sync-records/{told['id']}/approve")
    assert (refused.status_code, "dry run" in refused.json()["detail"]) == (409, True)


def test_another_hold_takes_no_answer(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.HELD)
    hold(record, orders=EMPTY)
    path = f"sync-records/{record.pk}/release"
    assert operator.post(path, {"schema_changes": "stop"}).status_code == 409
    assert operator.post(path).status_code == 202


def test_the_quarantine_is_listed(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.PARTIAL)
    first, second, third = put_in_quarantine(record)
    QuarantinedRow.objects.filter(pk=second).update(state="redriven")
    path = f"sync-records/{record.pk}/quarantine"
    listed = operator.items(path, limit=2)
    assert [row["id"] for row in listed] == [first, second, third]
    told = listed[0]
    created_at = told.pop("created_at")
    assert created_at
    assert told == {
        "id": first,
        "state": "open",
        "table": "orders",
        "key": {"id": "5"},
        "path": None,
        "line": None,
        "column": "day",
        "code": "value",
        "message": "no date",
        "raw": "5\t2026-13-01\U000f00ff\uf000",
        "raw_complete": True,
    }
    assert [row["id"] for row in operator.items(path, state="redriven")] == [second]
    assert operator.get(path, {"state": "odd"}).status_code == 400
    with CaptureQueriesContext(connection) as queries:
        operator.get(path)
    assert len(queries) <= 10


def test_rows_are_sent_again_and_dropped(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.PARTIAL)
    first, second, third = put_in_quarantine(record)
    path = f"sync-records/{record.pk}/quarantine/redrive"
    body = {"ids": [first], "values": {str(first): {"day": "2026-12-13"}}, "drop": [second]}
    answer = operator.post(path, body)
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["trigger"], told["state"], told["job"]) == ("redrive", "queued", "orders")
    again = SyncRecord.objects.get(pk=told["id"])
    assert again.redrive == {
        "record": str(record.pk),
        "ids": [first],
        "values": {str(first): {"day": "2026-12-13"}},
    }
    assert QuarantinedRow.objects.get(pk=second).state == "dropped"
    whole = operator.post(path, {"ids": None})
    assert whole.status_code == 202, whole.content
    assert SyncRecord.objects.get(pk=whole.json()["id"]).redrive["ids"] == [first, third]  # type: ignore[index]


def test_a_redrive_stands_beside_what_waits(operator: Asker, job: SyncJob) -> None:
    waiting = enqueue(job, trigger=Trigger.MANUAL)
    record = make_record(job, State.PARTIAL)
    put_in_quarantine(record)
    answer = operator.post(f"sync-records/{record.pk}/quarantine/redrive")
    assert answer.status_code == 202, answer.content
    assert answer.json()["id"] != str(waiting.pk)
    assert operator.post(f"sync-jobs/{job.pk}/run").json()["id"] == str(waiting.pk)


def test_what_cannot_be_sent_again_is_refused(operator: Asker, job: SyncJob) -> None:
    record = make_record(job, State.PARTIAL)
    path = f"sync-records/{record.pk}/quarantine/redrive"
    assert operator.post(path).status_code == 409  # there is nothing
    (number,) = put_in_quarantine(record, 1)
    other = make_record(job, State.SUCCEEDED)
    (theirs,) = put_in_quarantine(other, 1)
    for body, field in (
        ({"ids": [theirs]}, "ids"),
        ({"drop": [theirs]}, "drop"),
        ({"values": {str(theirs): {}}}, "values"),
        ({"ids": ["x"]}, "ids.0"),
        ({"values": {"x": {}}}, "values.x"),
        ({"values": {str(number): {"day": 5}}}, f"values.{number}.day"),
        ({"rows": []}, "rows"),
    ):
        refused = operator.post(path, body)
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), body
    assert operator.post(path, {"drop": [number]}).status_code == 202
    assert operator.post(path, {"ids": [number]}).status_code == 409
    assert operator.post(path).status_code == 409


def test_a_table_is_read_anew(operator: Asker, job: SyncJob) -> None:
    answer = operator.post(f"sync-jobs/{job.name}/resync")
    assert answer.status_code == 202, answer.content
    told = answer.json()
    assert (told["trigger"], told["mode"], told["state"]) == ("resync", "full", "queued")
    assert operator.post(f"sync-jobs/{job.pk}/resync", {}).json()["id"] == told["id"]
    assert operator.post(f"sync-jobs/{job.pk}/resync", {"full": True}).status_code == 400


def test_a_table_is_not_read_anew_where_another_sync_waits(operator: Asker, job: SyncJob) -> None:
    waiting = enqueue(job, trigger=Trigger.MANUAL)
    answer = operator.post(f"sync-jobs/{job.pk}/resync")
    assert (answer.status_code, answer.json()["record"]["id"]) == (409, str(waiting.pk))


def test_files_are_not_read_anew(operator: Asker) -> None:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    files = make_job(make_connector(target))
    assert operator.post(f"sync-jobs/{files.pk}/resync").status_code == 409


def test_what_failed_is_tried_again_as_what_it_was(job: SyncJob) -> None:
    resync = make_record(job, State.FAILED, trigger=Trigger.RESYNC, mode="full")
    assert retry(resync, by="a person").trigger == Trigger.RESYNC
    order = {"record": str(resync.pk), "ids": [1], "values": {}}
    redriven = make_record(job, State.FAILED, trigger=Trigger.REDRIVE, redrive=order)
    again = retry(redriven, by="a person")
    assert (again.trigger, again.redrive) == (Trigger.REDRIVE, order)


def test_T20_quarantine_and_resync_are_for_operators_of_the_workspace(
    operator: Asker, job: SyncJob, shop: Connector
) -> None:
    record = make_record(job, State.PARTIAL)
    put_in_quarantine(record)
    viewer = asker(Role.VIEWER, name="viewer")
    path = f"sync-records/{record.pk}/quarantine"
    assert viewer.get(path).status_code == 200
    for forbidden in (
        f"{path}/redrive",
        f"sync-jobs/{job.pk}/resync",
        f"sync-records/{record.pk}/release",
    ):
        assert viewer.post(forbidden).status_code == 403
    theirs = make_connector(
        Target("192.0.2.1", 22, SftpOptions(username="s"), SftpSecret()), workspace="lab"
    )
    hidden = make_record(make_job(theirs), State.PARTIAL)
    missing = "00000000-0000-4000-8000-000000000000"
    for place in ("quarantine", "quarantine/redrive"):
        method = operator.get if place == "quarantine" else operator.post
        answers = [method(f"sync-records/{pk}/{place}") for pk in (hidden.pk, missing)]
        assert [answer.status_code for answer in answers] == [404, 404]
        assert answers[0].content == answers[1].content


def test_a_redrive_names_columns_that_the_table_has(operator: Asker, job: SyncJob) -> None:
    run(job)
    record = make_record(job, State.PARTIAL)
    number = put_in_quarantine(record, count=1, table="public.orders")[0]
    path = f"sync-records/{record.pk}/quarantine/redrive"
    refused = operator.post(path, {"values": {str(number): {"nowhere": "1"}}})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["values"])
    assert "nowhere" in refused.json()["detail"]
    assert operator.post(path, {"values": {str(number): {"qty": "1"}}}).status_code == 202
