"""The failed files of a record are tried again alone: nothing else is fetched, changed or removed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.queries.durations import read_history
from syncjobs.queueing.requesting import NothingToRetry, request_sync, retry, retry_failed
from tests.hosts.scripted_ftp import Conversation, ScriptedFtp, scripted_ftp
from tests.rows import digests_of, fresh, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

REFUSED: set[str] = set()


def _retrieve(conversation: Conversation, argument: str) -> None:
    name = argument.removeprefix("/")
    if name in REFUSED:
        conversation.say("550 Permission denied")
    else:
        conversation.send(conversation.host.files[name])


@pytest.fixture
def host() -> Iterator[ScriptedFtp]:
    REFUSED.clear()
    REFUSED.update({"3.csv", "4.csv"})
    files = {f"{n}.csv": b"%d" % n for n in range(20)}
    with scripted_ftp(files, RETR=_retrieve) as made:
        yield made


@pytest.fixture
def job(host: ScriptedFtp) -> SyncJob:
    return make_job(make_connector(host.target(), kind="ftp"))


def _again(record: SyncRecord) -> SyncRecord:
    execute(record.pk, Heart("test"))
    return fresh(record)


def test_only_the_failed_files_are_tried_again(host: ScriptedFtp, job: SyncJob) -> None:
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.files_failed) == (State.PARTIAL, 2)
    verified_at = fresh(job).last_verified_at
    REFUSED.remove("3.csv")
    host.files["new.csv"] = b"new"
    host.files["7.csv"] = b"another content"
    for n in range(10, 20):
        del host.files[f"{n}.csv"]
    asked = len(host.asked("RETR"))
    again = _again(retry_failed(record, by="a person"))
    assert (again.state, again.trigger) == (State.PARTIAL, Trigger.REDRIVE)
    assert (again.files_added, again.files_failed, again.files_removed) == (1, 1, 0)
    assert {line.split("/")[-1] for line in host.asked("RETR")[asked:]} == {"3.csv", "4.csv"}
    held = digests_of(job.dataset)
    assert "3.csv" in held
    assert "15.csv" in held  # gone at the source: the next whole record says so
    assert "new.csv" not in held
    assert fresh(job).last_verified_at == verified_at  # two files are not all
    # Its own failed files, and none of those that it got.
    REFUSED.clear()
    last = _again(retry_failed(again, by="a person"))
    assert (last.state, last.files_added, last.files_failed) == (State.SUCCEEDED, 1, 0)
    with pytest.raises(NothingToRetry):
        retry_failed(last, by="a person")


def test_a_retry_of_it_is_about_the_same_files(host: ScriptedFtp, job: SyncJob) -> None:
    record = run(job)
    part = retry_failed(record, by="a person")
    REFUSED.clear()
    host.files["new.csv"] = b"new"
    SyncRecord.objects.filter(pk=part.pk).update(state=State.FAILED, finished_at=part.queued_at)
    again = _again(retry(fresh(part), by="a person"))
    assert (again.state, again.files_added) == (State.SUCCEEDED, 2)
    assert "new.csv" not in digests_of(job.dataset)


def test_it_takes_no_place_of_a_whole_record_and_says_nothing_of_the_usual_time(
    host: ScriptedFtp, job: SyncJob
) -> None:
    record = run(job)
    part = retry_failed(record, by="a person")
    whole = request_sync(job, by="a person")
    assert {part.state, whole.state} == {State.QUEUED}
    REFUSED.clear()
    known = len(read_history(job.pk, SyncMode.INCREMENTAL))
    assert _again(part).state == State.SUCCEEDED
    assert len(read_history(job.pk, SyncMode.INCREMENTAL)) == known


def test_a_record_without_failed_files_has_nothing_to_retry(
    host: ScriptedFtp, job: SyncJob
) -> None:
    REFUSED.clear()
    with pytest.raises(NothingToRetry):
        retry_failed(run(job), by="a person")
