"""Q13: a source is back after hours, and thousands of records wait for it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from connectors.learning import learn_answer
from connectors.models import HostBudget
from farends.budget import FAILURES_OPEN
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.ringing import take_unrung
from syncjobs.records.transition import move
from tests.scale.jobs import make_many_jobs

pytestmark = pytest.mark.django_db(transaction=True)
DUE = 5_000


def test_q13_a_source_that_is_back_meets_no_herd() -> None:
    make_many_jobs(DUE, prefix="waiting", fields=lambda _: {"schedule": {"every_s": 3_600}})
    SyncJob.objects.update(next_run_at=timezone.now() - timedelta(hours=2))
    while dispatch_due().queued:
        pass
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == DUE
    first = SyncRecord.objects.select_related("connector").first()
    assert first is not None
    budget = HostBudget.objects.create(
        workspace=first.workspace,
        address=first.address,
        failures=FAILURES_OPEN,
        opened_until=timezone.now() + timedelta(minutes=15),
    )
    assert take_unrung(200) == []  # while the circuit is open nobody is rung for
    assert claim(first.pk, "worker") is None

    HostBudget.objects.filter(pk=budget.pk).update(opened_until=timezone.now())
    SyncRecord.objects.update(not_before=None, rung_at=None)
    rung = take_unrung(200)
    held = [found for record_id in rung if (found := claim(record_id, "worker"))]
    assert len(held) == 1  # one tries whether it is back

    learn_answer(first.get_connector())
    move(held[0].record_id, Event.SUCCEEDED, token=held[0].token)
    SyncRecord.objects.filter(state=State.QUEUED).update(not_before=None, rung_at=None)
    rung = take_unrung(200)
    held = [found for record_id in rung if (found := claim(record_id, "worker"))]
    assert 1 <= len(held) <= settings.SYNC.max_per_host
    assert SyncRecord.objects.filter(state=State.RUNNING).count() == len(held)
