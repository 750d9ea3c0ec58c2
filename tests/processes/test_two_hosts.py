"""Two hosts with one database: each has its own DATA_DIR, and the second one's store is missing, foreign, right."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest
from django.conf import settings

from datasets.installation import FILE
from datasets.store import find_known_store
from events.models import SyncEvent
from store.sentinel import write_store_id
from syncjobs.core.states import FINAL, State
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.upkeep.health import look_around
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Process, Start
from tests.rows import digests_below, digests_of, fill, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

JOBS = 14


@pytest.fixture
def jobs(sshd: Sshd, source: Path) -> list[SyncJob]:
    made = []
    for number in range(JOBS):
        fill(source / str(number), {"a.txt": b"%d" % number, "b.bin": os.urandom(100_000)})
        made.append(make_job(make_connector(sshd.target(source / str(number)))))
    return made


def until_seen(process: Process, store_id: uuid.UUID | None) -> None:
    own = ProcessSign.objects.filter(name__contains=f":{process.popen.pid}:", store_id=store_id)
    until(own.exists, f"{process.name} did not tell that it sees {store_id}")


def health_of_stores() -> str:
    return next(one.word for one in look_around(["database"]) if one.part == "worker_stores")


def sync_all(jobs: Sequence[SyncJob], source: Path) -> set[int]:
    """One record of each, new files included; the pids of the workers that claimed one."""
    for number in range(len(jobs)):
        fill(source / str(number), {f"{uuid.uuid4().hex}.bin": os.urandom(30_000)})
    ids = [enqueue(job, trigger=Trigger.MANUAL).pk for job in jobs]
    records = SyncRecord.objects.filter(pk__in=ids)
    ended = records.filter(state__in=FINAL)
    until(lambda: ended.count() == len(jobs), "some record did not end", within_s=60)
    states = set(records.values_list("state", "attempt", "crash_count"))
    assert states == {(State.SUCCEEDED, 1, 0)}
    for number, job in enumerate(jobs):  # every file can be read
        assert digests_of(job.dataset) == digests_below(source / str(number))
    claims = SyncEvent.objects.filter(record_id__in=ids, event="claimed")
    return {int(reason.split(":")[1]) for reason in claims.values_list("reason", flat=True)}


def test_no_record_fails_for_a_host_without_the_store(
    start: Start, jobs: list[SyncJob], source: Path, tmp_path: Path
) -> None:
    known = find_known_store()
    second = tmp_path / "host2"
    second.mkdir()
    one = start("worker", SYNC_PRESENCE_SECONDS="0.5")
    two = start("worker", DATA_DIR=str(second), SYNC_PRESENCE_SECONDS="0.5")
    start("beat")
    until_seen(one, known)

    until_seen(two, None)
    assert sync_all(jobs, source) == {one.popen.pid}
    assert health_of_stores() == "not mounted on 1 of 2"
    assert not (second / "store").exists()

    foreign = uuid.uuid4()
    write_store_id(second / "store", foreign)
    until_seen(two, foreign)
    assert sync_all(jobs, source) == {one.popen.pid}
    assert health_of_stores() == "another store on 1 of 2"
    assert [path.name for path in (second / "store").iterdir()] == ["SYNCPROJECT-STORE"]
    assert not (second / FILE).exists()

    shutil.rmtree(second / "store")
    (second / "store").symlink_to(settings.STORE_ROOT)
    until_seen(two, known)
    assert sync_all(jobs, source) <= {one.popen.pid, two.popen.pid}
    assert health_of_stores() == "ok"
    until((second / FILE).exists, "the second host did not join")
    one.end()
    assert sync_all(jobs[:1], source) == {two.popen.pid}
