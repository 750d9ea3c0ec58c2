"""Taking back records whose lease ran out: their worker died, or cannot reach the database."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from datasets.models import Dataset
from syncjobs.core.retries import decide_crash
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.transition import move
from syncjobs.models import SyncRecord

AT_ONCE = 100


def reap() -> int:
    """Takes back expired records; returns their count."""
    expired = list(
        SyncRecord.objects.filter(state=State.RUNNING, lease_expires_at__lt=Now())
        .order_by("lease_expires_at")
        .values_list("pk", flat=True)[:AT_ONCE]
    )
    return sum(_reap_one(record_id) for record_id in expired)


def _reap_one(record_id: uuid.UUID) -> bool:
    with transaction.atomic():
        record = (
            SyncRecord.objects.select_for_update(skip_locked=True, of=("self",))
            .select_related("job")
            .filter(pk=record_id, state=State.RUNNING, lease_expires_at__lt=Now())
            .first()
        )
        if record is None:
            return False
        # The owner may be in the middle of a publish: never queue behind it, come back next round.
        dataset = (
            Dataset.objects.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=record.job.dataset_id)
            .first()
        )
        if dataset is None:
            return False
        Dataset.objects.filter(pk=dataset.pk).update(fencing_token=F("fencing_token") + 1)
        return _take_back(record)


def _take_back(record: SyncRecord) -> bool:
    crashes = record.crash_count + 1
    evidence = {
        "owner": record.lease_owner,
        "heartbeat_at": record.heartbeat_at.isoformat() if record.heartbeat_at else None,
        "crashes": crashes,
    }
    changes = {"crash_count": crashes, "verdict": "lease.expired"}
    if record.cancel_asked_at is not None:
        moved = move(
            record.pk, Event.STOPPED, reason="cancelled; its worker was gone", data=evidence
        )
        return moved is not None
    decision = decide_crash(crashes=crashes, share=random.random())  # noqa: S311 — jitter
    if decision.delay_s is None:
        error = f"quarantined: {decision.reason}"
        changes |= {"error_code": "quarantined", "error": error, "verdict": "quarantined"}
        event = Event.QUARANTINED
    else:
        changes["not_before"] = Now() + timedelta(seconds=decision.delay_s)
        event = Event.LEASE_EXPIRED
    moved = move(record.pk, event, reason=decision.reason, data=evidence, changes=changes)
    return moved is not None
