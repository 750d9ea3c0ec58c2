"""The log tells of each record's start and end, and of the age of what goes on in the background."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest

from cli.chores import plan_chores
from syncjobs.claims.claiming import claim
from syncjobs.claims.pulsing import note_canary_answered
from syncjobs.claims.reaping import clean_up
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from tasks.chores import CHORES
from tasks.duties import DUTIES, Rota
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)
WHO = ("record", "job", "workspace", "timeout_s")


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Any:
    """The lines of one event, as their fields."""
    caplog.set_level(logging.INFO)

    def find(event: str) -> list[dict[str, Any]]:
        facts = [record.msg for record in caplog.records if isinstance(record.msg, dict)]
        return [fact for fact in facts if fact["event"] == event]

    return find


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"{n}.txt": b"x" * 1000 for n in range(3)})
    return make_job(make_connector(sshd.target(source)), name="nightly")


def test_item_07_the_lines_of_start_and_end_say_whose_record_it_is(told: Any, job: SyncJob) -> None:
    record = run(job)
    [started] = told("record.started")
    assert [started[name] for name in WHO] == [str(record.pk), "nightly", "acme", 7200]
    [ended] = told("record.ended")
    assert [ended[name] for name in WHO[:3]] == [str(record.pk), "nightly", "acme"]
    assert ended["timeout_s"] == pytest.approx(record.deadline_s, abs=0.1)
    assert ended["duration_s"] == pytest.approx(record.worked_s, abs=2)
    assert (ended["state"], ended["files"], ended["bytes"]) == ("succeeded", 3, 3000)
    assert ended["error_code"] is None


def test_item_07_a_record_that_fails_says_so(told: Any, sshd: Sshd, source: Path) -> None:
    run(make_job(make_connector(sshd.target(source / "not-there")), name="lost"))
    [ended] = told("record.ended")
    assert (ended["job"], ended["state"], ended["error_code"]) == ("lost", "failed", "root_missing")


def test_item_07_an_end_that_comes_from_outside_has_its_line(told: Any, job: SyncJob) -> None:
    """Of one whose worker died, and that was to be cancelled. One that never began has none."""
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker")
    SyncRecord.objects.update(
        lease_expires_at="2020-01-01T00:00:00Z", current_file_index=2, bytes_transferred=2000
    )
    assert cancel(record.pk, by="ada")
    assert clean_up(by="ada").count == 1
    [ended] = told("record.ended")
    assert [ended[name] for name in ("record", "job", "workspace", "state", "files", "bytes")] == [
        str(record.pk),
        "nightly",
        "acme",
        State.CANCELLED,
        2,
        2000,
    ]
    waiting = enqueue(job, trigger=Trigger.MANUAL)
    cancel(waiting.pk, by="ada")
    assert len(told("record.ended")) == 1


def test_item_07_each_minute_beat_tells_the_age_of_each_background_task(told: Any) -> None:
    plan_chores()
    note_canary_answered("sync", holder="worker")
    rota = Rota("beat")
    rota.turn()
    rota.turn()  # the next line comes a minute later
    [line] = told("beat.background_tasks")
    for duty in DUTIES:
        assert line[duty.name] < 60
    for chore in CHORES:
        assert line[chore.task] == "never"
    assert line["queue_sync"] < 60
    assert line["beat"] < 60


def test_item_07_a_duty_that_fails_grows_old(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import DatabaseError

    from tasks import duties

    def fail(_holder: str) -> bool:
        raise DatabaseError("away")

    monkeypatch.setattr(duties, "AGES_EVERY_S", 0.0)
    Rota("beat", (duties.Duty("fails", lambda: 0.0, fail),)).turn()
    [line] = told("beat.background_tasks")
    assert line["fails"] == "never"
