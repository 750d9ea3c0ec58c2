"""The one place that writes a record's state: a conditional update and an event, or nothing."""

from __future__ import annotations

import uuid
from typing import Any

import structlog
from django.db import IntegrityError, connection, transaction
from django.db.models import DurationField, ExpressionWrapper, F, FloatField
from django.db.models.functions import Cast, Coalesce, Extract, Now
from django.utils import timezone

from connectors.models import Connector
from events.writing import NewEvent, write_events
from farends.errors import needs_person
from farends.names import printable
from syncjobs.core.retries import decide_pause
from syncjobs.core.states import FINAL, MOVES, Event, Refusal, State, decide
from syncjobs.models import SyncJob, SyncMode, SyncRecord, Trigger
from syncjobs.records.following import tell_followers
from syncjobs.records.lines import log_end_from_outside
from syncjobs.records.rescheduling import plan_anew

log = structlog.get_logger(__name__)

INTERNAL = "internal"  # an error of ours
QUARANTINED = "quarantined"


class IllegalMove(Exception):
    """The event has no meaning in the record's state; the message says both."""


def move(
    record_id: uuid.UUID,
    event: Event,
    *,
    token: int | None = None,
    reason: str = "",
    data: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> State | None:
    """Applies an event; the new state, or None where the record has moved on without us.

    With `token`, only the holder of that claim may move the record. `changes` are further fields of
    the same update. Raises IllegalMove.
    """
    with transaction.atomic():
        record = _lock(record_id)
        if record is None or (token is not None and record.token != token):
            return None
        moved = move_locked(record, event, reason=reason, data=data, changes=changes)
        if moved in FINAL and token is None:  # else its worker says so, which knows more
            log_end_from_outside(record_id)
        return moved


# What `move_locked` looks at. The statements of every move are written out: each record goes through them
# several times, and the model's own, of sixty columns, take longer to make than to run.
NEEDED = frozenset(
    [
        "id",
        "state",
        "token",
        "mode",
        "dry_run",
        "trigger",
        "applies_id",
        "backfill_id",
        "cancel_asked_at",
        "job_id",
        "connector_id",
        "workspace_id",
    ]
)


def list_columns(names: frozenset[str]) -> tuple[str, ...]:
    """Lists columns in the order in which a record is made of them."""
    return tuple(
        field.attname for field in SyncRecord._meta.concrete_fields if field.attname in names
    )


_COLUMNS = list_columns(NEEDED)
_LOCK = f"""
SELECT {", ".join(_COLUMNS)} FROM syncjobs_syncrecord WHERE id = %s FOR NO KEY UPDATE
"""  # noqa: S608 — names of columns


def _lock(record_id: uuid.UUID) -> SyncRecord | None:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK, [record_id])
        row = cursor.fetchone()
    return None if row is None else SyncRecord.from_db(connection.alias, _COLUMNS, row)


def move_locked(
    record: SyncRecord,
    event: Event,
    *,
    reason: str = "",
    data: dict[str, Any] | None = None,
    changes: dict[str, Any] | None = None,
) -> State | None:
    """Like `move`, for a caller that has the record's row locked, as it is in the database."""
    state = State(record.state)
    event = _obey_cancel(record, event)
    target = decide(state, event)
    if target is Refusal.ILLEGAL:
        raise IllegalMove(f"a {state} record cannot be {event}")
    if not isinstance(target, State):
        return None
    texts = {
        name: printable(text) for name, text in (changes or {}).items() if isinstance(text, str)
    }
    fields = (changes or {}) | texts | _implied(state, target, changes or {})
    _write(record, fields)
    ended = target in FINAL and event is not Event.COALESCED
    if ended and (paused := _tell_owners(record, target, fields)):
        reason = f"{reason}; the job is paused: {paused}"
    _note(record, event, target, token=fields.get("token", record.token), reason=reason, data=data)
    log.info(
        "record.moved", record=str(record.pk), event_name=event, state=target, reason=reason or None
    )
    return target


def _obey_cancel(record: SyncRecord, event: Event) -> Event:
    """A cancel that was asked for meanwhile wins over whatever would keep the record alive."""
    goes_on = MOVES[event].target in (State.QUEUED, State.HELD)
    if record.state == State.RUNNING and record.cancel_asked_at is not None and goes_on:
        return Event.STOPPED
    return event


def _write(record: SyncRecord, fields: dict[str, Any]) -> None:
    """The conditional update. Another record may take the queue's place between look and write."""
    row = SyncRecord.either.filter(pk=record.pk, state=record.state, token=record.token)
    if fields["state"] is not State.QUEUED:
        row.update(**fields)
        return
    for last_try in (False, True):
        if not _is_apart(record):
            _yield_queue_place(record, fields)
        try:
            with transaction.atomic():
                row.update(**fields)
        except IntegrityError:
            if last_try:
                raise
        else:
            return


def _is_apart(record: SyncRecord) -> bool:
    """Whether it takes no place in its job's queue, where one record waits at most."""
    is_redrive = record.trigger == Trigger.REDRIVE
    return bool(record.dry_run or record.applies_id or record.backfill_id or is_redrive)


def _note(
    record: SyncRecord,
    event: Event,
    target: State,
    *,
    token: int,
    reason: str,
    data: dict[str, Any] | None,
) -> None:
    told = NewEvent(
        event=event,
        workspace_id=record.workspace_id,
        record_id=record.pk,
        from_state=record.state,
        to_state=target,
        token=token,
        reason=reason,
        data=data or {},
    )
    write_events([told])


# With what the attempt that ends now has worked. What a record waits in between costs it nothing.
_WORKED_S = Coalesce(F("worked_s"), 0.0) + Coalesce(
    Cast(
        Extract(ExpressionWrapper(Now() - F("claimed_at"), DurationField()), "epoch"), FloatField()
    ),
    0.0,
)


def _implied(source: State, target: State, changes: dict[str, Any]) -> dict[str, Any]:
    """What a move means for the other columns, whatever else its caller changes."""
    waits = target in (State.QUEUED, State.HELD)
    waiting_for = changes.get("waiting_for", "a worker") if waits else ""
    fields: dict[str, Any] = {"state": target, "waiting_for": waiting_for}
    if source is State.RUNNING and target is not State.RUNNING:
        fields |= {"lease_owner": None, "lease_expires_at": None}
        fields |= {"heartbeat_at": None, "progress_at": None, "bytes_per_s": None}
        fields |= {"claimed_at": None, "worked_s": _WORKED_S}
    if target is State.QUEUED:
        fields |= {"rung_at": None, "stage": ""}
    if target in FINAL:
        fields |= {"finished_at": Now()}
    if target in (State.SUCCEEDED, State.PARTIAL):
        fields |= {"percentage": 100}
    return fields


def _yield_queue_place(record: SyncRecord, fields: dict[str, Any]) -> None:
    """A record that goes back to the queue serves the fire of the one that waits behind it, in full
    where that one was to be."""
    waiting = (
        SyncRecord.objects.select_for_update(no_key=True)
        .filter(job_id=record.job_id, state=State.QUEUED, applies_id=None)
        .filter(backfill=None)
        .exclude(trigger=Trigger.REDRIVE)
        .exclude(pk=record.pk)
        .first()
    )
    if waiting is not None:
        if waiting.mode == SyncMode.FULL:
            fields["mode"] = SyncMode.FULL
        move(
            waiting.pk, Event.COALESCED, reason=f"record {record.pk} is queued again and serves it"
        )


def _tell_owners(record: SyncRecord, state: State, fields: dict[str, Any]) -> str:
    """The job and the connector show how their latest sync ended; a cancel says nothing of them, nor does a dry run.

    Why the job pauses now; empty where it goes on.
    """
    if record.dry_run:
        return ""
    paused = "" if state is State.CANCELLED else _show(record, state, fields)
    tell_followers(record.job_id, record.pk, state)
    return paused


_SUCCEEDED = """
WITH was AS (SELECT id, paused_at FROM syncjobs_syncjob WHERE id = %s FOR NO KEY UPDATE)
UPDATE syncjobs_syncjob j
   SET last_run_at = now(), last_success_at = now(), last_error = %s, failures_in_a_row = 0, paused_at = NULL, paused_reason = ''
  FROM was WHERE j.id = was.id
RETURNING was.paused_at IS NOT NULL
"""


def _show(record: SyncRecord, state: State, fields: dict[str, Any]) -> str:
    """Why the job pauses now; empty where it goes on."""
    error = str(fields.get("error", ""))
    succeeded = {"last_sync_at": Now()} if state in (State.SUCCEEDED, State.PARTIAL) else {}
    if record.connector_id is not None:
        Connector.objects.filter(pk=record.connector_id).update(
            last_attempt_at=Now(), last_sync_status=state, last_sync_error=error, **succeeded
        )
    # The connector first: whoever changes both does it in that order.
    if succeeded:
        _note_success(record, error)
        return ""
    SyncJob.objects.filter(pk=record.job_id).update(last_run_at=Now(), last_error=error)
    code = str(fields.get("error_code", ""))
    if not (needs_person(code) or code in (INTERNAL, QUARANTINED)):
        return ""
    return _count_failure(record, code, error)


def _note_success(record: SyncRecord, error: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_SUCCEEDED, [record.job_id, error])
        row = cursor.fetchone()
    if row is not None and row[0]:  # it was paused, and works again
        job = SyncJob.objects.get(pk=record.job_id)
        SyncJob.objects.filter(pk=job.pk, enabled=True).update(next_run_at=plan_anew(job))


def _count_failure(record: SyncRecord, code: str, error: str) -> str:
    """A job is paused when so many of its records in a row failed as waiting does not help against; at
    once where a record has cost several workers their lives."""
    job = SyncJob.objects.select_for_update(no_key=True).get(pk=record.job_id)
    job.failures_in_a_row += 1
    changed = ["failures_in_a_row"]
    reason = ""
    if job.paused_at is None:
        reason = decide_pause(
            failures=job.failures_in_a_row,
            most=job.pause_after_failures,
            deadly=code == QUARANTINED,
            last_error=error,
        )
    if reason:
        job.paused_at, job.paused_reason, job.next_run_at = timezone.now(), reason, None
        changed += ["paused_at", "paused_reason", "next_run_at"]
        log.error("job.paused", job=str(job.pk), reason=reason)
    job.save(update_fields=changed)
    return reason
