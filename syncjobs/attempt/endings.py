"""What an attempt ends with when it does not end by itself: an error or a stop becomes an `Ending`."""

from __future__ import annotations

import errno
import random
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import structlog
from django.db import connection
from django.db.models.functions import Now

from database.away import LOST, find_sqlstate, is_away
from datasets.fencing import Fenced
from farends.errors import Throttled, TransportError
from syncjobs.attempt.budgeting import learn_of_host
from syncjobs.attempt.parking import look_again_s
from syncjobs.core.retries import RetryDecision, decide_patience, decide_retry, tries_until
from syncjobs.core.states import Event
from syncjobs.core.stuck import Rule
from syncjobs.engine.stops import (
    CancelAsked,
    DeadlinePassed,
    DrainAsked,
    NoProgress,
    NoRoom,
    Stop,
    WindowClosed,
)
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.records.transition import INTERNAL
from syncjobs.works.contract import Ending, Failed, end
from syncjobs.works.rows.outcome import has_published
from timing.clock import database_now

log = structlog.get_logger(__name__)

# Files or memory that this process lacks now: another may have them, and so may this one later.
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


def end_of_stop(record: SyncRecord, lease: Lease, stop: Stop) -> Ending | None:
    """Returns None if the lease is lost: the worker that holds it now decides."""
    if (ending := _OF_STOP.get(type(stop))) is None:
        log.warning("record.lease_lost")
        return None
    return ending(record, lease, stop)


def end_of_error(record: SyncRecord, lease: Lease, exc: Exception) -> Ending | None:
    """Returns None if the lease is lost: the worker that holds it now decides."""
    if isinstance(exc, Fenced):
        log.warning("record.lease_lost")
        return None
    if isinstance(exc, Failed):
        return _fail(
            record,
            lease,
            exc.code,
            str(exc),
            retryable=exc.retryable,
            waits=exc.waits,
            got_further=exc.got_further,
        )
    if isinstance(exc, TransportError):
        learn_of_host(record, exc, lease.progress)
        after_s = exc.retry_after_s if isinstance(exc, Throttled) else None
        return _fail(
            record,
            lease,
            exc.code,
            str(exc),
            retryable=exc.retryable,
            waits=exc.waits,
            retry_after_s=after_s,
        )
    if isinstance(exc, LOST):
        return _end_without_database(record, lease, exc)
    log.error("record.crashed", exc_info=exc)
    if isinstance(exc, OSError) and exc.errno in _SHORT:
        message = f"its worker ran short: {exc.strerror}"
        return _fail(record, lease, "worker_short", message, retryable=True, waits=True)
    return _fail(record, lease, INTERNAL, f"internal error: {type(exc).__name__}")


def _end_without_database(record: SyncRecord, lease: Lease, exc: Exception) -> Ending:
    if not (is_away(exc) or _asks_to_come_again(exc)):
        return _fail(record, lease, "database", str(exc), retryable=True)
    log.warning("record.database_lost", error=str(exc).partition("\n")[0])
    connection.close()
    soon = Now() + timedelta(seconds=5)
    return end(Event.INTERRUPTED, "the database was away", not_before=soon)


def _asks_to_come_again(exc: BaseException) -> bool:
    """Whether others were in the way: a deadlock, or a lock that was not had in time."""
    state = find_sqlstate(exc) or ""
    return state.startswith("40") or state == "55P03"


def _cancelled(record: SyncRecord, lease: Lease, _stop: CancelAsked) -> Ending:
    record.refresh_from_db(fields=["cancel_asked_by"])
    return end(Event.STOPPED, f"cancelled by {record.cancel_asked_by or 'request'}")


def _drained(_record: SyncRecord, lease: Lease, _stop: DrainAsked) -> Ending:
    return end(Event.INTERRUPTED, "its worker is shutting down")


def _closed(_record: SyncRecord, lease: Lease, stop: WindowClosed) -> Ending:
    return end(Event.PARKED, str(stop), waiting_for=stop.waits_for, not_before=stop.until)


def _without_room(record: SyncRecord, lease: Lease, stop: NoRoom) -> Ending:
    again = Now() + timedelta(seconds=look_again_s(lease.worked_s))
    parked = end(Event.PARKED, str(stop), waiting_for=stop.waits_for[:200], not_before=again)
    return parked.with_evidence({"waits": "room"})


def _out_of_time(record: SyncRecord, lease: Lease, stop: DeadlinePassed) -> Ending:
    words = str(stop)
    return end(
        Event.DEADLINE_PASSED, words, verdict="deadline", error_code="deadline", error=words
    ).with_evidence(_evidence(Rule.DEADLINE, record, lease))


def _stuck(record: SyncRecord, lease: Lease, stop: NoProgress) -> Ending:
    ending = _fail(record, lease, Rule.NO_PROGRESS, str(stop), retryable=True)
    measured = {"silent_s": round(stop.silent_s, 1), "limit_s": stop.limit_s}
    evidence = _evidence(Rule.NO_PROGRESS, record, lease) | measured
    return ending.with_evidence(evidence, verdict=Rule.NO_PROGRESS.value)


_OF_STOP: dict[type[Stop], Callable[[SyncRecord, Lease, Any], Ending]] = {
    CancelAsked: _cancelled,
    DrainAsked: _drained,
    WindowClosed: _closed,
    NoRoom: _without_room,
    DeadlinePassed: _out_of_time,
    NoProgress: _stuck,
}


def _evidence(rule: Rule, record: SyncRecord, lease: Lease) -> dict[str, Any]:
    """What the worker knew when it ended the attempt by this rule."""
    snapshot = lease.progress.snapshot
    return {
        "rule": rule.value,
        "by": "worker",
        "owner": record.lease_owner,
        "stage": snapshot.stage.value,
        "deadline_s": snapshot.deadline_s,
        "worked_s": round(lease.worked_s, 1),
        "files": snapshot.current_file_index,
        "total_files": snapshot.total_files,
        "bytes": snapshot.bytes_transferred,
        "kept_files": snapshot.kept_files,
    }


def _fail(
    record: SyncRecord,
    lease: Lease,
    code: str,
    message: str,
    *,
    retryable: bool = False,
    waits: bool = False,
    retry_after_s: float | None = None,
    got_further: bool | None = None,
) -> Ending:
    """The record is tried again later, or has failed for good. `waits` and `got_further`: see `Failed`."""
    if retryable and waits:
        return _wait(record, lease, code, message, retry_after_s)
    if got_further is None:
        got_further = lease.progress.snapshot.got_further
    vain = 0 if got_further else record.vain_attempts + 1
    decision = decide_retry(
        retryable=retryable,
        attempt=record.attempt,
        vain=vain,
        max_attempts=record.job.max_attempts,
        share=random.random(),  # noqa: S311 — jitter
        retry_after_s=retry_after_s,
    )
    changes: dict[str, Any] = {"vain_attempts": vain, "waits_in_a_row": 0, "tries_until": None}
    if decision.delay_s is not None:
        changes["attempt"] = record.attempt + 1
    return _try_again(record, code, message, decision, changes, {"code": code})


def _wait(
    record: SyncRecord, lease: Lease, code: str, message: str, retry_after_s: float | None
) -> Ending:
    now = database_now()
    until, tries = record.tries_until, record.waits_in_a_row + 1
    if until is None or lease.progress.snapshot.got_further:
        until, tries = _find_end(record, now), 1
    decision = decide_patience(
        tries=tries,
        left_s=(until - now).total_seconds(),
        share=random.random(),  # noqa: S311 — jitter
        retry_after_s=retry_after_s,
    )
    changes = {"waits_in_a_row": tries, "tries_until": until}
    evidence = {"code": code, "waits": "time", "tries_until": until.isoformat()}
    return _try_again(record, code, message, decision, changes, evidence)


def _find_end(record: SyncRecord, now: datetime) -> datetime:
    job = SyncJob.objects.get(pk=record.job_id)
    served = job.enabled and job.paused_at is None and not (record.dry_run or record.backfill_id)
    return tries_until(
        now,
        due_at=record.scheduled_for or record.queued_at,
        next_fire=job.next_run_at if served else None,
        max_lateness_s=job.max_lateness_s,
    )


def _try_again(
    record: SyncRecord,
    code: str,
    message: str,
    decision: RetryDecision,
    changes: dict[str, Any],
    evidence: dict[str, Any],
) -> Ending:
    changes = {"error_code": code, "error": message} | changes
    if decision.delay_s is None:
        return _end_for_good(record, f"{message} ({decision.reason})", changes)
    changes |= {
        "not_before": Now() + timedelta(seconds=decision.delay_s),
        "waiting_for": f"its next attempt, after: {message}"[:200],
    }
    reason = f"{message}; again in {decision.delay_s:.0f} s ({decision.reason})"
    return Ending(Event.RETRY_SCHEDULED, reason, changes, evidence)


def _end_for_good(record: SyncRecord, reason: str, changes: dict[str, Any]) -> Ending:
    """Tables that this attempt or an earlier one has published are there: such a record did a part."""
    record.refresh_from_db(fields=["tables"])
    if has_published(record.tables):
        return end(Event.PARTLY_SUCCEEDED, reason, **changes, verdict="partial")
    return end(Event.FAILED, reason, **changes, verdict=changes["error_code"])
