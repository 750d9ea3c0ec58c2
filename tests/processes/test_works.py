"""The seam between attempt and work: a kind of work that the product does not know."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.models import Connector
from datasets.models import Dataset, DatasetKind
from farends.registry import SPECS
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.asking import cancel
from syncjobs.works.table import WORKS
from tests.processes.conftest import Start
from tests.processes.practice import FAR_END, KIND, SPEC, Options, Practice, Secret
from tests.processes.records import events_of, owner_pid, until_final
from tests.rows import fresh, make_connector, make_job, make_workspace
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


@pytest.fixture(autouse=True)
def practice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever saves a job knows the kind as well."""
    monkeypatch.setitem(SPECS, KIND, SPEC)
    monkeypatch.setitem(WORKS, FAR_END, Practice())


def queue(folder: Path, word: str, **limits: int) -> SyncRecord:
    """A record of a job of its own, whose far end says this word."""
    folder.mkdir()
    say(folder, word)
    job = make_job(connect(folder))
    SyncJob.objects.filter(pk=job.pk).update(**limits)
    return enqueue(job, trigger=Trigger.MANUAL)


def connect(folder: Path) -> Connector:
    """To a host of its own."""
    port = 1 + Connector.objects.count()
    return make_connector(Target("192.0.2.1", port, Options(root=str(folder)), Secret()), kind=KIND)


def say(folder: Path, word: str) -> None:
    (folder / "new word").write_text(word)
    (folder / "new word").rename(folder / "word")


def until_running(record: SyncRecord) -> None:
    until(lambda: fresh(record).state == State.RUNNING, "the record was not claimed")


def test_a_work_of_its_own_is_claimed_watched_stopped_tried_again_and_finished(
    start: Start, tmp_path: Path
) -> None:
    steady = queue(tmp_path / "steady", "wait")
    unwanted = queue(tmp_path / "unwanted", "wait")
    late = queue(tmp_path / "late", "wait", timeout_s=1)
    flaky = queue(tmp_path / "flaky", "fail", max_attempts=2)
    worker = start("practice")
    start("beat")

    until_running(steady)  # claim
    dataset = steady.job.dataset
    dataset.refresh_from_db()
    assert dataset.kind == DatasetKind.TABLE
    assert (dataset.fencing_token, owner_pid(steady)) == (steady.token, worker.popen.pid)

    first_end, told = steady.lease_expires_at, steady.bytes_transferred  # heartbeat
    assert first_end is not None
    until(
        lambda: (
            (fresh(steady).lease_expires_at or first_end) > first_end
            and steady.bytes_transferred > told
        ),
        "the lease was not renewed, or the work's progress not told",
    )

    until_running(unwanted)
    cancel(unwanted.pk, by="a person")
    until_final(unwanted)
    assert (unwanted.state, events_of(unwanted)) == (State.CANCELLED, ["claimed", "stopped"])

    until_final(late)
    assert (late.state, late.verdict) == (State.TIMED_OUT, "deadline")

    until(lambda: "retry_scheduled" in events_of(flaky), "no second try was planned")
    at_once = {"not_before": None, "rung_at": None}
    SyncRecord.objects.filter(pk=flaky.pk, state=State.QUEUED).update(**at_once)
    until_final(flaky)
    assert (flaky.state, flaky.attempt, flaky.error_code) == (State.SUCCEEDED, 2, "")
    assert events_of(flaky) == ["claimed", "retry_scheduled", "claimed", "succeeded"]

    say(tmp_path / "steady", "finish")
    until_final(steady)
    assert (steady.state, steady.verdict, steady.files_added) == (State.SUCCEEDED, "ok", 7)
    assert events_of(steady) == ["claimed", "succeeded"]
    done = {folder: (tmp_path / folder / "done").read_text() for folder in ("steady", "flaky")}
    assert done == {"steady": f"{steady.token}\n", "flaky": f"{flaky.token}\n"}
    assert not (tmp_path / "late" / "done").exists()
    assert not (tmp_path / "unwanted" / "done").exists()


def test_a_job_of_another_kind_does_not_take_a_dataset_that_was_left(tmp_path: Path) -> None:
    left = Dataset.objects.create(workspace=make_workspace(), name="left")
    dataset = make_job(connect(tmp_path), name="left").dataset
    assert dataset != left
    assert (dataset.name, dataset.kind, left.kind) == ("left-2", "table", "files")
