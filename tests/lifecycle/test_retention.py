"""Versions that no rule keeps go; nothing of what stays is harmed, whoever works or dies meanwhile."""

from __future__ import annotations

import hashlib
import itertools
import multiprocessing
import os
import random
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from datasets.expiring import FreedBy, measure_freed
from datasets.fencing import take_token
from datasets.models import Dataset, Entry, Version
from datasets.reading import NoSuchVersion, VersionExpired, find_arrival, get_version, iter_entries
from datasets.store import open_store
from datasets.versions import decide_outcome
from search.models import IndexedText
from store.blobs import BlobStore
from syncjobs.claims.halting import Halted
from syncjobs.core.keeping import KeepDecision
from syncjobs.core.states import State
from syncjobs.models import CurrentTree, SyncJob, SyncRecord
from syncjobs.queries.explaining import explain
from syncjobs.upkeep import retention
from syncjobs.upkeep.retention import RetentionPlan, clear_expired, plan_all, retain
from syncjobs.upkeep.rollback import VersionMissing, roll_back
from syncjobs.upkeep.sweeping import GRACE_S, sweep
from tests.hosts.sshd import Sshd
from tests.lifecycle.test_sweeps import ROUNDS, is_there, make_old, repeating
from tests.racing import locked_by_another
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run
from workspaces.models import AuditEntry, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
BIG = b"x" * 40_000


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"stays.txt": b"stays", "v.bin": b"1" + BIG})
    return make_job(make_connector(sshd.target(source)), on_delete="keep_version")


@pytest.fixture
def store(job: SyncJob) -> BlobStore:
    made = open_store(job.workspace_id)
    made.prepare()
    return made


def publish(job: SyncJob, source: Path, count: int) -> None:
    """So many versions: each holds `stays.txt`, and `v.bin` with a content of its own."""
    run(job)
    for number in range(2, count + 1):
        fill(source, {"v.bin": str(number).encode() + BIG}, age_s=3600 * number)
        assert run(job).dataset_version == number


def keep(job: SyncJob, **rule: Any) -> None:
    SyncJob.objects.filter(pk=job.pk).update(**rule)


def held_of(job: SyncJob) -> list[int]:
    return sorted(job.dataset.versions.values_list("number", flat=True))


def clear(job: SyncJob) -> None:
    """As after the grace period."""
    clear_expired(Dataset.objects.get(pk=job.dataset_id), grace_s=-1)


def test_without_a_rule_nothing_goes(job: SyncJob, source: Path) -> None:
    publish(job, source, 4)
    assert retain() == []
    clear(job)
    assert held_of(job) == [1, 2, 3, 4]
    assert all(digests_of(job.dataset, number) for number in range(1, 5))


def test_older_versions_go_and_those_that_stay_are_whole(
    job: SyncJob, source: Path, store: BlobStore
) -> None:
    publish(job, source, 5)
    before = {number: digests_of(job.dataset, number) for number in range(1, 6)}
    keep(job, keep_versions=3)
    [planned] = plan_all()
    assert (planned.decision, planned.rule_of) == (KeepDecision(3, (1, 2)), "job")
    assert (planned.freed_bytes, planned.freed_count) == (2 * (len(BIG) + 1), 2)
    assert held_of(job) == [1, 2, 3, 4, 5]  # a plan changes nothing
    retain()
    assert held_of(job) == [3, 4, 5]
    # Whoever had found an old version can still read it to its end.
    assert len(list(iter_entries(job.dataset, 1))) == 2
    retain()
    assert len(list(iter_entries(job.dataset, 1))) == 2
    clear(job)
    assert {number: digests_of(job.dataset, number) for number in (3, 4, 5)} == {
        number: before[number] for number in (3, 4, 5)
    }
    assert not Entry.objects.filter(dataset=job.dataset, until__lte=3).exists()
    make_old(store, [bytes.fromhex(each) for number in before for each in before[number].values()])
    assert (sweep().blobs, sweep().blobs) == (2, 0)
    kept = {each for number in (3, 4, 5) for each in before[number].values()}
    assert all(is_there(store, bytes.fromhex(each)) for each in kept)
    assert digests_of(job.dataset) == digests_below(source)
    [entry] = AuditEntry.objects.filter(action="versions removed")
    assert entry.changes == {"oldest_version": [1, 3], "rule": [None, "keep_versions 3"]}


def test_an_expired_version_can_neither_be_read_nor_gone_back_to(
    job: SyncJob, source: Path
) -> None:
    publish(job, source, 4)
    keep(job, keep_versions=2)
    retain()
    with pytest.raises(VersionExpired, match=r"version 2 of dataset .* was removed on"):
        get_version(job.dataset, 2)
    with pytest.raises(NoSuchVersion, match="does not have a version 9"):
        get_version(job.dataset, 9)
    with pytest.raises(VersionMissing):
        roll_back(job.dataset_id, 2, by="ada")
    first, *_, last = SyncRecord.objects.filter(job=job).order_by("queued_at")
    assert "Version 1 was removed on" in explain(first).summary
    assert "removed" not in explain(last).summary
    assert roll_back(job.dataset_id, 3, by="ada").number == 5


def test_a_file_of_a_removed_version_still_tells_where_it_came_from(
    job: SyncJob, source: Path
) -> None:
    """Also where its source told a newer time of the same content since."""
    first = run(job)
    for number in (2, 3, 4):
        os.utime(source / "stays.txt", (number * 1000, number * 1000))
        assert run(job).dataset_version == number
    keep(job, keep_versions=1)
    retain()
    clear(job)
    assert held_of(job) == [3, 4]
    entry = job.dataset.entries.get(path="stays.txt", until=None)
    came = find_arrival(get_version(job.dataset), entry)
    assert (came.number, came.record_id) == (1, first.pk)
    assert Entry.objects.filter(dataset=job.dataset, path="stays.txt").count() == 2
    [text] = IndexedText.objects.filter(dataset=job.dataset, sha256=entry.sha256)
    assert text.gone_at is None


def test_nothing_of_a_removed_version_stays_in_the_index(job: SyncJob, source: Path) -> None:
    for number in range(4):
        fill(source, {"secret.txt": b"a word of version %d" % number}, age_s=3600 * (number + 1))
        run(job)
    assert IndexedText.objects.filter(dataset=job.dataset).exclude(gone_at=None).exists()
    keep(job, keep_versions=1)
    retain()
    clear(job)
    named = {bytes(entry.sha256) for entry in job.dataset.entries.all()}
    assert {bytes(text.sha256) for text in IndexedText.objects.filter(dataset=job.dataset)} <= named


def test_age_counts_from_the_day_on_which_a_newer_version_came(job: SyncJob, source: Path) -> None:
    publish(job, source, 5)
    for number, days in ((1, 400), (2, 40), (3, 20), (4, 10)):
        Version.objects.filter(dataset=job.dataset, number=number).update(
            created_at=timezone.now() - timedelta(days=days)
        )
    Workspace.objects.update(keep_days=30)
    [planned] = retain()
    assert (planned.rule_of, held_of(job)) == (
        "workspace",
        [2, 3, 4, 5],
    )  # 2 was current until then
    keep(job, keep_versions=0)  # the job keeps each, whatever the workspace says
    Workspace.objects.update(keep_days=1)
    assert retain()[0].decision.going == ()


def test_bytes_keep_as_many_versions_as_they_have_room_for(job: SyncJob, source: Path) -> None:
    publish(job, source, 6)
    keep(job, keep_bytes=3 * (len(BIG) + 1))
    [planned] = retain()
    assert (held_of(job), planned.freed_bytes) == ([3, 4, 5, 6], 2 * (len(BIG) + 1))


def test_a_dataset_whose_job_is_gone_keeps_what_it_has(job: SyncJob, source: Path) -> None:
    publish(job, source, 4)
    dataset = job.dataset
    job.delete()
    Workspace.objects.update(keep_versions=1)
    assert retain() == []
    assert dataset.versions.count() == 4


def test_what_rests_on_an_older_version_holds_it_back(job: SyncJob, source: Path) -> None:
    publish(job, source, 5)
    keep(job, keep_versions=1, current_tree="here")
    tree = CurrentTree.objects.create(job=job, path="here", version=3)
    [planned] = plan_all()
    assert planned.decision.oldest == 3
    assert planned.decision.held_back is not None
    assert planned.decision.held_back.reason == "the current tree still shows version 3"
    tree.version, tree.target = None, 4  # it was never whole: nobody knows what lies there
    tree.save()
    assert plan_all()[0].decision.going == ()
    tree.delete()
    held = SyncRecord.objects.filter(job=job).latest("queued_at")
    SyncRecord.objects.filter(pk=held.pk).update(
        state=State.HELD, finished_at=None, hold={"rule": "mass_removal", "version": 2}
    )
    assert plan_all()[0].decision.oldest == 2
    SyncRecord.objects.filter(pk=held.pk).update(state=State.CANCELLED, finished_at=timezone.now())
    index = job.dataset.search_index
    index.indexed_version = 2
    index.save()
    assert plan_all()[0].decision.oldest == 2
    index.wish = "off"
    index.save()
    assert plan_all()[0].decision.oldest == 4


def test_a_folder_that_its_job_left_is_forgotten_with_the_version_that_it_shows(
    job: SyncJob, source: Path
) -> None:
    publish(job, source, 4)
    CurrentTree.objects.create(job=job, path="elsewhere", version=1)
    keep(job, keep_versions=1)
    retain()
    assert held_of(job) == [3, 4]
    assert not CurrentTree.objects.exists()


def test_a_halted_database_removes_nothing(
    job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(job, source, 3)
    keep(job, keep_versions=1)

    def halt(what: str) -> None:
        raise Halted(what)

    monkeypatch.setattr(retention, "refuse_if_halted", halt)
    with pytest.raises(Halted):
        retain()
    assert held_of(job) == [1, 2, 3]


def test_content_that_a_running_record_stores_again_survives_the_loss_of_its_last_name(
    job: SyncJob, source: Path, store: BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record has found it in the store and has not named it yet when retention and sweep come."""
    publish(job, source, 4)
    held = digests_of(job.dataset, 1)
    again = bytes.fromhex(held["v.bin"])
    make_old(store, [bytes.fromhex(each) for each in held.values()])
    keep(job, keep_versions=1)
    fill(source, {"back.bin": b"1" + BIG})  # what version 1 alone held comes back
    seen: list[int] = []

    def decide_late(*given: Any, **more: Any) -> None:
        with ThreadPoolExecutor(1) as beside:
            seen.append(beside.submit(remove_all, job).result())
        decide_outcome(*given, **more)

    monkeypatch.setattr("syncjobs.works.files.publishing.decide_outcome", decide_late)
    assert run(job).state == State.SUCCEEDED
    assert (seen, held_of(job)) == ([1], [3, 4, 5])  # what version 2 alone held
    assert not Entry.objects.filter(dataset=job.dataset, until__lte=3).exists()
    assert is_there(store, again)
    assert digests_of(job.dataset) == digests_below(source)


def remove_all(job: SyncJob) -> int:
    """What retention and sweep remove while the record is at work: blobs."""
    try:
        retain()
        clear(job)
        return sweep(grace_s=0).blobs
    finally:
        connection.close()


def test_nothing_is_cleared_beside_somebody_who_changes_the_dataset(
    job: SyncJob, source: Path
) -> None:
    publish(job, source, 4)
    keep(job, keep_versions=1)
    retain()
    ended = job.dataset.entries.filter(until__lte=3)
    held = ended.count()
    assert held
    with locked_by_another(
        "SELECT FROM datasets_dataset WHERE id = %s FOR NO KEY UPDATE", [job.dataset_id]
    ):
        clear(job)
        assert ended.count() == held
    clear(job)
    assert not ended.exists()


def test_p2_retention_and_sweep_beside_a_writer_break_nothing(
    job: SyncJob, store: BlobStore, source: Path
) -> None:
    """What the writer brings was in versions that expire, or is named by nothing for a while."""
    run(job)
    keep(job, keep_versions=1)
    contents = [bytes([number]) * (70_000 if number % 2 else 500) for number in range(9)]

    def remove() -> int:
        retain()
        clear_expired(Dataset.objects.get(pk=job.dataset_id), grace_s=-1)
        return sweep(kept_s=GRACE_S, grace_s=0).blobs

    with repeating(remove) as removed:
        for number in range(ROUNDS):
            chosen = random.Random(number).sample(contents, 4)  # noqa: S311 — to be repeated
            files = {f"{n}.bin": each for n, each in enumerate(chosen)}
            fill(source, files, age_s=3600 * (number + 1))
            make_old(store, [hashlib.sha256(each).digest() for each in contents])
            assert run(job).state == State.SUCCEEDED
            assert digests_of(job.dataset) == digests_below(source)
            before = held_of(job)[-2:]
            assert all(digests_of(job.dataset, number) for number in before)
    assert len(removed) > 2
    retain()
    assert len(held_of(job)) == 2


def test_a_dataset_that_somebody_publishes_is_left_to_the_next_pass(
    job: SyncJob, source: Path
) -> None:
    publish(job, source, 4)
    keep(job, keep_versions=1)
    with ThreadPoolExecutor(1) as beside, transaction.atomic():
        with connection.cursor() as cursor:
            take_token(cursor, job.dataset_id)
        [planned] = beside.submit(_retain_beside).result()
    assert planned.busy
    assert held_of(job) == [1, 2, 3, 4]
    [planned] = retain()
    assert (planned.busy, held_of(job)) == (False, [3, 4])


def test_what_was_published_after_the_look_is_decided_again(
    job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(job, source, 3)
    keep(job, keep_versions=2)

    def measure(dataset: Dataset, oldest: int) -> list[FreedBy]:
        SyncJob.objects.filter(pk=job.pk).update(keep_versions=0)  # a person is faster
        return measure_freed(dataset, oldest)

    monkeypatch.setattr(retention, "measure_freed", measure)
    assert retain()[0].busy
    assert held_of(job) == [1, 2, 3]


def _retain_beside() -> list[RetentionPlan]:
    try:
        return retain()
    finally:
        connection.close()


@pytest.mark.parametrize("statement", range(1, 8))
def test_a_kill_in_the_middle_leaves_all_that_stays_and_the_next_pass_goes_on(
    statement: int, job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before and after each of the first statements that change something."""
    fill(source, {f"many/{number}.txt": b"%d" % number for number in range(6)})
    publish(job, source, 5)
    before = {number: digests_of(job.dataset, number) for number in (4, 5)}
    keep(job, keep_versions=2)
    ended = _kill_at(statement, job)
    assert ended in (-signal.SIGKILL, 0)
    assert {number: digests_of(job.dataset, number) for number in (4, 5)} == before
    assert held_of(job) in ([1, 2, 3, 4, 5], [4, 5])
    retain()
    clear(job)
    assert held_of(job) == [4, 5]
    assert {number: digests_of(job.dataset, number) for number in (4, 5)} == before
    assert not Entry.objects.filter(dataset=job.dataset, until__lte=4).exists()
    assert digests_of(job.dataset) == digests_below(source)


def _kill_at(number: int, job: SyncJob) -> int:
    """Ends a process that removes versions, behind the nth statement that changes something; its exit code."""
    connection.close()
    process = multiprocessing.get_context("fork").Process(target=_die_at, args=(number, job))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def _die_at(number: int, job: SyncJob) -> None:
    seen = itertools.count(1)

    def watch(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        answer = execute(sql, params, many, context)
        if (
            re.search(r"UPDATE datasets_version|DELETE FROM|INSERT INTO", sql)
            and next(seen) == number
        ):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    with connection.execute_wrapper(watch):
        retain()
        clear(job)
    os._exit(0)
