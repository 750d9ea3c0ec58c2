"""Takes back stuck records: their worker died, or does nothing, or does not obey.

The rules are `syncjobs.core.stuck`'s, all by the database's clock. Every record that is taken back gets a
higher fencing token first, so whoever still works on it can write no more; the event keeps what was
measured. Any number of sweeps may run at once: in beat, in workers, by hand.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from datasets.models import Dataset
from syncjobs.claims.pulsing import REAPER
from syncjobs.core.retries import decide_crash, decide_retry
from syncjobs.core.states import Event, State
from syncjobs.core.stuck import Finding, Limits, Rule, decide_hold, find_stuck
from syncjobs.leases.leased import Leased
from syncjobs.models import Pulse, SyncRecord
from syncjobs.queries.rules import stuck_limits, sweep_rule
from syncjobs.queries.signs import Sighting, look_at, look_at_all
from syncjobs.records.transition import QUARANTINED, move
from syncjobs.works.contract import session_name
from timing.clock import database_instant

AT_ONCE = 100
MANY = 4  # from here on, most owners' leases running out at once is not a matter of dead workers
PULSE, HOLD = REAPER, "reaper.hold"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Stuck:
    """A record, and why it is stuck."""

    record_id: uuid.UUID
    finding: Finding


@dataclass(frozen=True, slots=True)
class CleanUp:
    """What a clean-up by hand did, or with a dry run would do."""

    records: tuple[Stuck, ...]

    @property
    def count(self) -> int:
        return len(self.records)

    @property
    def by_rule(self) -> dict[str, int]:
        return dict(Counter(stuck.finding.rule.value for stuck in self.records))

    def describe(self, *, dry_run: bool = False) -> str:
        """One line for a person."""
        if not self.count:
            return "No sync is stuck."
        rules = ", ".join(f"{count} {rule}" for rule, count in sorted(self.by_rule.items()))
        syncs = f"{self.count} stuck sync{'' if self.count == 1 else 's'}"
        return f"{syncs} {'found' if dry_run else 'cleaned up'}: {rules}."


@dataclass(frozen=True, slots=True)
class _Sweep:
    """How one sweep judges; `by` is who asked for it. Attempts count as worked from `counted_from`."""

    limits: Limits
    by: str = "reaper"
    rules: tuple[Rule, ...] = tuple(Rule)
    counted_from: datetime | None = None

    def judge(self, seen: Sighting) -> Finding | None:
        return find_stuck(seen.signs, self.limits, self.rules)


def reap(tables: Sequence[Leased] = (), *, young_s: float | None = None) -> int:
    """Takes back stuck records, and rows of these other tables whose lease ran out; returns their count.

    After a restart of the database (for `young_s`, one lease if not told), after a time without sweeps
    or a jump of the database's clock, and where most leases have run out at once, live owners get one
    lease more to renew theirs. A cancel waits no longer for that.
    """
    held_until, is_held = _hold()
    if is_held or _database_is_younger(settings.SYNC.lease_s if young_s is None else young_s):
        return reap_cancelled()
    sweep = _Sweep(stuck_limits(), counted_from=held_until)
    seen = look_at_all(counted_from=held_until)
    found = [(one, sweep.judge(one)) for one in seen]
    expired = [
        one.owner for one, why in found if why is not None and why.rule is Rule.LEASE_EXPIRED
    ]
    # One dead worker may have held most of the records: owners are counted.
    owners, gone = {one.owner for one in seen}, set(expired)
    if len(expired) >= MANY and len(gone) > 1 and len(gone) * 2 > len(owners):
        log.error("reaper.braked", expired=len(expired), owners=len(gone))
        limits = replace(sweep.limits, lease_grace_s=settings.SYNC.lease_s)
        sweep = replace(sweep, limits=limits)
    freed = sum(_free_expired(leased, sweep.limits.lease_grace_s) for leased in tables)
    return freed + len(_run(sweep, seen))


def _free_expired(leased: Leased, grace_s: float) -> int:
    """One table that cannot be swept must not keep the others waiting."""
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(leased.expiry, {"grace_s": grace_s, "at_once": AT_ONCE})
            freed = [key for (key,) in cursor.fetchall()]
            if freed:
                leased.on_freed(freed)
    except DatabaseError:
        log.exception("reaper.failed", table=leased.table)
        return 0
    if freed:
        log.warning("leases.expired", table=leased.table, keys=[str(key) for key in freed])
    return len(freed)


def reap_cancelled() -> int:
    """Ends records whose worker does not answer a cancel. Cheap: beat asks each second."""
    sweep = _Sweep(stuck_limits(), rules=(Rule.CANCEL_UNANSWERED,))
    return len(_run(sweep, look_at_all(cancelled_only=True)))


def clean_up(
    *, by: str, workspace_ids: Sequence[uuid.UUID] | None = None, dry_run: bool = False
) -> CleanUp:
    """Applies the rules now and without the brakes, in these workspaces or in all."""
    sweep = _Sweep(replace(stuck_limits(), grace_s=0.0), by=by)
    seen = look_at_all(workspace_ids=workspace_ids)
    if dry_run:
        found = ((one, sweep.judge(one)) for one in seen)
        return CleanUp(tuple(Stuck(one.record_id, why) for one, why in found if why is not None))
    done = CleanUp(tuple(_run(sweep, seen, at_once=len(seen))))
    log.info("records.cleaned_up", by=by, count=done.count, rules=done.by_rule)
    return done


def _hold() -> tuple[datetime | None, bool]:
    """Notes this sweep, by the database's clock. Until when sweeps were last held back, and whether they
    still are: nobody swept for a while, or the clock jumped."""
    rule = sweep_rule()
    with transaction.atomic():
        pulses = {
            pulse.part: pulse.at
            for pulse in Pulse.objects.select_for_update()
            .filter(part__in=(PULSE, HOLD))
            .order_by("part")
        }
        # Read after the rows are locked: another sweep may have written a later time meanwhile.
        now = database_instant()
        Pulse.objects.update_or_create(part=PULSE, defaults={"at": now})
        held_until = pulses.get(HOLD)
        if (until := decide_hold(rule, pulses.get(PULSE), now)) is not None:
            log.warning("reaper.holds", last=str(pulses.get(PULSE)), until=str(until))
            Pulse.objects.update_or_create(part=HOLD, defaults={"at": until})
            held_until = until
    # A hold that lies further ahead than holds last was set before the clock went back.
    left_s = 0.0 if held_until is None else (held_until - now).total_seconds()
    return held_until, 0 < left_s <= rule.hold_s


def _database_is_younger(age_s: float) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT now() - pg_postmaster_start_time() < make_interval(secs => %s)",
            [age_s],
        )
        (young,) = cursor.fetchone()
    return bool(young)


def _run(sweep: _Sweep, seen: Sequence[Sighting], *, at_once: int = AT_ONCE) -> list[Stuck]:
    stuck = [one.record_id for one in seen if sweep.judge(one) is not None]
    return [
        Stuck(record_id, finding)
        for record_id in stuck[:at_once]
        if (finding := _try_to_take_back(sweep, record_id)) is not None
    ]


def _try_to_take_back(sweep: _Sweep, record_id: uuid.UUID) -> Finding | None:
    """One record that cannot be taken back must not keep the others waiting."""
    try:
        return _take_back(sweep, record_id)
    except DatabaseError:
        log.exception("reaper.failed", record=str(record_id))
        return None


def _take_back(sweep: _Sweep, record_id: uuid.UUID) -> Finding | None:
    with transaction.atomic():
        record = (
            SyncRecord.either.select_for_update(skip_locked=True, of=("self",))
            .select_related("job")
            .filter(pk=record_id, state=State.RUNNING)
            .first()
        )
        if record is None:
            return None
        seen = look_at(record_id, counted_from=sweep.counted_from)
        finding = sweep.judge(seen) if seen is not None else None
        if seen is None or finding is None:
            return None
        # The owner may be in the middle of a publish: never queue behind it, come back next round.
        dataset = (
            Dataset.either.select_for_update(skip_locked=True, no_key=True)
            .filter(pk=record.job.dataset_id)
            .first()
        )
        if dataset is None:
            if finding.rule is Rule.CANCEL_UNANSWERED:
                _end_session(record)
            return None
        Dataset.either.filter(pk=dataset.pk).update(fencing_token=F("fencing_token") + 1)
        return finding if _move(record, finding, _evidence(sweep, seen, finding)) else None


def _end_session(record: SyncRecord) -> None:
    """A worker that is stopped in the middle of a publish holds its locks for as long as the database
    lets it. Whoever asked for a cancel does not wait for that: its transaction is undone."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = %s AND datname = current_database()",
            [session_name(record.pk, record.token)],
        )
    log.warning("reaper.session_ended", record=str(record.pk))


def _evidence(sweep: _Sweep, seen: Sighting, finding: Finding) -> dict[str, Any]:
    measured = {"seconds": round(finding.seconds, 1), "limit_s": finding.limit_s}
    return seen.told | {"rule": finding.rule.value, "by": sweep.by} | measured


def _move(record: SyncRecord, finding: Finding, evidence: dict[str, Any]) -> bool:
    """Moves the record as the rule says. A cancel that was asked for wins over all of them."""
    changes: dict[str, Any] = {"verdict": finding.rule.value}
    reason = finding.words
    if record.cancel_asked_at is not None:
        event = Event.STOPPED
        reason = f"cancelled by {record.cancel_asked_by or 'request'}; {finding.words}"
    elif finding.rule is Rule.NO_PROGRESS:
        event, reason, more = _retry(record, finding)
        changes |= more
    elif finding.rule is Rule.DEADLINE:
        event = Event.DEADLINE_PASSED
        changes |= {"error_code": finding.rule.value, "error": finding.words}
    else:
        event, reason, more = _survive_crash(record, finding)
        changes |= more
        evidence = evidence | {"crashes": more["crash_count"]}  # this one included
    by = "" if evidence["by"] == "reaper" else f" (cleaned up by {evidence['by']})"
    moved = move(record.pk, event, reason=reason + by, data=evidence, changes=changes)
    return moved is not None


def _retry(record: SyncRecord, finding: Finding) -> tuple[Event, str, dict[str, Any]]:
    """Ends the attempt as the worker itself would have done."""
    vain = record.vain_attempts + 1
    decision = decide_retry(
        retryable=True,
        attempt=record.attempt,
        vain=vain,
        max_attempts=record.job.max_attempts,
        share=random.random(),  # noqa: S311 — jitter
    )
    changes: dict[str, Any] = {
        "error_code": finding.rule.value,
        "error": finding.words,
        "vain_attempts": vain,
        "waits_in_a_row": 0,
        "tries_until": None,
    }
    if decision.delay_s is None:
        return Event.FAILED, f"{finding.words} ({decision.reason})", changes
    changes |= {
        "attempt": record.attempt + 1,
        "not_before": Now() + timedelta(seconds=decision.delay_s),
        "waiting_for": f"its next attempt, after: {finding.words}"[:200],
    }
    reason = f"{finding.words}; again in {decision.delay_s:.0f} s ({decision.reason})"
    return Event.RETRY_SCHEDULED, reason, changes


def _survive_crash(record: SyncRecord, finding: Finding) -> tuple[Event, str, dict[str, Any]]:
    crashes = record.crash_count + 1
    decision = decide_crash(crashes=crashes, share=random.random())  # noqa: S311 — jitter
    changes: dict[str, Any] = {"crash_count": crashes}
    if decision.delay_s is None:
        error = f"quarantined: {decision.reason}"
        changes |= {"error_code": QUARANTINED, "error": error, "verdict": QUARANTINED}
        return Event.QUARANTINED, decision.reason, changes
    changes["not_before"] = Now() + timedelta(seconds=decision.delay_s)
    return Event.LEASE_EXPIRED, f"{finding.words} ({decision.reason})", changes
