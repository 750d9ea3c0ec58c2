"""Who may run: limits counted from live rows, workspaces in turn, one sync at a time."""

from __future__ import annotations

import dataclasses
import random
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from connectors.models import Connector, HostBudget
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import AlreadyQueued, WorkspaceBusy, enqueue
from syncjobs.queueing.requesting import request_sync
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.transition import move
from syncjobs.works.contract import Claim
from tests.rows import make_connector, make_job, make_workspace

pytestmark = pytest.mark.django_db(transaction=True)
NOBODY = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets limits of the installation: none, unless a test says so."""

    def limit(**given: int) -> None:
        all_given = {"batch_size": 0, "max_per_host": 0} | given
        chosen = dataclasses.replace(settings.SYNC, **all_given)  # type: ignore[arg-type] # two of many
        monkeypatch.setattr(settings, "SYNC", chosen)

    limit()
    return limit


def host(workspace: str = "acme", address: str = "192.0.2.1", **fields: Any) -> Connector:
    connector = make_connector(dataclasses.replace(NOBODY, host=address), workspace=workspace)
    for name, value in fields.items():
        setattr(connector, name, value)
    connector.save()
    return connector


def queue(connector: Connector, count: int = 1) -> list[SyncRecord]:
    return [enqueue(make_job(connector), trigger=Trigger.SCHEDULE) for _ in range(count)]


def claim_all(records: list[SyncRecord]) -> list[Claim]:
    """From many workers at once, in any order."""

    def answer(record: SyncRecord) -> Claim | None:
        try:
            return claim(record.pk, f"worker {record.pk}")
        finally:
            connection.close()

    mixed = random.Random(7).sample(records, len(records))  # noqa: S311 — an order
    with ThreadPoolExecutor(8) as pool:
        return [held for held in pool.map(answer, mixed) if held is not None]


def words(record: SyncRecord) -> str:
    record.refresh_from_db()
    return record.waiting_for


def test_without_limits_all_run(limits: Any) -> None:
    assert len(claim_all(queue(host(), 12))) == 12


def test_the_installation_runs_so_many(limits: Any) -> None:
    limits(batch_size=5)
    records = queue(host(), 6) + queue(host("other"), 6)
    assert len(claim_all(records)) == 5
    waiting = [words(record) for record in records if words(record)]
    assert "a free place on this installation (5 of 5 run)" in waiting


def test_a_workspace_runs_so_many_and_others_are_not_held_up(limits: Any) -> None:
    make_workspace()
    records = queue(host(), 8)
    records[0].workspace.max_running = 3
    records[0].workspace.save()
    others = queue(host("other"), 4)
    claims = claim_all(records + others)
    assert len(claims) == 3 + 4


def test_a_connector_runs_so_many(limits: Any) -> None:
    crowded, free = host(max_running=2), host(address="192.0.2.2")
    assert len(claim_all(queue(crowded, 5) + queue(free, 5))) == 2 + 5


def test_a_host_is_shared_by_connectors_and_workspaces(limits: Any) -> None:
    limits(max_per_host=4)
    records = queue(host(), 3) + queue(host(), 3) + queue(host("other"), 3)
    elsewhere = queue(host(address="192.0.2.2"), 3)
    assert len(claim_all(records + elsewhere)) == 4 + 3


def test_a_place_is_free_again_when_its_record_ends(limits: Any) -> None:
    limits(batch_size=1)
    first, second = queue(host(), 2)
    held = claim(first.pk, "worker")
    assert held is not None
    assert claim(second.pk, "worker") is None
    move(first.pk, Event.FAILED, token=held.token)
    assert claim(second.pk, "worker") is not None
    assert words(second) == ""


def test_a_refused_record_is_not_touched_again_and_again(limits: Any) -> None:
    limits(batch_size=1)
    first, second = queue(host(), 2)
    claim(first.pk, "worker")

    def version() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SELECT xmin FROM syncjobs_syncrecord WHERE id = %s", [second.pk])
            return cursor.fetchone()

    claim(second.pk, "worker")
    before = version()
    claim(second.pk, "worker")
    assert version() == before


def test_bells_are_rung_for_workspaces_in_turn(limits: Any) -> None:
    many = queue(host(), 50)
    few = queue(host("other"), 2)
    rung = take_unrung(6)
    assert set(rung) >= {record.pk for record in few}
    assert set(rung) - {record.pk for record in few} == {record.pk for record in many[:4]}


@pytest.mark.parametrize(
    "refused", ["nestloop", "hashjoin mergejoin", "hashjoin mergejoin hashagg sort material"]
)
def test_no_more_bells_are_rung_than_asked_for_whatever_the_plan(limits: Any, refused: str) -> None:
    """A locking subquery with a limit that is run again for each row of an outer one takes more and more."""
    records = queue(host(), 8)
    with transaction.atomic(), connection.cursor() as cursor:
        for name in refused.split():
            cursor.execute(f"SET LOCAL enable_{name} = off")
        assert [take_unrung(1) for _ in records] == [[record.pk] for record in records]


def test_a_retry_that_is_due_is_not_overtaken_for_ever(limits: Any) -> None:
    records = queue(host(), 5)
    then = timezone.now() - timedelta(minutes=1)
    SyncRecord.objects.filter(pk=records[3].pk).update(not_before=then)
    assert take_unrung(1) == [records[3].pk]
    assert take_unrung(1) == [records[0].pk]


@pytest.mark.parametrize("limited", ["installation", "workspace", "connector", "host", "budget"])
def test_no_bell_is_rung_for_what_a_limit_turns_away(limits: Any, limited: str) -> None:
    first, *rest = queue(host(), 4)
    assert claim(first.pk, "worker") is not None
    workspace, connector = first.workspace, first.get_connector()
    if limited == "installation":
        limits(batch_size=1)
    elif limited == "host":
        limits(max_per_host=1)
    elif limited == "workspace":
        workspace.max_running = 1
        workspace.save()
    elif limited == "connector":
        connector.max_running = 1
        connector.save()
    else:
        HostBudget.objects.create(workspace=workspace, address=connector.address, max_running=1)
    assert take_unrung() == []
    assert claim(rest[0].pk, "worker") is None  # the claim itself is the exact test
    move(first.pk, Event.FAILED, token=first.token + 1)
    assert len(take_unrung()) == (1 if limited in ("installation", "workspace") else 3)


def test_a_host_that_asked_for_a_pause_gives_the_record_a_time(limits: Any) -> None:
    (record,) = queue(host())
    until = timezone.now() + timedelta(seconds=60)
    HostBudget.objects.create(
        workspace=record.workspace, address=record.get_connector().address, hold_until=until
    )
    assert claim(record.pk, "worker") is None
    assert "asked for a pause; until 20" in words(record)
    assert record.not_before == until


def test_what_one_workspace_learned_of_a_host_stays_with_it(limits: Any) -> None:
    (ours,), (theirs,) = queue(host()), queue(host("other"))
    until = timezone.now() + timedelta(seconds=60)
    HostBudget.objects.create(
        workspace=ours.workspace,
        address=ours.get_connector().address,
        opened_until=until,
        failures=5,
    )
    assert claim(ours.pk, "worker") is None
    assert claim(theirs.pk, "worker") is not None


def one_at_a_time() -> SimpleNamespace:
    connector = host()
    connector.workspace.one_sync_at_a_time = True
    connector.workspace.save()
    return SimpleNamespace(first=make_job(connector), second=make_job(connector))


def test_a_workspace_that_syncs_one_thing_at_a_time_answers_with_it(limits: Any) -> None:
    jobs = one_at_a_time()
    running = enqueue(jobs.first, trigger=Trigger.MANUAL)
    with pytest.raises(WorkspaceBusy):
        enqueue(jobs.second, trigger=Trigger.MANUAL)
    held = claim(running.pk, "worker")
    assert held is not None
    SyncRecord.objects.filter(pk=running.pk).update(percentage=45.2)
    with pytest.raises(WorkspaceBusy, match=r"is running \(45 %\)") as busy:
        enqueue(jobs.second, trigger=Trigger.MANUAL)
    assert busy.value.record.pk == running.pk
    move(running.pk, Event.SUCCEEDED, token=held.token)
    assert enqueue(jobs.second, trigger=Trigger.MANUAL).state == State.QUEUED


def test_a_stuck_record_is_cleaned_up_and_the_new_one_queued(limits: Any) -> None:
    jobs = one_at_a_time()
    stuck = enqueue(jobs.first, trigger=Trigger.MANUAL)
    assert claim(stuck.pk, "worker") is not None
    with pytest.raises(WorkspaceBusy):
        request_sync(jobs.second, by="a person")
    past = timezone.now() - timedelta(seconds=1)
    SyncRecord.objects.filter(pk=stuck.pk).update(lease_expires_at=past)
    assert request_sync(jobs.second, by="a person").state == State.QUEUED
    assert stuck.events.get(event="lease_expired").data["by"] == "a person"


def test_of_two_that_ask_at_once_one_is_queued(limits: Any) -> None:
    jobs = one_at_a_time()

    def ask(job: Any) -> uuid.UUID | None:
        try:
            return enqueue(job, trigger=Trigger.MANUAL).pk
        except WorkspaceBusy:
            return None
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, [jobs.first, jobs.second]))
    assert sum(answer is not None for answer in answers) == 1


def test_a_record_that_waits_for_its_retry_keeps_nobody_out(limits: Any) -> None:
    jobs = one_at_a_time()
    waiting = enqueue(jobs.first, trigger=Trigger.MANUAL)
    SyncRecord.objects.filter(pk=waiting.pk).update(not_before=timezone.now() + timedelta(hours=1))
    assert enqueue(jobs.second, trigger=Trigger.MANUAL).state == State.QUEUED


def test_the_same_job_asked_for_twice_is_queued_already(limits: Any) -> None:
    jobs = one_at_a_time()
    enqueue(jobs.first, trigger=Trigger.MANUAL)
    with pytest.raises(AlreadyQueued):
        enqueue(jobs.first, trigger=Trigger.MANUAL)
