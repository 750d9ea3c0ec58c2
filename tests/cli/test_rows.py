"""Commands about tables: what a far end offers, its first rows, the quarantine, sending again, reading anew."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from cli.records import describe_progress, describe_record
from connectors.models import Connector
from datasets.models import Dataset
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import QuarantinedRow, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.row_sources import fill
from tests.console.conftest import make_record
from tests.hosts.databases import Database, making_database
from tests.rows import make_connector, make_job, make_version, run

pytestmark = pytest.mark.django_db(transaction=True)

SFTP = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    settings.OWN_LISTENERS = ()
    with making_database() as made:
        fill(made)
        yield made


@pytest.fixture
def shop(database: Database) -> Connector:
    return make_connector(database.target(), kind="sql")


@pytest.fixture
def job(shop: Connector) -> SyncJob:
    return make_job(shop, name="orders", entity={"table": "orders"})


def told(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    call_command(*words, "--json", "--workspace", "acme")
    return json.loads(capsys.readouterr().out)


def said(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    call_command(*words, "--workspace", "acme")
    return capsys.readouterr().out.splitlines()


@pytest.fixture
def drop() -> Dataset:
    job = make_job(make_connector(SFTP), name="drop")
    files = {"orders/a.csv": b"id,day\n1,2026-01-01\n", "orders/b.csv": b"id,day\n2,\n"}
    make_version(job.dataset, files | {"data.bin": b"x;y\n1;2\n", "events.jsonl": b'{"id": 1}\n'})
    return job.dataset


def test_files_of_a_dataset_are_listed_as_tables(
    drop: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "entities", "drop")
    assert [line.split()[:2] for line in lines] == [
        ["NAME", "KIND"],
        ["events.jsonl", "file"],
        ["orders/a.csv", "file"],
        ["orders/b.csv", "file"],
    ]
    items = told(capsys, "entities", "drop", "--format", "csv", "--prefix", "orders/b")["items"]
    assert [(one["name"], one["entity"]) for one in items] == [
        ("orders/b.csv", {"path": "orders/b.csv", "format": "csv"})
    ]
    Connector.objects.update(name="drop")
    with pytest.raises(CommandError, match="sftp"):
        call_command("entities", "drop")
    assert len(told(capsys, "entities", "drop", "--dataset")["items"]) == 3
    with pytest.raises(CommandError, match="no connector and no dataset of files 'none'"):
        call_command("entities", "none")


def test_files_of_a_dataset_are_previewed(
    drop: Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    one = told(capsys, "preview", "drop", "orders/a.csv")
    assert one["items"] == [{"id": "1", "day": "2026-01-01"}]
    assert [column["type"] for column in one["columns"]] == ["bigint", "date"]
    both = told(capsys, "preview", "drop", "orders/*.csv", "--limit", "5")
    assert [row["id"] for row in both["items"]] == ["1", "2"]
    named = told(capsys, "preview", "--dataset", "drop", "data.bin", "--format", "csv")
    assert named["items"] == [{"x": "1", "y": "2"}]
    for wrong in ("none.csv", "data.bin", "no/*.csv"):
        with pytest.raises(CommandError, match="`entities drop` lists what there is"):
            call_command("preview", "drop", wrong)
    drop.versions.all().delete()
    with pytest.raises(CommandError, match="no version yet"):
        call_command("preview", "drop", "orders/a.csv")


def test_entities_are_listed(shop: Connector, capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "entities", shop.name, "--prefix", "public.o")
    assert [line.split()[:4] for line in lines] == [
        ["NAME", "KIND", "KEY", "CURSOR"],
        ["public.orders", "table", "id", "xmin"],
    ]
    items = told(capsys, "entities", shop.name)["items"]
    assert "public.keyless" in [item["name"] for item in items]
    assert items[0]["columns"]


def test_the_first_rows_are_shown(shop: Connector, capsys: pytest.CaptureFixture[str]) -> None:
    heads, types, first = said(capsys, "preview", shop.name, "public.orders", "--limit", "1")
    assert heads.split() == ["id", "customer", "qty", "updated_at"]
    assert types.startswith("bigint")
    assert first.split()[:3] == ["1", "customer", "1"]
    shown = told(capsys, "preview", shop.name, "public.keyless")
    assert (len(shown["items"]), shown["complete"]) == (3, True)
    with pytest.raises(CommandError, match=r"offers no 'public\.nothing'"):
        call_command("preview", shop.name, "public.nothing", "--workspace", "acme")
    with pytest.raises(CommandError, match="from 1 to 100"):
        call_command("preview", shop.name, "public.orders", "--limit", "101")


def test_a_far_end_that_fails_is_said(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = make_connector(database.target(password="another"), kind="sql")
    for words in (["entities"], ["preview"]):
        place = ["public.orders"] if words == ["preview"] else []
        with pytest.raises(CommandError, match=r"password authentication failed|refused"):
            call_command(*words, wrong.name, *place, "--workspace", "acme")


def quarantined(job: SyncJob) -> tuple[SyncRecord, QuarantinedRow]:
    record = make_record(job, State.PARTIAL, rows_read=10, rows_added=9, rows_failed=1)
    row = QuarantinedRow.objects.create(
        record=record, table="public.orders", key={"id": "5"}, column="qty", code="value",
        message="out of range", raw=b"5\tx",
    )  # fmt: skip
    return record, row


def test_the_quarantine_is_listed_and_sent_again(
    job: SyncJob, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    record, row = quarantined(job)
    head, reason = said(capsys, "quarantine", str(record.pk)[:8])
    assert head == f"{row.pk}  open  public.orders  id=5, column qty"
    assert reason.strip() == "value: out of range"
    (item,) = told(capsys, "quarantine", str(record.pk), "--state", "open")["items"]
    assert (item["id"], item["raw"], item["key"]) == (row.pk, "5\tx", {"id": "5"})
    file = tmp_path / "values.json"
    for text, words in (
        ("[]", "whole"),
        ("{", "is no JSON"),
        ('{"99999": {}}', "no such row"),
        (f'{{"{row.pk}": {{"qty": 5}}}}', "qty"),
    ):
        file.write_text(text)
        with pytest.raises(CommandError, match=words):
            call_command("redrive", str(record.pk), "--values", str(file), "--workspace", "acme")
    file.write_text(json.dumps({str(row.pk): {"qty": "5"}}))
    queued = told(capsys, "redrive", str(record.pk), "--values", str(file))
    again = SyncRecord.objects.get(pk=queued["id"])
    assert again.redrive is not None
    assert (again.trigger, again.redrive["values"]) == ("redrive", {str(row.pk): {"qty": "5"}})
    QuarantinedRow.objects.update(state="redriven")
    with pytest.raises(CommandError, match="no open rows"):
        call_command("redrive", str(record.pk), "--workspace", "acme")


def test_a_table_is_read_anew(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    queued = told(capsys, "resync", "orders")
    assert SyncRecord.objects.get(pk=queued["id"]).trigger == Trigger.RESYNC
    SyncRecord.objects.filter(pk=queued["id"]).delete()
    enqueue(job, trigger=Trigger.MANUAL)
    with pytest.raises(CommandError, match="queued already"):
        call_command("resync", "orders", "--workspace", "acme")


@pytest.mark.parametrize("state", [State.SUCCEEDED, State.PARTIAL, State.HELD])
def test_the_exit_status_of_a_resync_is_its_state(
    job: SyncJob, monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    statuses = {State.SUCCEEDED: 0, State.PARTIAL: 4, State.HELD: 5}
    ended = make_record(job, state)
    monkeypatch.setattr("cli.management.commands.resync.request_resync", lambda job, by: ended)
    with pytest.raises(SystemExit) as exc:
        call_command("resync", "orders", "--wait", "--workspace", "acme")
    assert exc.value.code == statuses[state]


def test_a_record_of_rows_is_told_in_rows(job: SyncJob) -> None:
    record = run(job)
    lines = str(describe_record(record))
    assert "rows: 100 read, 100 added, 0 changed, 0 removed, 0 unchanged" in lines
    partial, _ = quarantined(job)
    assert f"manage.py quarantine {partial.pk}" in str(describe_record(partial))
    running = make_record(job, State.RUNNING, rows_read=2_000)
    assert describe_progress(running) == "processing files: 2,000 rows read"
