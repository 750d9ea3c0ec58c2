"""A queued record from claim to what follows: the only place that turns an error into an event.

It owns no transaction; it calls those that do, and asks the lease before each.
"""

from __future__ import annotations

import errno
import random
import uuid
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from functools import partial
from pathlib import PurePosixPath
from typing import Any

import psycopg
import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.db.models.functions import Now

from connectors.learning import learn_answer
from connectors.opening import keep_capabilities, open_transport, root_of, silence_granted
from datasets.catalog import Catalog, Trust
from datasets.receipts import Fenced, Receipts
from datasets.store import open_store
from datasets.versions import Published
from farends.errors import Throttled, TransportError
from store.blobs import BlobStore
from store.errors import DiskFull, QuotaExceeded, StoreAway, StoreError
from syncjobs.attempt.budgeting import learn_of_host
from syncjobs.attempt.clearing import clear_source
from syncjobs.attempt.keeping import PlanDrifted, confirm_plan, keep_plan, terms_of
from syncjobs.attempt.parking import look_again_s, need_room, permit_growth
from syncjobs.attempt.publishing import GuardStopped, publish
from syncjobs.claims.claiming import Claim, claim
from syncjobs.claims.heartbeat import Heart, Lease
from syncjobs.claims.sessions import LazySession, open_session
from syncjobs.configuration.selecting import selection_of
from syncjobs.core.comparing import Comparison
from syncjobs.core.patterns import InvalidPattern
from syncjobs.core.plans import Held, Waiver
from syncjobs.core.retries import decide_retry
from syncjobs.core.states import Event, State
from syncjobs.core.stuck import Rule
from syncjobs.engine.filesync import FileSync
from syncjobs.engine.order import Attempt, Order, Outcome
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import (
    CancelAsked,
    DeadlinePassed,
    DrainAsked,
    NoProgress,
    NoRoom,
    Stop,
    WindowClosed,
)
from syncjobs.models import AfterPublish, OnDelete, SyncJob, SyncMode, SyncRecord
from syncjobs.queries.durations import history_of, spent_s
from syncjobs.queries.rules import deadline_rule
from syncjobs.records.transition import INTERNAL, move

log = structlog.get_logger(__name__)

_DATABASE_LOST = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    OperationalError,
    InterfaceError,
)

# Files or memory that this process lacks now: another may have them, and so may this one later.
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}

_TRUST = {
    Comparison.MODIFIED: Trust(),
    Comparison.CHECKSUM: Trust(listing=False, receipts=False, times=False),
    Comparison.SIZE: Trust(listing=False, times=False),
    Comparison.ETAG: Trust(listing=False, times=False),
}


@dataclass(frozen=True, slots=True)
class Ending:
    """The event that an attempt ends with, and what it writes."""

    event: Event
    reason: str
    changes: dict[str, Any]
    data: dict[str, Any]

    def with_evidence(self, data: dict[str, Any], **changes: Any) -> Ending:
        return replace(self, data=self.data | data, changes=self.changes | changes)


def execute(record_id: uuid.UUID, heart: Heart) -> State | None:
    """Works on one record; the state it is left in, or None where there was nothing to do."""
    held = claim(record_id, heart.owner)
    if held is None:
        return None
    progress = Progress()
    lease = heart.hold(held, progress)
    with structlog.contextvars.bound_contextvars(record=str(record_id)):
        try:
            ending = _attempt(lease)
            heart.release(lease)  # from here the lease's last renewal covers us
            return _finish(held, progress, ending) if ending else None
        finally:
            heart.release(lease)


def _attempt(lease: Lease) -> Ending | None:
    """None where the lease is lost: whoever has it now decides."""
    found = SyncRecord.objects.select_related("job", "connector", "workspace")
    record = found.get(pk=lease.claim.record_id)
    lease.patience_s = silence_granted(record.connector.options)
    try:
        return _sync_files(record, lease)
    except Fenced:
        log.warning("record.lease_lost")
        return None
    except Stop as exc:
        return _stopped(record, lease, exc)
    except PlanDrifted as exc:
        return _plain(
            Event.FAILED,
            str(exc),
            verdict=exc.code,
            error_code=exc.code,
            error=str(exc),
            drift=asdict(exc.drift),
        )
    except StoreAway as exc:
        log.warning("record.store_away", code=exc.code)
        return _plain(
            Event.INTERRUPTED,
            f"its worker does not see the store any more: {exc}",
            waiting_for="a worker that sees the store",
        )
    except (TransportError, StoreError) as exc:
        return _failed(record, lease.progress, exc.code, str(exc), cause=exc)
    except InvalidPattern as exc:
        return _failed(record, lease.progress, "invalid_pattern", str(exc))
    except _DATABASE_LOST as exc:
        if not _is_away(exc):
            return _failed(record, lease.progress, "database", str(exc), retryable=True)
        log.warning("record.database_lost", error=str(exc).partition("\n")[0])
        connection.close()
        return _plain(
            Event.INTERRUPTED,
            "the database was away",
            not_before=Now() + timedelta(seconds=5),
        )
    except Exception as exc:  # the one place where any error becomes an event
        log.exception("record.crashed")
        return _crashed(record, lease.progress, exc)


def _crashed(record: SyncRecord, progress: Progress, exc: Exception) -> Ending:
    if isinstance(exc, OSError) and exc.errno in _SHORT:
        message = f"its worker ran short: {exc.strerror}"
        return _failed(record, progress, "worker_short", message, retryable=True)
    return _failed(record, progress, INTERNAL, f"internal error: {type(exc).__name__}")


def _stopped(record: SyncRecord, lease: Lease, stop: Stop) -> Ending | None:
    match stop:
        case CancelAsked():
            record.refresh_from_db(fields=["cancel_asked_by"])
            return _plain(Event.STOPPED, f"cancelled by {record.cancel_asked_by or 'request'}")
        case DrainAsked():
            return _plain(Event.INTERRUPTED, "its worker is shutting down")
        case WindowClosed():
            waits = {"waiting_for": stop.waits_for, "not_before": stop.until}
            return _plain(Event.PARKED, str(stop), **waits)
        case NoRoom():
            again = Now() + timedelta(seconds=look_again_s(lease.worked_s))
            parked = _plain(
                Event.PARKED, str(stop), waiting_for=stop.waits_for[:200], not_before=again
            )
            return parked.with_evidence({"waits": "room"})
        case DeadlinePassed():
            words = str(stop)
            return _plain(
                Event.DEADLINE_PASSED, words, verdict="deadline", error_code="deadline", error=words
            ).with_evidence(_evidence(Rule.DEADLINE, lease))
        case NoProgress():
            ending = _failed(record, lease.progress, Rule.NO_PROGRESS, str(stop), retryable=True)
            measured = {"silent_s": round(stop.silent_s, 1), "limit_s": stop.limit_s}
            return ending.with_evidence(
                _evidence(Rule.NO_PROGRESS, lease) | measured, verdict=Rule.NO_PROGRESS.value
            )
        case _:
            log.warning("record.lease_lost")
            return None


def _is_away(exc: BaseException) -> bool:
    """Whether the database could not be reached, or asks to come again; else it has refused."""
    cause = exc if isinstance(exc, psycopg.Error) else exc.__cause__
    state = getattr(cause, "sqlstate", None)
    return state is None or state.startswith(("08", "57P", "40")) or state == "55P03"


def _sync_files(record: SyncRecord, lease: Lease) -> Ending:
    job, held = record.job, lease.claim
    if record.applies_id is not None and record.dataset_version is not None:
        return _published_already(record)
    # An operator sees in pg_stat_activity which record, at which token, a session works for.
    keeping = LazySession(statement_timeout_s=300, name=f"keeping {held.attempt_name}")
    store = open_store(record.workspace_id, keeping)
    store.keep_free(settings.SYNC.min_free_bytes)
    session = open_session(statement_timeout_s=300, name=held.session_name)
    published: Published | None = None
    full = False
    try:
        with lease.cutting(session):
            catalog, outcome = _fetch(record, lease, session, keeping, store)
            if record.dry_run:
                terms = terms_of(job, catalog, outcome)
                keep_plan(session, held, catalog, outcome, terms, lease.progress.troubles)
                return _planned(outcome)
            if outcome.held is not None:
                return _held(outcome.held)
            lease.check()
            store.need()  # what was stored meanwhile went to where it will be looked for
            # What may be half of a file stays at its source.
            clears = job.after_publish != AfterPublish.KEEP and not outcome.unproved.files
            published = publish(
                session,
                held,
                catalog,
                removals=outcome.removals,
                troubles=lease.progress.troubles,
                listed=outcome.plan.listed,
                waiver=_waiver_of(record),
                whole=lease.progress.snapshot.files_failed == 0,
                permit=partial(permit_growth, record, catalog),
                mark=clears,
                verified=outcome.looked_at_all,
            )
        warning = (
            clear_source(session, lease, record, store) if clears else outcome.unproved.warning
        )
        return _succeeded(outcome, published, lease.progress, warning)
    except GuardStopped as exc:
        return _held(exc.held)
    except (DiskFull, QuotaExceeded):
        full = True  # pieces that wait for the next attempt would keep it full, for every other job too
        raise
    except (StoreError, OSError):
        store.need()  # an error of a disk that is gone says so
        raise
    finally:
        session.close()
        keeping.close()
        _close_attempt(store, held, keep=not (published or full))


def _close_attempt(store: BlobStore, held: Claim, *, keep: bool) -> None:
    """What a disk that is gone cannot clear waits for the sweep."""
    try:
        store.close_attempt(held.attempt_name, keep=keep)
    except OSError as exc:
        log.warning("record.not_cleared", error=exc.strerror)


def _fetch(
    record: SyncRecord,
    lease: Lease,
    session: psycopg.Connection[Any],
    keeping: LazySession,
    store: BlobStore,
) -> tuple[Catalog, Outcome]:
    job, held, progress = record.job, lease.claim, lease.progress
    order = make_order(job, record)
    transport = open_transport(record.connector, check=lease.check, moved=progress.moved)
    with closing(transport):
        catalog = Catalog(
            session,
            dataset_id=held.dataset_id,
            record_id=record.pk,
            token=held.token,
            full=record.mode == SyncMode.FULL,
            trust=_TRUST[Comparison(job.comparison)],
            moved=progress.moved,
        )
        attempt = Attempt(held.attempt_name, progress, lease.check)
        sync = FileSync(order, transport, catalog, attempt)
        receipts = Receipts(
            keeping, dataset_id=held.dataset_id, record_id=record.pk, token=held.token
        )

        def confirm(outcome: Outcome) -> None:
            if record.applies_id is not None:
                confirm_plan(session, record, terms_of(job, catalog, outcome), outcome)
            if outcome.held is None:
                need_room(record, catalog, store)

        outcome = sync.plan() if record.dry_run else sync.run(store, receipts, confirm)
        keep_capabilities(record.connector, sync.capabilities)
    learn_answer(record.connector)
    return catalog, outcome


def make_order(job: SyncJob, record: SyncRecord) -> Order:
    """Raises InvalidPattern."""
    selection = selection_of(job)
    selection.check()
    return Order(
        source=f"{job.dataset_id} {record.connector.endpoint}",
        root=PurePosixPath(root_of(record.connector)),
        selection=selection,
        removals_apply=job.on_delete == OnDelete.KEEP_VERSION,
        full=record.mode == SyncMode.FULL,
        waiver=_waiver_of(record),
        deadline=deadline_rule(),
        timeout_s=job.timeout_s,
        past=history_of(job.pk, record.mode),
        spent_s=spent_s(record.pk),
        settle_s=job.settle_s,
        max_files=job.max_files,
        max_bytes=job.max_bytes,
        max_listed=settings.SYNC.max_listed or None,
        as_listed=record.applies_id is not None,
        comparison=Comparison(job.comparison),
    )


def _waiver_of(record: SyncRecord) -> Waiver | None:
    return Waiver(**record.hold) if record.guards_waived and record.hold else None


def _evidence(rule: Rule, lease: Lease) -> dict[str, Any]:
    """What the worker knew when it ended the attempt by this rule."""
    snapshot = lease.progress.snapshot
    return {
        "rule": rule.value,
        "by": "worker",
        "owner": lease.claim.owner,
        "stage": snapshot.stage.value,
        "deadline_s": snapshot.deadline_s,
        "worked_s": round(lease.worked_s, 1),
        "files": snapshot.current_file_index,
        "total_files": snapshot.total_files,
        "bytes": snapshot.bytes_transferred,
        "kept_files": snapshot.kept_files,
    }


def _held(held: Held) -> Ending:
    return _plain(
        Event.GUARD_STOPPED,
        held.reason,
        verdict=f"guard.{held.rule}",
        error_code=held.rule,
        error=held.reason,
        hold={"rule": held.rule, "files": held.files},
        guards_waived=False,
        waiting_for="a person, to release or cancel it",
    )


def _planned(outcome: Outcome) -> Ending:
    plan = outcome.plan
    guard = f"; would be held: {outcome.held.reason}" if outcome.held else ""
    return Ending(
        Event.SUCCEEDED,
        f"dry run: nothing was fetched{guard}",
        {
            "verdict": "dry_run",
            "files_added": plan.added,
            "files_changed": plan.changed,
            "files_removed": plan.removed if outcome.removals else 0,
            "files_unchanged": plan.unchanged,
        },
        {},
    )


def _succeeded(outcome: Outcome, published: Published, progress: Progress, warning: str) -> Ending:
    snapshot = progress.snapshot
    changes: dict[str, Any] = {
        "verdict": "ok",
        "files_unchanged": outcome.plan.unchanged + published.same,
        "warning": warning,
    }
    if snapshot.files_failed == 0:
        return Ending(Event.SUCCEEDED, "every file is as the source has it", changes, {})
    first = progress.first_failed
    if first is None:
        raise LookupError("a failed file was counted and not told")
    error = f"{snapshot.files_failed} could not be synced; the first: {first.path}: {first.message}"
    if not outcome.listing_complete:
        error += "; nothing was removed, because the listing is not complete"
    if not published.is_held:
        error += "; nothing was published, because nothing could be had"
        failed = {"verdict": first.code, "error_code": first.code, "error": error}
        return Ending(Event.FAILED, error, changes | failed, {})
    return Ending(
        Event.PARTLY_SUCCEEDED,
        error,
        changes | {"verdict": "partial", "error_code": first.code, "error": error},
        {},
    )


def _published_already(record: SyncRecord) -> Ending:
    """Its plan was applied, and then its worker was lost: a further listing could find more than was
    approved."""
    counted = ("bytes_transferred", "files_failed", "files_skipped", "files_deferred")
    known = {name: getattr(record, name) for name in counted}
    event = Event.PARTLY_SUCCEEDED if record.files_failed else Event.SUCCEEDED
    verdict = "partial" if record.files_failed else "ok"
    return _plain(event, "published by an earlier attempt", verdict=verdict, **known)


def _failed(
    record: SyncRecord,
    progress: Progress,
    code: str,
    message: str,
    *,
    retryable: bool = False,
    cause: TransportError | StoreError | None = None,
) -> Ending:
    if isinstance(cause, TransportError):
        learn_of_host(record, cause, progress)
    # Nothing of what a full disk could not hold is kept.
    further = progress.snapshot.got_further and not isinstance(cause, DiskFull)
    vain = 0 if further else record.vain_attempts + 1
    decision = decide_retry(
        retryable=cause.retryable if cause else retryable,
        attempt=record.attempt,
        vain=vain,
        max_attempts=record.job.max_attempts,
        share=random.random(),  # noqa: S311 — jitter
        retry_after_s=cause.retry_after_s if isinstance(cause, Throttled) else None,
    )
    changes: dict[str, Any] = {"error_code": code, "error": message, "vain_attempts": vain}
    if decision.delay_s is None:
        return Ending(
            Event.FAILED, f"{message} ({decision.reason})", changes | {"verdict": code}, {}
        )
    changes |= {
        "attempt": record.attempt + 1,
        "not_before": Now() + timedelta(seconds=decision.delay_s),
        "waiting_for": f"its next attempt, after: {message}"[:200],
    }
    reason = f"{message}; again in {decision.delay_s:.0f} s ({decision.reason})"
    return Ending(Event.RETRY_SCHEDULED, reason, changes, {"code": code})


def _plain(event: Event, reason: str, **changes: Any) -> Ending:
    return Ending(event, reason, changes, {})


def _finish(held: Claim, progress: Progress, ending: Ending) -> State | None:
    snapshot = progress.snapshot
    last_known = {
        "stage": snapshot.stage,
        "percentage": snapshot.percentage,
        "current_file_index": snapshot.current_file_index,
        "total_files": snapshot.total_files,
        "bytes_transferred": snapshot.bytes_transferred,
        "files_failed": snapshot.files_failed,
        "files_skipped": snapshot.files_skipped,
        "files_deferred": snapshot.files_deferred,
        "deadline_s": snapshot.deadline_s,
        "expected_duration_s": snapshot.expected_s,
    }
    for last_try in (False, True):
        try:
            return move(
                held.record_id,
                ending.event,
                token=held.token,
                reason=ending.reason,
                data=ending.data,
                changes=last_known | ending.changes,
            )
        except _DATABASE_LOST:
            connection.close()
            if last_try:
                raise  # the lease runs out and the reaper decides
    return None
