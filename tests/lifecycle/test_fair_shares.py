"""Places that workspaces compete for: none holds more than its share, and none stays free."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from connectors.models import Connector, HostBudget
from datasets.store import ensure_store, find_known_store
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims import demand
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import ProcessSign, SyncJob, SyncRecord, Trigger
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.transition import move
from tests.lifecycle.test_limits import claim_all, host, queue
from tests.scale.jobs import make_many_jobs
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)
FAR = Target("192.0.2.7", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture(autouse=True)
def five_places(settings: Any) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, batch_size=5, max_per_host=0)


def running(records: list[SyncRecord]) -> int:
    ids = [record.pk for record in records]
    return SyncRecord.objects.filter(pk__in=ids, state=State.RUNNING).count()


def end(records: list[SyncRecord]) -> None:
    for record in SyncRecord.objects.filter(pk__in=[r.pk for r in records], state=State.RUNNING):
        move(record.pk, Event.SUCCEEDED, token=record.token)


def test_one_workspace_leaves_the_others_their_places() -> None:
    slow, quick = queue(host("slow"), 8), queue(host("quick"), 8)
    claim_all(slow)
    assert running(slow) == 3
    refused = SyncRecord.objects.filter(pk__in=[r.pk for r in slow], state=State.QUEUED).first()
    assert refused is not None
    assert refused.waiting_for == (
        "its fair share (its workspace has 3 of 5 places, and others have records to run)"
    )
    claim_all(quick)
    assert (running(slow), running(quick)) == (3, 2)


def test_who_is_alone_has_every_place_and_none_is_taken_away() -> None:
    slow = queue(host("slow"), 8)
    claim_all(slow)
    assert running(slow) == 5
    late = queue(host("late"), 2)
    claim_all(late)
    assert (running(slow), running(late)) == (5, 0)
    end(list(SyncRecord.objects.filter(state=State.RUNNING)[:1]))
    claim_all(slow)
    assert running(slow) == 4  # the place that came free is the other's
    claim_all(late)
    assert (running(slow), running(late)) == (4, 1)


def test_many_claims_at_once_keep_the_shares() -> None:
    records = {name: queue(host(name), 6) for name in ("a", "b", "c")}
    claim_all([record for of_one in records.values() for record in of_one])
    counts = [running(of_one) for of_one in records.values()]
    assert max(counts) <= 2


def hold_by_time(records: list[SyncRecord]) -> None:
    later = timezone.now() + timedelta(hours=1)
    SyncRecord.objects.filter(pk__in=[r.pk for r in records]).update(not_before=later)


def hold_by_budget(records: list[SyncRecord]) -> None:
    HostBudget.objects.create(
        workspace=records[0].workspace,
        address=records[0].get_connector().address,
        hold_until=timezone.now() + timedelta(hours=1),
    )


def hold_by_window_of_job(records: list[SyncRecord]) -> None:
    past = [{"since": "2001-01-01T00:00:00Z", "until": "2199-01-01T00:00:00Z", "reason": "away"}]
    SyncJob.objects.filter(records__in=records).update(blackouts=past)


def hold_by_window_of_workspace(records: list[SyncRecord]) -> None:
    past = [{"since": "2001-01-01T00:00:00Z", "until": "2199-01-01T00:00:00Z", "reason": "away"}]
    Workspace.objects.filter(pk=records[0].workspace_id).update(blackouts=past)


def hold_by_own_limit(records: list[SyncRecord]) -> None:
    """One runs, and no other of the connector may."""
    Connector.objects.filter(pk=records[0].get_connector().pk).update(max_running=1)
    assert claim(records[0].pk, "worker") is not None


def hold_by_workspace_limit(records: list[SyncRecord]) -> None:
    Workspace.objects.filter(pk=records[0].workspace_id).update(one_sync_at_a_time=True)
    assert claim(records[0].pk, "worker") is not None


@pytest.mark.parametrize(
    ("hold", "left"),
    [
        (hold_by_time, 5),
        (hold_by_budget, 5),
        (hold_by_window_of_job, 5),
        (hold_by_window_of_workspace, 5),
        (hold_by_own_limit, 4),
        (hold_by_workspace_limit, 4),
    ],
)
def test_no_place_is_kept_for_what_cannot_run(hold: Any, left: int) -> None:
    quick, slow = queue(host("quick"), 8), queue(host("slow"), 8)
    hold(quick)
    claim_all(slow)
    assert running(slow) == left


def test_a_few_that_can_run_are_seen_behind_many_whose_window_is_closed() -> None:
    quick, slow = queue(host("quick"), 12), queue(host("slow"), 8)
    hold_by_window_of_job(quick[:11])
    claim_all(slow)
    assert running(slow) == 4
    assert claim(quick[11].pk, "worker") is not None


def test_a_place_that_comes_free_is_rung_for_where_it_is_due() -> None:
    """By what runs, and not by who waits longest."""
    slow = queue(host("slow"), 9)
    claim_all(slow)
    quick = queue(host("quick"), 9)
    end(slow)  # of three
    held = claim_all(slow[:8])
    assert len(held) <= 3
    rung = set(take_unrung())
    of_slow = len(rung & {record.pk for record in slow})
    assert len(rung) == 5 - len(held)
    assert {running(slow) + of_slow, len(rung) - of_slow} == {2, 3}
    assert {record.pk for record in quick} & rung


def test_the_refused_is_rung_for_again_when_a_place_is_its_own() -> None:
    """Not half a minute later: its bell was answered."""
    slow, quick = queue(host("slow"), 5), queue(host("quick"), 2)
    claim_all(slow[:3])
    assert claim(slow[3].pk, "worker") is None
    just_now = Now() - timedelta(seconds=2)
    SyncRecord.objects.filter(state=State.QUEUED).update(rung_at=just_now)
    SyncRecord.objects.filter(pk__in=[r.pk for r in quick]).update(
        state="cancelled", finished_at=Now()
    )
    assert take_unrung() == [slow[3].pk]
    assert claim(slow[3].pk, "worker") is not None


def test_places_are_the_workers_where_nothing_else_bounds_them(settings: Any) -> None:
    """docker-compose.yml sets BATCH_SIZE to 0: as many as the workers have slots."""
    settings.SYNC = dataclasses.replace(settings.SYNC, batch_size=0)
    ensure_store()
    seen = {"started_at": Now(), "seen_at": Now(), "store_id": find_known_store()}
    ProcessSign.objects.create(name="one", slots=4, running=0, draining=False, **seen)
    ProcessSign.objects.create(name="blind", slots=4, **seen | {"store_id": None})
    ProcessSign.objects.create(name="two", slots=4, running=2, draining=True, **seen)
    slow, quick = queue(host("slow"), 8), queue(host("quick"), 8)
    claim_all(slow)
    assert running(slow) == 3
    ProcessSign.objects.update(seen_at=F("seen_at") - timedelta(minutes=2))
    claim_all(slow)
    assert running(slow) == 8  # nobody knows how many places there are
    assert running(quick) == 0


def test_records_whose_window_is_closed_wait_for_it_all_at_once() -> None:
    """Else bells for each of them would be rung, one for each free place, and nobody would use these."""
    closed, open_ones = queue(host(), 30), queue(host(), 2)
    hold_by_window_of_job(closed)
    assert claim(closed[0].pk, "worker") is None
    told = SyncRecord.objects.filter(waiting_for__startswith="its window", not_before__gt=Now())
    assert set(told.values_list("pk", flat=True)) == {record.pk for record in closed}
    assert set(take_unrung()) == {record.pk for record in open_ones}


def explain(query: str, words: dict[str, Any]) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS) {query}", words)
        return "\n".join(row[0] for row in cursor.fetchall())


def test_a_share_is_looked_up_by_index_with_a_long_queue() -> None:
    for name in ("crowd", "others"):
        jobs = make_many_jobs(3_000, prefix=name)
        SyncRecord.objects.bulk_create(
            SyncRecord(
                workspace_id=job.workspace_id, job=job, connector=job.connector,
                address=f"{name}:22", trigger=Trigger.SCHEDULE, state=State.QUEUED,
            )
            for job in jobs
        )  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    first = SyncRecord.objects.filter(address="crowd:22").first()
    assert first is not None
    words = {"workspace": first.workspace_id, "ours": 3, "slots": 5, "more": 0}
    plan = explain(demand._OTHERS, words | demand.words_of_limits())
    assert "Seq Scan on syncjobs_syncrecord" not in plan
    assert "record_waiting" in plan
