"""The queries of docs/sql.md answer, as role `monitor`, which reads nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from cli.monitor_role import grant_monitor
from connectors.models import Connector
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.configuration.connectors import save_connector
from syncjobs.core.states import Event
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.rows import make_connector

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret(password="canary-77"))
BLOCKS = re.findall(
    r"```sql\n(.*?)```\n\n```text\n(.*?)```", (ROOT / "docs" / "sql.md").read_text(), re.DOTALL
)
VIEWS = {"connectors", "connector_syncs", "sync_jobs", "worker_locks", "job_execution_locks"}


@contextmanager
def as_monitor() -> Iterator[Any]:
    assert grant_monitor() == ""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE monitor")
        yield cursor


def read(query: str) -> list[dict[str, Any]]:
    with as_monitor() as cursor:
        cursor.execute(query)
        names = [column.name for column in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def auto_job(name: str) -> SyncJob:
    connector = make_connector(TARGET)
    connector.name, connector.auto_sync = name, True
    save_connector(connector)
    return SyncJob.objects.get(connector=connector)


@pytest.fixture
def installation() -> dict[str, SyncRecord]:
    """Connector `shop` syncs, `till` has failed, and a worker tells of itself."""
    ProcessSign.objects.create(name="worker", slots=8, host="h", started_at=Now(), seen_at=Now())
    records = {name: enqueue(auto_job(name), trigger=Trigger.MANUAL) for name in ("shop", "till")}
    for record in records.values():
        assert claim(record.pk, "worker") is not None
    move(records["till"].pk, Event.FAILED, changes={"error": "no such folder", "error_code": "x"})
    return records


def test_item_09_every_query_of_the_page_answers_as_it_shows(
    installation: dict[str, SyncRecord],
) -> None:
    assert len(BLOCKS) == 9
    for query, shown in BLOCKS:
        rows = read(query)
        assert rows, query
        header = [name.strip() for name in shown.splitlines()[0].split("|")]
        assert list(rows[0]) == header, query


def test_item_09_the_queries_tell_what_is(installation: dict[str, SyncRecord]) -> None:
    told = {row["name"]: row for row in read(BLOCKS[0][0])}
    assert (told["shop"]["status"], told["shop"]["current_sync_status"]) == (
        "SYNCING",
        "IN_PROGRESS",
    )
    assert (told["till"]["status"], told["till"]["current_sync_status"]) == ("ACTIVE", None)
    assert (told["till"]["last_sync_status"], told["till"]["last_sync_error"]) == (
        "FAILED",
        "no such folder",
    )
    [failed] = read("SELECT * FROM monitoring.connector_syncs WHERE status = 'FAILED'")
    assert (failed["id"], failed["workspace"]) == (installation["till"].pk, "acme")
    [lock] = read("SELECT * FROM monitoring.job_execution_locks")
    assert (lock["record_id"], lock["worker"]) == (installation["shop"].pk, "worker")
    [worker] = read("SELECT * FROM monitoring.worker_locks")
    assert (worker["worker"], worker["part"], worker["workspace"]) == ("worker", "worker", None)


def test_item_09_the_role_reads_the_views_and_nothing_else() -> None:
    make_connector(TARGET)
    with as_monitor() as cursor:
        cursor.execute(
            "SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
            " WHERE c.relkind IN ('r', 'v', 'm', 'p', 'S') AND n.nspname NOT IN ('pg_catalog', 'information_schema')"
            " AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')"
            " AND has_schema_privilege(n.oid, 'USAGE')"
        )
        assert set(cursor.fetchall()) == {("monitoring", view) for view in VIEWS}
        cursor.execute("SELECT * FROM monitoring.connectors")
        assert not {"sealed_secret", "options"} & {column.name for column in cursor.description}
    for statement in (
        "SELECT * FROM connectors_connector",
        "SELECT sealed_secret FROM connectors_connector",
        "DELETE FROM monitoring.connectors",
        "UPDATE monitoring.sync_jobs SET enabled = false",
        "CREATE TABLE public.mine (id int)",
        "CREATE TABLE monitoring.mine (id int)",
    ):
        with pytest.raises(DatabaseError, match=r"permission denied|cannot (update|delete)"):
            read(statement)
    assert Connector.objects.count() == 1
