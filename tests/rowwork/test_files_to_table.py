"""A CSV on a host over SFTP becomes a table: two lines of configuration, then each new version of the dataset."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from datasets.models import Table
from syncjobs.attempt.execution import execute
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import QuarantinedRow, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.redriving import send_again
from syncjobs.upkeep.rollback import roll_back
from tests.hosts.sshd import Sshd
from tests.rows import fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)


def make_reader(files: SyncJob, **fields: Any) -> SyncJob:
    order: dict[str, Any] = {
        "entity": {"path": "orders/*.csv", "format": "csv"},
        "name": "orders",
    } | fields
    job = SyncJob(workspace=files.workspace, source_dataset=files.dataset, **order)
    job.full_clean(exclude=["dataset"])
    save_job(job)
    return job


def follow(job: SyncJob) -> SyncRecord:
    """What beat and a worker do after a publication."""
    assert dispatch_due(now=timezone.now() + timedelta(seconds=1)).queued == 1
    record = SyncRecord.objects.get(job=job, state=State.QUEUED)
    assert record.trigger == Trigger.AFTER
    execute(record.pk, Heart("test"))
    return fresh(record)


def rows_of(job: SyncJob, columns: str) -> list[tuple[Any, ...]]:
    table = Table.objects.get(dataset=job.dataset)
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT {columns} FROM "{table.schema}"."{table.relation}" ORDER BY 1, 2'  # noqa: S608 — a test's
        )
        return list(cursor.fetchall())


@pytest.fixture
def files(sshd: Sshd, source: Path) -> SyncJob:
    (source / "orders").mkdir(parents=True)
    return make_job(make_connector(sshd.target(source)), name="drop")


def test_each_new_version_of_the_files_is_what_the_table_holds(
    files: SyncJob, source: Path
) -> None:
    job = make_reader(files, key=["id"])
    (source / "orders" / "a.csv").write_text("id,name,price\n1,one,1.50\n2,two,2\n")
    run(files)
    record = follow(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert (record.rows_read, record.rows_added, record.source_version) == (2, 2, 1)
    assert rows_of(job, "id, name, price::text") == [(1, "one", "1.50"), (2, "two", "2")]
    (source / "orders" / "a.csv").write_text("id,name,price\n2,two,2.5\n3,three,3\n")
    run(files)
    record = follow(job)
    assert (record.rows_added, record.rows_changed, record.rows_removed) == (1, 1, 1)
    assert rows_of(job, "id, name, price::text") == [(2, "two", "2.5"), (3, "three", "3")]
    roll_back(files.dataset_id, 1, by="test")
    record = follow(job)
    assert (record.source_version, record.dataset_version) == (3, 3)
    assert rows_of(job, "id, name, price::text") == [(1, "one", "1.50"), (2, "two", "2")]


def test_without_a_key_a_row_is_named_by_its_place(files: SyncJob, source: Path) -> None:
    job = make_reader(files)
    (source / "orders" / "a.csv").write_text('id,name\n1,one\n1,"x\ny"\n')
    (source / "orders" / "b.csv").write_text("id,name\n1,one\n")
    run(files)
    assert follow(job).state == State.SUCCEEDED
    assert rows_of(job, '"_path", "_line", id, name') == [
        ("orders/a.csv", 2, 1, "one"),
        ("orders/a.csv", 3, 1, "x\ny"),
        ("orders/b.csv", 2, 1, "one"),
    ]


def test_t15_rows_of_a_csv_that_do_not_fit_are_kept_apart_and_sent_again(
    files: SyncJob, source: Path
) -> None:
    job = make_reader(files, key=["id"])
    rows = [b"%d,name %d,2026-01-%02d" % (n, n, 1 + n % 28) for n in range(1, 10_001)]
    rows[99] = b"100,with\0nul,2026-01-01"
    rows[2_499] = b"2500,bad \xff utf,2026-01-01"
    rows[4_999] = b"5000,one,2026-01-01,too many"
    rows[9_998] = b"9999,none,2026-13-01"
    (source / "orders" / "big.csv").write_bytes(b"id,name,day\n" + b"\n".join(rows))
    run(files)
    record = follow(job)
    assert (record.state, record.rows_read, record.rows_failed) == (State.PARTIAL, 10_000, 4)
    assert len(rows_of(job, "id, name")) == 9_996
    bad = QuarantinedRow.objects.filter(record=record).order_by("line")
    told = [(row.path, row.line, row.column, row.code) for row in bad]
    assert told == [
        ("orders/big.csv", 101, "name", "encoding"),
        ("orders/big.csv", 2_501, "name", "encoding"),
        ("orders/big.csv", 5_001, None, "columns"),
        ("orders/big.csv", 10_000, "day", "value"),
    ]
    names = [row.pk for row in bad]
    again = send_again(
        record,
        by="test",
        values={
            names[0]: {"name": "mended"},
            names[1]: {"name": "mended"},
            names[2]: {"name": "mended"},
            names[3]: {"day": "2026-12-13"},
        },
    )
    execute(again.pk, Heart("test"))
    assert (fresh(again).state, again.error) == (State.SUCCEEDED, "")
    assert len(rows_of(job, "id, name")) == 10_000
    assert (9_999, "none", "2026-12-13") in rows_of(job, "id, name, day::text")
