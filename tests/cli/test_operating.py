"""What an operator does from a shell: look, cancel, retry, release, approve."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from connectors.models import Connector
from connectors.pinning import find_offer
from syncjobs.core.states import State
from syncjobs.models import SyncItem, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.asking import asker
from tests.hosts.sshd import Sshd
from tests.racing import locked_by_another
from tests.rows import fill, make_connector, make_job, make_workspace, run

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.django_db(transaction=True)
FILES = {f"{n:02}.txt": b"text %d" % n for n in range(30)}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    fill(folder, FILES | {"deep/er/x.txt": b"x"})
    return folder


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    return make_job(make_connector(sshd.target(source)), name="files")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Any:
    def call(*words: str) -> str:
        capsys.readouterr()
        call_command(*words)
        return capsys.readouterr().out

    return call


def _connector_of(job: SyncJob) -> Connector:
    assert job.connector is not None
    return job.connector


def test_jobs_tells_each_job_and_its_json_is_that_of_rest(job: SyncJob, say: Any) -> None:
    make_job(_connector_of(job), name="off-one", enabled=False)
    run(job)
    lines = say("jobs").splitlines()
    assert lines[0].split()[:2] == ["JOB", "SOURCE"]
    assert ["files", _connector_of(job).name, "on"] == lines[1].split()[:3]
    assert ["off-one", _connector_of(job).name, "off"] == lines[2].split()[:3]
    items = json.loads(say("jobs", "--json"))["items"]
    assert [item["name"] for item in items] == ["files", "off-one"]
    assert items[0]["last_run_at"].endswith("Z")
    assert items[0]["dataset_version"] == 1
    assert items == asker().items("sync-jobs")


def test_records_are_listed_by_job_and_state_the_newest_first(job: SyncJob, say: Any) -> None:
    run(job)
    waiting = enqueue(job, trigger=Trigger.MANUAL)
    items = json.loads(say("records", "--json"))["items"]
    assert [item["state"] for item in items] == ["queued", "succeeded"]
    assert items[0]["id"] == str(waiting.pk)
    assert "pk" not in items[0]
    by_rest = asker().items("sync-records")
    assert items[1] == by_rest[1]
    assert str(waiting.pk) not in say("records", "--state", "succeeded")
    assert "+31" in say("records", "--job", "files", "--limit", "5")
    with pytest.raises(CommandError, match="there are: files"):
        call_command("records", "--job", "fils")


def test_a_workspace_sees_its_own_only(job: SyncJob, say: Any) -> None:
    record = run(job)
    make_workspace("other")
    assert json.loads(say("jobs", "--workspace", "other", "--json")) == {"items": []}
    assert json.loads(say("records", "--workspace", "other", "--json")) == {"items": []}
    for command in ("cancel", "retry", "release"):
        with pytest.raises(CommandError, match="no record"):
            call_command(command, str(record.pk), "--workspace", "other")


def test_status_says_what_runs_waits_and_ended(job: SyncJob, say: Any) -> None:
    run(job)
    enqueue(job, trigger=Trigger.MANUAL)
    told = say("status")
    assert told.splitlines()[0].endswith("0 running, 1 waiting, 0 held")
    assert "files: succeeded" in told
    assert json.loads(say("status", "--json"))["queued_count"] == 1


def test_cancel_ends_what_waits_and_says_what_has_ended(job: SyncJob, say: Any) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert "cancelled" in say("cancel", str(record.pk)[:8])
    record.refresh_from_db()
    assert record.state == State.CANCELLED
    with pytest.raises(CommandError, match="has ended, cancelled"):
        call_command("cancel", str(record.pk))


def test_a_record_that_another_changes_just_now_is_told_as_busy(job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    lock = "SELECT FROM syncjobs_syncrecord WHERE id = %s FOR UPDATE"
    with (
        locked_by_another(lock, [record.pk]),
        pytest.raises(CommandError, match="changing the same things just now: ask again"),
    ):
        call_command("cancel", str(record.pk))


def test_retry_makes_a_new_record_of_what_was_cancelled(job: SyncJob, say: Any) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    say("cancel", str(record.pk))
    again = json.loads(say("retry", str(record.pk), "--json"))
    assert again["state"] == "queued"
    assert again["id"] != str(record.pk)
    with pytest.raises(CommandError, match="wait for its end"):
        call_command("retry", again["id"])


def test_retry_takes_the_failed_files_alone(job: SyncJob, say: Any) -> None:
    record = run(job)
    with pytest.raises(CommandError, match="None of its files has failed"):
        call_command("retry", str(record.pk), "--failed-only")
    SyncItem.objects.create(record=record, path="a.txt", action="failed")
    told = json.loads(say("retry", str(record.pk), "--failed-only", "--json"))
    assert SyncRecord.objects.get(pk=told["id"]).redrive == {"record": str(record.pk)}


def test_release_lets_a_held_record_go_on(job: SyncJob, source: Path, say: Any) -> None:
    run(job)
    for name in list(FILES)[:25]:
        (source / name).unlink()
    held = run(job)
    assert held.state == State.HELD
    assert json.loads(say("release", str(held.pk), "--json"))["state"] == "queued"
    with pytest.raises(CommandError, match="not held: there is nothing to release"):
        call_command("release", str(held.pk))


def test_browse_shows_folders_first_and_says_what_is_not_there(job: SyncJob, say: Any) -> None:
    host = _connector_of(job).name
    lines = say("browse", host).splitlines()
    assert lines[0].split()[-1] == "deep/"
    told = json.loads(say("browse", host, "deep/er", "--json"))
    assert [item["name"] for item in told["items"]] == ["x.txt"]
    assert told["complete"] is True
    with pytest.raises(CommandError, match="no folder"):
        call_command("browse", host, "../etc")


def test_a_host_that_is_down_is_told(job: SyncJob) -> None:
    connector = _connector_of(job)
    connector.port = 1
    connector.save()
    with pytest.raises(CommandError, match="looks closer"):
        call_command("browse", connector.name)


def test_a_key_is_pinned_by_its_whole_words_and_no_other(
    job: SyncJob, say: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connector = _connector_of(job)
    del connector.options["host_key"]
    connector.save()
    with pytest.raises(CommandError, match="test_connector"):
        call_command("approve_host_key", connector.name)
    key = _see_key(connector)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))  # no terminal
    with pytest.raises(CommandError, match="--fingerprint"):
        call_command("approve_host_key", connector.name)
    with pytest.raises(CommandError, match="is not the key"):
        call_command("approve_host_key", connector.name, "--fingerprint", "SHA256:no")
    assert key in say("approve_host_key", connector.name, "--fingerprint", key)
    connector.refresh_from_db()
    assert connector.options["host_key"] == key


def _see_key(connector: Connector) -> str:
    """Tests the connection, which fails for want of a key, and returns the key that the host showed."""
    with pytest.raises(SystemExit):
        call_command("test_connector", connector.name)
    connector.refresh_from_db()
    offer = find_offer(connector)
    assert offer is not None
    return offer.key


@pytest.mark.parametrize("words", [["help"], ["sync", "--help"]])
def test_who_reads_no_more_is_told_nothing(words: list[str]) -> None:
    command = [sys.executable, str(ROOT / "manage.py"), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("typed", "pinned"), [("wrong!", False), (None, True)])
def test_on_a_terminal_the_end_of_the_key_is_asked_for(
    job: SyncJob, monkeypatch: pytest.MonkeyPatch, typed: str | None, pinned: bool
) -> None:
    connector = _connector_of(job)
    del connector.options["host_key"]
    connector.save()
    key = _see_key(connector)
    monkeypatch.setattr("sys.stdin", _Terminal(f"{typed or key[-6:]}\n"))
    if pinned:
        call_command("approve_host_key", connector.name)
    else:
        with pytest.raises(CommandError, match="nothing was pinned"):
            call_command("approve_host_key", connector.name)
    connector.refresh_from_db()
    assert (connector.options.get("host_key") == key) is pinned


def test_what_is_shown_is_shown_of_syncs_alone(job: SyncJob, say: Any) -> None:
    plan = enqueue(job, trigger=Trigger.MANUAL, dry_run=True)
    assert json.loads(say("records", "--json")) == {"items": []}
    items = json.loads(say("records", "--dry-run", "--json"))["items"]
    assert [item["id"] for item in items] == [str(plan.pk)]
    assert SyncRecord.objects.count() == 0
