"""Taking back records whose lease ran out: their worker died, or cannot reach the database."""

from __future__ import annotations

import random
import uuid
from datetime import timedelta

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from datasets.models import Dataset
from syncjobs.core.retries import decide_crash
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.transition import QUARANTINED, move
from syncjobs.models import SyncRecord

AT_ONCE = 100
MANY = 4  # from here on, most leases running out at once is not a matter of dead workers

log = structlog.get_logger(__name__)


def reap(*, young_s: float | None = None) -> int:
    """Takes back expired records; returns their count.

    After a restart of the database (for `young_s`, one lease if not told), and where most leases have run out at once, live owners get one
    lease more to renew theirs.
    """
    running = SyncRecord.objects.filter(state=State.RUNNING)
    expired = running.filter(lease_expires_at__lt=Now())
    count = expired.count()
    if count == 0 or _database_is_younger(settings.SYNC.lease_s if young_s is None else young_s):
        return 0
    if count >= MANY and count * 2 > running.count():
        log.error("reaper.braked", expired=count)
        expired = running.filter(
            lease_expires_at__lt=Now() - timedelta(seconds=settings.SYNC.lease_s)
        )
    oldest_first = expired.order_by("lease_expires_at").values_list("pk", flat=True)
    return sum(_try_to_reap(record_id) for record_id in list(oldest_first[:AT_ONCE]))


def _database_is_younger(age_s: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT now() - pg_postmaster_start_time() < make_interval(secs => %s)",
            [age_s],
        )
        (young,) = cursor.fetchone()
    return bool(young)


def _try_to_reap(record_id: uuid.UUID) -> bool:
    """One record that cannot be taken back must not keep the others waiting."""
    try:
        return _reap_one(record_id)
    except DatabaseError:
        log.exception("reaper.failed", record=str(record_id))
        return False


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
        changes |= {"error_code": QUARANTINED, "error": error, "verdict": QUARANTINED}
        event = Event.QUARANTINED
    else:
        changes["not_before"] = Now() + timedelta(seconds=decision.delay_s)
        event = Event.LEASE_EXPIRED
    moved = move(record.pk, event, reason=decision.reason, data=evidence, changes=changes)
    return moved is not None
