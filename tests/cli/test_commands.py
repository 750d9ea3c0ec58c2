from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from cli.records import describe_record
from syncjobs.attempt.execution import execute
from syncjobs.core.states import Event
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, fill, make_connector, make_job, make_workspace, run
from workspaces.models import ApiToken
from workspaces.tokens import find_token

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    fill(folder, {"a.txt": b"one", "b/c d.txt": b"two", "b/größe": b"three"})
    return folder


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    return make_job(make_connector(sshd.target(source)), name="files")


def test_a_checkout_is_the_source(
    job: SyncJob, source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(job)
    first = digests_below(source)
    fill(source, {"a.txt": b"changed"})
    run(job)
    call_command("checkout", "files", str(tmp_path / "now"))
    assert "files v2: 3 files" in capsys.readouterr().out
    call_command("checkout", "files", "--version", "1", str(tmp_path / "then"))
    assert digests_below(tmp_path / "now") == digests_below(source)
    assert digests_below(tmp_path / "then") == first
    written = tmp_path / "now" / "b" / "c d.txt"
    assert written.stat().st_mode & 0o7777 == 0o644
    assert int(written.stat().st_mtime) == int((source / "b" / "c d.txt").stat().st_mtime)


def test_a_checkout_never_writes_into_a_full_folder(job: SyncJob, tmp_path: Path) -> None:
    run(job)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("precious")
    with pytest.raises(CommandError, match="not empty"):
        call_command("checkout", "files", str(tmp_path / "full"))
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_wrong_name_or_version_says_what_there_is(job: SyncJob, tmp_path: Path) -> None:
    run(job)
    with pytest.raises(CommandError, match="there are: files"):
        call_command("checkout", "fils", str(tmp_path / "out"))
    with pytest.raises(CommandError, match="version 9"):
        call_command("checkout", "files", "--version", "9", str(tmp_path / "out"))
    with pytest.raises(CommandError, match="there are: files"):
        call_command("sync", "fils")
    with pytest.raises(CommandError, match="there are: host-0"):
        call_command("test_connector", "hots-0")


def test_a_token_is_printed_once_and_works(capsys: pytest.CaptureFixture[str]) -> None:
    make_workspace("acme")
    call_command("create_token", "acme", "--role", "operator", "--expires-in", "1")
    token = capsys.readouterr().out.strip()
    found = find_token(token)
    assert found is not None
    assert (found.workspace.name, found.role) == ("acme", "operator")
    stored = json.dumps(list(ApiToken.objects.values()), default=str)
    assert token not in stored
    assert token.rpartition("_")[2] not in stored


@pytest.mark.parametrize("change", ["revoked", "expired", "one character off", "cut"])
def test_a_token_that_is_not_good_any_more_finds_nothing(
    change: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make_workspace("acme")
    call_command("create_token", "acme")
    token = capsys.readouterr().out.strip()
    assert find_token(token) is not None
    if change == "revoked":
        ApiToken.objects.update(revoked_at=timezone.now())
    elif change == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    elif change == "cut":
        token = token[:-1]
    else:
        token = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert find_token(token) is None


def test_sync_joins_a_record_that_is_queued_already(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    call_command("sync", "files")
    assert str(record.pk) in capsys.readouterr().out
    assert SyncRecord.objects.count() == 1
    with pytest.raises(CommandError, match="queued already"):
        call_command("sync", "files", "--full")


@pytest.mark.parametrize(
    ("event", "status"),
    [
        (Event.SUCCEEDED, 0),
        (Event.FAILED, 1),
        (Event.DEADLINE_PASSED, 1),
        (Event.STOPPED, 3),
        (Event.PARTLY_SUCCEEDED, 4),
        (Event.GUARD_STOPPED, 5),
    ],
)
def test_the_exit_status_of_a_wait_is_the_final_state(
    job: SyncJob, event: Event, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record ends while the command waits: its look at the row is where we end it."""
    from syncjobs.claims.claiming import claim

    looks = SyncRecord.refresh_from_db

    def end_then_look(self: SyncRecord, *args: object, **kwargs: object) -> None:
        held = claim(self.pk, "worker")
        if held is not None:
            move(self.pk, event, token=held.token)
        looks(self)

    monkeypatch.setattr(SyncRecord, "refresh_from_db", end_then_look)
    with pytest.raises(SystemExit) as caught:
        call_command("sync", "files", "--wait", "--json")
    assert caught.value.code == status


def test_a_connector_is_tested_stage_by_stage(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("test_connector", job.get_connector().name)
    out = capsys.readouterr().out
    assert "FAILED" not in out
    for stage in ("resolve", "connect", "identity", "log_in", "list", "read"):
        assert stage in out
    assert "What this host can do" in out
    assert "Clock" in out
    job.get_connector().options["host_key"] = ""
    job.get_connector().save()
    with pytest.raises(SystemExit) as caught:
        call_command("test_connector", job.get_connector().name)
    assert caught.value.code == 1
    assert "SHA256:" in capsys.readouterr().out


# What each command answers where no stack runs, asked in one process: to start one takes longer than all answers.
ASK_EACH = """
import contextlib, io, json, sys
from django.core.management import execute_from_command_line
told = []
for words in json.load(sys.stdin):
    out, err, status = io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            execute_from_command_line(["manage.py", *words])
        except SystemExit as exc:
            status = exc.code or 0
    told.append([status, out.getvalue(), err.getvalue()])
print(json.dumps(told))
"""
WORDS = {
    "apply": ["x"],
    "sync": ["x"],
    "fires": ["x"],
    "backfill": ["x"],
    "test_connector": ["x"],
    "checkout": ["a", "b"],
    "diff": ["a", "1", "2"],
    "scrub": ["x"],
    "compact_packs": [],
    "reindex_packs": [],
    "create_token": ["acme"],
    "prepare": [],
}


def test_help_helps_and_a_missing_stack_is_said(tmp_path: Path) -> None:
    calls = [[name, *words] for name, words in WORDS.items()]
    asked = subprocess.run(
        [sys.executable, "-c", ASK_EACH],
        input=json.dumps(calls + [[name, "--help"] for name in WORDS]),
        cwd=ROOT,
        env={
            "PATH": "/usr/bin:/bin",
            "DATA_DIR": str(tmp_path),
            "DJANGO_SETTINGS_MODULE": "syncproject.settings",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert asked.returncode == 0, asked.stderr
    answers = json.loads(asked.stdout)
    for (name, *_), (status, _, err) in zip(calls, answers[: len(calls)], strict=True):
        assert (name, status) == (name, 2 if name in ("diff", "scrub") else 1), err
        assert "make up" in err, name
        assert "Traceback" not in err, name
    for name, (status, out, _) in zip(WORDS, answers[len(calls) :], strict=True):
        assert (name, status) == (name, 0)
        assert len(out.split("options:")[0]) > 100, name


def test_a_plan_is_printed_and_applied_by_its_record(
    job: SyncJob, source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plan = run(job, dry_run=True)
    out = describe_record(plan)
    assert "3 files, 11 bytes to fetch" in out
    assert "added    b/c d.txt (3 bytes)" in out
    assert f"sync files --apply {plan.pk}" in out
    call_command("sync", "files", "--apply", str(plan.pk))
    record = SyncRecord.objects.get(applies_id=plan.pk)
    fill(source, {"late.txt": b"late"})
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert "came     late.txt" in describe_record(record)
    with pytest.raises(CommandError, match="no record"):
        call_command("sync", "files", "--apply", "00000000-0000-0000-0000-000000000000")
    with pytest.raises(CommandError, match="finished dry run"):
        call_command("sync", "files", "--apply", str(record.pk))
