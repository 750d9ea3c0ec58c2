"""A restored database dispatches nothing and leaves sources alone until a person resumes."""

from __future__ import annotations

import dataclasses
import json
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.models.functions import Now
from pytest_django import Settings

from datasets.installation import FILE, LAG_S, Halt, recall, settle_here
from datasets.models import Installation, Version
from datasets.store import ensure_store, find_known_store
from store.sentinel import write_store_id
from syncjobs.claims.halting import Halted
from syncjobs.core.states import State
from syncjobs.models import AfterPublish, OnDelete, SyncJob, SyncRecord, Trigger
from syncjobs.queries.halts import find_halt_here
from syncjobs.queueing.due import dispatch_all
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.queueing.starting import start_due
from syncjobs.upkeep.sweeping import sweep
from syncjobs.upkeep.workers import Worker
from tasks import duties
from tests.hosts.databases import drop_database
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, fill, make_connector, make_job
from workspaces.models import AuditEntry

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    """Its fire is due, and it deletes at the source."""
    fill(source, {"a.txt": b"one", "b.txt": b"two"})
    job = make_job(
        make_connector(sshd.target(source)),
        schedule={"every_s": 3600},
        on_delete=OnDelete.IGNORE,
        after_publish=AfterPublish.DELETE,
    )
    SyncJob.objects.update(next_run_at=Now() - timedelta(minutes=1))
    return job


@pytest.fixture
def copied() -> Iterator[Callable[[], None]]:
    """Restores a copy of the whole database under another name, and goes on there."""
    original = connection.settings_dict["NAME"]
    copy = f"{original}_copy"
    parameters = connection.get_connection_params()

    def as_admin() -> psycopg.Connection[tuple[Any, ...]]:
        connection.close()
        keys = ("host", "port", "user", "password")
        words = {key: parameters[key] for key in keys}
        return psycopg.connect(**words, dbname="postgres", autocommit=True)

    def copy_it() -> None:
        with as_admin() as session:
            session.execute(f'CREATE DATABASE "{copy}" TEMPLATE "{original}"')
        connection.settings_dict["NAME"] = copy

    yield copy_it
    connection.settings_dict["NAME"] = original
    with as_admin() as session:
        drop_database(session, copy)


def settle() -> Halt | None:
    with connection.cursor() as cursor:
        return settle_here(cursor)


def write_file(data_dir: Path, **changes: Any) -> None:
    path = data_dir / FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def move_to(folder: Path, settings: Settings) -> None:
    """Another host: a DATA_DIR of its own, the same store."""
    folder.mkdir()
    settings.SYNC = dataclasses.replace(settings.SYNC, data_dir=folder)


def test_a_restored_copy_waits_for_a_person(
    job: SyncJob, source: Path, copied: Callable[[], None]
) -> None:
    left = enqueue(job, trigger=Trigger.SCHEDULE, dry_run=True)
    copied()
    assert (find_halt_here(), settle()) == (Halt.MOVED, Halt.MOVED)
    worker = Worker(1)
    # What was due, and what had been queued before:
    assert (duties.dispatch("test"), dispatch_all().queued) == (False, 0)
    with pytest.raises(Halted, match="resume_after_restore"):
        start_due(SyncJob.objects.all(), by="cron")
    assert SyncRecord.either.count() == 1
    assert worker.work_on(left.pk) is None
    left.refresh_from_db()
    assert left.state == State.QUEUED
    assert left.waiting_for.startswith("a person, with manage.py resume_after_restore: ")
    # What a person asks for now, but for the source:
    asked = enqueue(job, trigger=Trigger.MANUAL)
    assert worker.work_on(asked.pk) == State.SUCCEEDED
    asked.refresh_from_db()
    assert "resume_after_restore" in asked.warning
    assert (asked.files_added, asked.files_cleared) == (2, 0)
    assert len(digests_below(source)) == 2
    with pytest.raises(Halted):
        sweep()
    for command in ("sweep", "compact_packs"):
        with pytest.raises(CommandError, match="resume_after_restore"):
            call_command(command)

    call_command("resume_after_restore")
    assert (find_halt_here(), settle()) == (None, None)
    assert worker.work_on(left.pk) == State.SUCCEEDED
    assert dispatch_all().queued == 1
    fired = SyncRecord.objects.get(trigger=Trigger.SCHEDULE)
    assert worker.work_on(fired.pk) == State.SUCCEEDED
    assert digests_below(source) == {}
    assert Version.objects.count() == 1
    sweep()


def test_a_backup_restored_in_its_place_is_noticed(job: SyncJob, settings: Settings) -> None:
    assert settle() is None
    Installation.objects.update(noted_at=Now() - timedelta(seconds=LAG_S - 10))
    assert find_halt_here() is None  # a standby that took over may lack as much
    Installation.objects.update(noted_at=Now() - timedelta(hours=8))
    assert (find_halt_here(), settle()) == (Halt.OLDER, Halt.OLDER)
    call_command("resume_after_restore")
    assert (find_halt_here(), settle()) == (None, None)


def test_how_far_it_was_seen_is_noted_each_minute(job: SyncJob, settings: Settings) -> None:
    row = Installation.objects.get()
    Installation.objects.update(noted_at=Now() - timedelta(seconds=61))
    write_file(settings.SYNC.data_dir, noted_at="2026-01-01T00:00:00+00:00")
    assert settle() is None
    noted = Installation.objects.get().noted_at
    assert noted >= row.noted_at
    remembered = recall()
    assert remembered is not None
    assert remembered.noted_at == noted
    settle()
    assert Installation.objects.get().noted_at == noted  # and not each time


def test_a_new_host_joins_where_it_sees_the_store(
    job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    move_to(tmp_path / "host2", settings)
    assert (find_halt_here(), settle()) == (None, None)
    assert (tmp_path / "host2" / FILE).exists()
    store = settings.STORE_ROOT
    move_to(tmp_path / "host3", settings)
    for store_id in (None, uuid.uuid4()):
        settings.STORE_ROOT = tmp_path / f"store {store_id}"
        if store_id is not None:
            write_store_id(settings.STORE_ROOT, store_id)
        assert (find_halt_here(), settle()) == (Halt.UNJOINED, Halt.UNJOINED)
        assert not (tmp_path / "host3" / FILE).exists()
    settings.STORE_ROOT = store  # the disk is mounted at last
    assert settle() is None


@pytest.mark.parametrize("damage", ["another", "no JSON", "empty"])
def test_a_host_of_another_installation_stands_still_alone(
    damage: str, job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    first = settings.SYNC
    move_to(tmp_path / "host2", settings)
    file = tmp_path / "host2" / FILE
    told = {"installation": str(uuid.uuid4()), "noted_at": "2026-01-01T00:00:00+00:00"}
    file.write_text({"another": json.dumps(told), "no JSON": "{", "empty": ""}[damage])
    before = file.read_text()
    assert (find_halt_here(), settle()) == (Halt.STRANGER, Halt.STRANGER)
    assert file.read_text() == before
    settings.SYNC = first
    assert find_halt_here() is None


def test_other_hosts_follow_a_resume_and_the_original_does_not(
    job: SyncJob, settings: Settings, tmp_path: Path, copied: Callable[[], None]
) -> None:
    first = settings.SYNC
    move_to(tmp_path / "host2", settings)
    assert settle() is None
    original = connection.settings_dict["NAME"]
    copied()
    assert settle() is Halt.MOVED
    call_command("resume_after_restore")
    assert settle() is None
    settings.SYNC = first  # it knows the name from before
    store = settings.STORE_ROOT
    settings.STORE_ROOT = tmp_path / "unmounted"
    assert settle() is Halt.STRANGER
    settings.STORE_ROOT = store
    assert settle() is None
    connection.close()
    connection.settings_dict["NAME"] = original
    assert settle() is Halt.STRANGER  # both hosts belong to the copy now


def test_the_command_says_what_it_did(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("resume_after_restore", "--json")
    told = json.loads(capsys.readouterr().out)
    name = str(Installation.objects.get().name)
    assert told == {"resumed": False, "halt": None, "installation": name, "halted_hosts": []}
    Installation.objects.update(place="elsewhere")
    call_command("resume_after_restore", "--json")
    told = json.loads(capsys.readouterr().out)
    row = Installation.objects.get()
    assert told["resumed"] is True
    assert (told["halt"], told["installation"], str(row.former)) == ("moved", str(row.name), name)
    assert AuditEntry.objects.filter(kind="installation", workspace=None).count() == 1
    call_command("resume_after_restore")
    assert "nothing to resume" in capsys.readouterr().out


def test_before_the_first_start_nothing_is_halted(db: None) -> None:
    assert (find_halt_here(), settle(), find_known_store()) == (None, None, None)
    ensure_store()
    assert settle() is None
