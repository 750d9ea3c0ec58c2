"""A large installation, written by SQL: several workspaces, and everything that their pages show.

The records lie in 90 days and in all states, some of them held, at work or waiting. The rows are copies of one that the
product has made, so a new column of a model needs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection
from django.utils import timezone

from alerts.core.words import SubjectKind
from alerts.models import Alert, AlertRule
from benchmarks.copying import copy_row, table_of
from connectors.models import Connector, FarEndWatch
from datasets.models import Dataset, DatasetKind, Entry, Version
from events.models import SyncEvent
from outbox.models import DeadLetter, Delivery, Stream
from outbox.streams import save_stream
from search.models import DatasetIndex
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import HourTotal, PlannedFile, SyncItem, SyncJob, SyncRecord, Trigger
from workspaces.acting import Door
from workspaces.models import AuditEntry, Role, Workspace
from workspaces.tokens import create_token

DAYS = 90
RUNNING_MAX, QUEUED_MAX = 40, 200  # of each workspace's newest records, of different jobs
VERSIONS = 20
FILES = 10  # of most datasets

_ERROR = "'The host closed the connection after ' || n || ' bytes: Connection reset by peer (ECONNRESET)'"


@dataclass(frozen=True, slots=True)
class Estate:
    """How many rows there are to be, in all workspaces together."""

    jobs: int = 10_000
    connectors: int = 2_000
    records: int = 1_000_000
    audits: int = 300_000
    alerts: int = 20_000
    streams: int = 50
    deliveries: int = 100_000
    dead_letters: int = 20_000
    large_dataset: int = 100_000  # files
    planned: int = 5_000  # files of one held plan
    ledger: int = 50_000  # files of one record
    people: int = 300


SHARES = {"north": 0.6, "south": 0.2, "east": 0.15, "west": 0.05}


def build(estate: Estate) -> None:
    """Fills an empty database. The first workspace has most of all."""
    for name, share in SHARES.items():
        _fill_workspace(name, share, estate)
    _fill_hours()
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")


def _fill_workspace(name: str, share: float, estate: Estate) -> None:
    workspace = Workspace.objects.create(name=name)
    connector = _make_connectors(workspace, max(2, int(estate.connectors * share)))
    job = _make_jobs(workspace, connector, max(4, int(estate.jobs * share)))
    record = _make_records(job, max(4, int(estate.records * share)))
    _make_traces(record, estate, share)
    _make_versions(job, estate if name == "north" else None)
    _make_alerts(job, max(2, int(estate.alerts * share)))
    _make_audits(workspace, max(2, int(estate.audits * share)))
    if name == "north":
        _make_streams(workspace, estate)
        _make_people(workspace, estate.people)


def _make_connectors(workspace: Workspace, count: int) -> Connector:
    first = Connector.objects.create(
        workspace=workspace,
        name="host-0",
        kind="sftp",
        host="files-0.example.com",
        port=22,
        options={"username": "sync", "root": "/exports"},
        last_sync_status="succeeded",
        last_attempt_at=timezone.now(),
        last_sync_at=timezone.now(),
    )
    copy_row(
        first,
        count - 1,
        {
            "id": "gen_random_uuid()",
            "name": "'host-' || n",
            "host": "'files-' || n || '.example.com'",
            "kind": "CASE n %% 5 WHEN 0 THEN 'ftp' WHEN 1 THEN 'http' ELSE 'sftp' END",
            "last_sync_status": "CASE WHEN n %% 20 = 3 THEN 'failed' ELSE 'succeeded' END",
            "last_sync_error": f"CASE WHEN n %% 20 = 3 THEN {_ERROR} ELSE '' END",
        },
    )
    now = timezone.now()
    looks = [
        {"at": (now - timedelta(minutes=each)).isoformat(), "took_ms": 20 + each, "error": ""}
        for each in range(10)
    ]
    watch = FarEndWatch.objects.create(
        connector=first, state="online", told="online", since=now, looks=looks
    )
    copy_row(
        watch,
        1,
        {
            "connector_id": "each.id",
            "state": "CASE WHEN each.name LIKE '%%99' THEN 'offline' ELSE 'online' END",
            "due_at": "now() + interval '1 minute'",
        },
        join=f"JOIN {table_of(Connector)} each ON each.workspace_id = %(workspace)s AND each.id <> %(first)s",
        workspace=workspace.pk,
        first=first.pk,
    )
    return first


def _make_jobs(workspace: Workspace, connector: Connector, count: int) -> SyncJob:
    job = SyncJob(
        workspace=workspace,
        connector=connector,
        name="orders-0",
        schedule={"cron": "15 2 * * *", "timezone": "Europe/Berlin"},
        include=["**/*.csv"],
        tags=["nightly"],
    )
    save_job(job)
    copy_row(job.dataset, count - 1, {"id": "gen_random_uuid()", "name": "'orders-' || n"})
    copy_row(
        job,
        count - 1,
        {
            "id": "gen_random_uuid()",
            "name": "'orders-' || n",
            "dataset_id": "each.id",
            "connector_id": "host.id",
            "enabled": "n %% 25 <> 3",
            "paused_at": "CASE WHEN n %% 100 = 8 THEN now() - interval '2 days' END",
            "paused_reason": "CASE WHEN n %% 100 = 8 THEN '5 failures in a row' ELSE '' END",
            "next_run_at": "now() + make_interval(secs => n %% 86400)",
            "last_error": f"CASE WHEN n %% 50 = 9 THEN {_ERROR} ELSE '' END",
        },
        join=f"""JOIN {table_of(Dataset)} each ON each.workspace_id = %(workspace)s AND each.name = 'orders-' || n
            JOIN (SELECT id, row_number() OVER (ORDER BY name) - 1 AS number, count(*) OVER () AS of
                    FROM {table_of(Connector)} WHERE workspace_id = %(workspace)s) host
              ON host.number = n %% host.of""",  # noqa: S608 — our own names
        workspace=workspace.pk,
    )
    return job


def _make_records(job: SyncJob, count: int) -> SyncRecord:
    """By number, the newest first. Of ten thousand records two are held, of a hundred one is a dry run."""
    now = timezone.now()
    record = SyncRecord.objects.create(
        workspace=job.workspace, job=job, connector=job.connector, trigger=Trigger.SCHEDULE,
        address=job.address, state=State.SUCCEEDED, started_at=now, finished_at=now, verdict="ok",
        total_files=1_000, files_added=3, files_unchanged=997, bytes_transferred=123_456,
        dataset_version=VERSIONS, attempt=1, percentage=100.0, worked_s=40.0,
    )  # fmt: skip
    jobs = SyncJob.objects.filter(workspace=job.workspace).count()
    running = f"n <= {min(RUNNING_MAX, jobs // 4)}"
    active = f"n <= {min(RUNNING_MAX + QUEUED_MAX, jobs // 2)}"
    held = "n %% 5000 = 7"
    at = f"template.queued_at - make_interval(secs => n * {DAYS * 86_400 / count!r})"
    number = "id, connector_id, row_number() OVER (ORDER BY id) - 1 AS number"
    numbered = f"SELECT {number} FROM {table_of(SyncJob)} WHERE workspace_id = %(workspace)s"  # noqa: S608 — our own names
    copy_row(
        record,
        count - 1,
        {
            "id": "gen_random_uuid()",
            "job_id": "each.id",
            "connector_id": "each.connector_id",
            "state": f"""CASE WHEN {running} THEN 'running' WHEN {active} THEN 'queued' WHEN {held} THEN 'held'
                WHEN n %% 1000 < 20 THEN 'failed' WHEN n %% 1000 < 25 THEN 'timed_out'
                WHEN n %% 1000 < 30 THEN 'cancelled' WHEN n %% 1000 < 40 THEN 'partial' ELSE 'succeeded' END""",
            "dry_run": f"n %% 100 = 55 AND NOT ({active})",
            "verdict": f"CASE WHEN {active} OR {held} THEN '' WHEN n %% 200 = 99 THEN 'suspect' ELSE 'ok' END",
            "queued_at": at,
            "started_at": f"CASE WHEN {running} OR NOT ({active}) THEN {at} END",
            "finished_at": f"CASE WHEN NOT ({active} OR {held}) THEN {at} + interval '40 s' END",
            "lease_owner": f"CASE WHEN {running} THEN 'worker:1' END",
            "lease_expires_at": f"CASE WHEN {running} THEN now() + interval '1 day' END",
            "heartbeat_at": f"CASE WHEN {running} THEN now() END",
            "claimed_at": f"CASE WHEN {running} THEN now() END",
            "stage": f"CASE WHEN {running} THEN 'processing_files' ELSE '' END",
            "percentage": "n %% 101",
            "waiting_for": f"CASE WHEN {active} AND NOT ({running}) THEN 'a worker' ELSE '' END",
            "error": f"""CASE WHEN {held} THEN '412 of 4000 files would be removed'
                WHEN n %% 1000 < 25 AND NOT ({active}) THEN {_ERROR} ELSE '' END""",
            "error_code": f"CASE WHEN n %% 1000 < 25 AND NOT ({active} OR {held}) THEN 'connection_lost' ELSE '' END",
            "files_failed": "CASE WHEN n %% 1000 < 40 THEN 2 ELSE 0 END",
            "hold": f"""CASE WHEN {held} THEN '{{"rule": "mass_removal", "files": 412}}'::jsonb END""",
        },
        join=f"JOIN ({numbered}) each ON each.number = n %% {jobs}",
        workspace=job.workspace_id,
    )
    return record


def _make_traces(record: SyncRecord, estate: Estate, share: float) -> None:
    """Events of all records, ledgers of the newest, and what one held record would do."""
    event = SyncEvent.objects.create(
        record=record, workspace_id=record.workspace_id, event="succeeded", reason="1000 files"
    )
    mine = f"JOIN {table_of(SyncRecord)} each ON each.workspace_id = %(workspace)s"
    copy_row(
        event,
        1,
        {"id": _next_id(SyncEvent), "record_id": "each.id", "at": "each.queued_at"},
        join=mine,
        workspace=record.workspace_id,
    )
    item = SyncItem.objects.create(
        record=record, path="in/orders.csv", action="added", size_bytes=9
    )
    newest = f"JOIN (SELECT id FROM {table_of(SyncRecord)} WHERE workspace_id = %(workspace)s ORDER BY queued_at DESC LIMIT %(most)s) each ON TRUE"  # noqa: S608 — our own names
    named = {"path": "'2026/in/orders-' || n || '.csv'", "id": _next_id(SyncItem)}
    copy_row(
        item,
        2,
        named | {"record_id": "each.id"},
        join=newest,
        workspace=record.workspace_id,
        most=int(estate.records * share) // 10,
    )
    held = SyncRecord.objects.filter(workspace=record.workspace_id, state=State.HELD).first()
    if share < 0.5:
        return
    copy_row(
        item,
        estate.ledger,
        named | {"action": "CASE WHEN n %% 9 = 0 THEN 'failed' ELSE 'added' END"},
    )
    if held is not None:
        planned = PlannedFile.objects.create(
            record=held, path="in/a.csv", action="removed", size_bytes=9
        )
        copy_row(
            planned,
            estate.planned,
            {
                "id": _next_id(PlannedFile),
                "path": "'in/' || n %% 40 || '/orders-' || n || '.csv'",
                "action": "CASE n %% 3 WHEN 0 THEN 'added' WHEN 1 THEN 'changed' ELSE 'removed' END",
            },
        )


def _make_versions(job: SyncJob, large: Estate | None) -> None:
    version = Version.objects.create(
        dataset=job.dataset, number=VERSIONS, file_count=FILES, size_bytes=12_345, files_added=1
    )
    others = f"JOIN {table_of(Dataset)} each ON each.workspace_id = %(workspace)s AND each.kind = %(kind)s"
    copy_row(
        version,
        VERSIONS,
        {
            "id": _next_id(Version),
            "dataset_id": "each.id",
            "number": "n",
            "is_current": f"n = {VERSIONS}",
            "size_bytes": "12000 + n * 17",
        },
        join=f"{others} AND (each.id <> %(first)s OR n < {VERSIONS})",
        workspace=job.workspace_id,
        kind=DatasetKind.FILES,
        first=job.dataset_id,
    )
    entry = Entry.objects.create(
        dataset=job.dataset, path="in/orders.csv", size_bytes=9, sha256=b"\0" * 32, since=1
    )
    named = {"id": _next_id(Entry), "path": "'in/' || n %% 40 || '/orders-' || n || '.csv'"}
    copy_row(
        entry,
        FILES,
        named | {"dataset_id": "each.id", "since": f"1 + n %% {VERSIONS}"},
        join=f"{others} AND each.id <> %(first)s",
        workspace=job.workspace_id,
        kind=DatasetKind.FILES,
        first=job.dataset_id,
    )
    if large is not None:
        copy_row(entry, large.large_dataset, named | {"since": f"1 + n %% {VERSIONS}"})
    index = DatasetIndex.objects.filter(dataset=job.dataset).first() or DatasetIndex.objects.create(
        dataset=job.dataset, workspace=job.workspace
    )
    copy_row(
        index,
        1,
        {"dataset_id": "each.id"}
        | ({"id": _next_id(DatasetIndex)} if _counts(DatasetIndex) else {}),
        join=f"{others} AND each.id <> %(first)s",
        workspace=job.workspace_id,
        kind=DatasetKind.FILES,
        first=job.dataset_id,
    )


def _make_alerts(job: SyncJob, count: int) -> None:
    """One rule for every fifty jobs; of fifty alerts one fires."""
    rule = AlertRule.objects.create(workspace=job.workspace, name="orders fail 0", kind="failure")
    copy_row(rule, 40, {"id": "gen_random_uuid()", "name": "'orders fail ' || n"})
    now = timezone.now()
    alert = Alert.objects.create(
        workspace=job.workspace, rule=rule, kind="failure", subject_kind=SubjectKind.JOB,
        subject_id=job.pk, subject_name=job.name, severity=rule.severity, occurrences=3,
        detail="The host closed the connection.", opened_at=now, last_seen_at=now, resolved_at=now,
    )  # fmt: skip
    copy_row(
        alert,
        count,
        {
            "id": "gen_random_uuid()",
            "subject_id": "gen_random_uuid()",
            "subject_name": "'orders-' || n",
            "firing": "n %% 50 = 0",
            "opened_at": "template.opened_at - make_interval(secs => n * 60)",
            "resolved_at": "CASE WHEN n %% 50 <> 0 THEN template.opened_at END",
        },
    )


def _make_audits(workspace: Workspace, count: int) -> None:
    entry = AuditEntry.objects.create(
        workspace=workspace, actor="ada", door=Door.CONSOLE, action="changed", kind="sync job",
        object_id=str(workspace.pk), object_name="orders-0", changes={"enabled": [True, False]},
    )  # fmt: skip
    copy_row(
        entry,
        count,
        {
            "id": _next_id(AuditEntry),
            "object_name": "'orders-' || n",
            "action": "CASE n %% 3 WHEN 0 THEN 'created' ELSE 'changed' END",
        },
    )


def _make_streams(workspace: Workspace, estate: Estate) -> None:
    client = Connector.objects.create(
        workspace=workspace, name="meters", kind="client", host="meters.example.com", port=443
    )
    for number in range(estate.streams):
        stream = save_stream(Stream(workspace=workspace, client=client, name=f"meters-{number}"))
    delivery = Delivery.objects.create(
        batch_id=stream.pk, stream=stream, seq_from=1, seq_to=9, count=9, token=1, took_ms=12,
        status=200, outcome="done",
    )  # fmt: skip
    copy_row(delivery, estate.deliveries, {"id": _next_id(Delivery), "seq_from": "n"})
    letter = DeadLetter.objects.create(
        stream=stream, seq=1, key="meter-0", payload='{"value": 1}', code="422",
        reason="value is out of range", batch_id=stream.pk,
    )  # fmt: skip
    copy_row(
        letter,
        estate.dead_letters,
        {"id": _next_id(DeadLetter), "seq": "n + 1", "key": "'meter-' || n"},
    )


def _make_people(workspace: Workspace, count: int) -> None:
    from django.contrib.auth import get_user_model

    from workspaces.models import Member

    users = get_user_model()._default_manager.bulk_create(
        get_user_model()(username=f"person-{number}", is_staff=True) for number in range(count)
    )
    Member.objects.bulk_create(
        Member(workspace=workspace, user=user, role=Role.OPERATOR) for user in users
    )
    token, _ = create_token(workspace, name="program-0", role=Role.VIEWER)
    copy_row(
        token,
        count,
        {
            "id": "gen_random_uuid()",
            "name": "'program-' || n",
            "prefix": "left(md5(n::text), 12)",
        },
    )


def _fill_hours() -> None:
    table = table_of(HourTotal)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} (workspace_id, hour, state, records, files, bytes_transferred, held_bytes)"  # noqa: S608 — our own names
            f" SELECT workspace_id, date_trunc('hour', finished_at), state, count(*), sum(files_added),"
            f" sum(bytes_transferred), 1000 FROM {table_of(SyncRecord)}"
            " WHERE finished_at IS NOT NULL AND NOT dry_run GROUP BY 1, 2, 3"
        )


def _counts(model: type[Any]) -> bool:
    return bool(model._meta.pk.get_internal_type() in ("AutoField", "BigAutoField"))


def _next_id(model: type[Any]) -> str:
    """The next of the numbers that PostgreSQL gives to this table."""
    return f"nextval(pg_get_serial_sequence('{table_of(model)}', 'id'))"


def iter_sizes() -> Iterator[tuple[str, int]]:
    """Each big table with its rows as PostgreSQL counts them."""
    for model in (
        SyncRecord,
        SyncJob,
        Connector,
        SyncEvent,
        SyncItem,
        Version,
        Entry,
        AuditEntry,
        Alert,
    ):
        yield str(model._meta.verbose_name_plural), model._base_manager.count()
