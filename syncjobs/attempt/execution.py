"""A queued record from claim to what follows: the only place that turns an error into an event.

What is done meanwhile is a `Work`, chosen by the kind of the far end.
"""

from __future__ import annotations

import uuid

import structlog
from django.db import connection

from connectors.opening import read_granted_silence_s
from database.away import LOST
from syncjobs.attempt.endings import end_of_error, end_of_stop
from syncjobs.attempt.suspecting import suspect
from syncjobs.claims.claiming import claim
from syncjobs.claims.leasing import RECORDS
from syncjobs.core.deadlines import Allowance
from syncjobs.core.states import State
from syncjobs.engine.progress import Progress
from syncjobs.engine.stops import Stop
from syncjobs.leases.heart import Heart
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncRecord
from syncjobs.queries.durations import read_history, spent_s
from syncjobs.queries.rules import deadline_rule
from syncjobs.records.lines import EndLine, log_end, log_start
from syncjobs.records.transition import move
from syncjobs.works.contract import Assignment, Claim, Ending
from syncjobs.works.table import get_work

log = structlog.get_logger(__name__)


def execute(record_id: uuid.UUID, heart: Heart) -> State | None:
    """Works on one record; the state it is left in, or None where there was nothing to do."""
    line = execute_attempt(record_id, heart)
    return None if line is None else State(line.state)


def execute_attempt(record_id: uuid.UUID, heart: Heart) -> EndLine | None:
    """The same, with how the attempt ended. None also where the record's lease was lost."""
    held = claim(record_id, heart.owner)
    if held is None:
        return None
    lease = heart.hold(RECORDS, held, Progress())
    with structlog.contextvars.bound_contextvars(record=str(record_id)):
        try:
            found = SyncRecord.either.select_related("job", "connector", "workspace")
            record = found.get(pk=held.record_id)
            ending = _attempt(record, held, lease)
            heart.release(lease)  # from here the lease's last renewal covers us
            if ending is None or (state := _finish(held, lease.progress, ending)) is None:
                return None
            line = _describe_end(record, lease, ending, state)
            log_end(record_id, line)
            return line
        finally:
            heart.release(lease)


def _describe_end(record: SyncRecord, lease: Lease, ending: Ending, state: State) -> EndLine:
    seen = lease.progress.snapshot
    return EndLine(
        job=record.job.name,
        workspace=record.workspace.name,
        state=state.value,
        attempt=record.attempt,
        timeout_s=seen.deadline_s,
        duration_s=(record.worked_s or 0.0) + lease.worked_s,
        files=seen.current_file_index,
        bytes=seen.bytes_transferred,
        error_code=ending.changes.get("error_code") or None,
        error=ending.changes.get("error") or None,
    )


def _attempt(record: SyncRecord, held: Claim, lease: Lease) -> Ending | None:
    """Returns None if the lease is lost: the worker that holds it now decides."""
    if record.connector is not None:
        lease.patience_s = read_granted_silence_s(record.connector.options)
    try:
        lease.progress.resume(
            percentage=record.percentage,
            files=record.current_file_index,
            total_files=record.total_files,
            total_bytes=record.total_bytes,
            bytes_done=record.bytes_done,
        )
        allowance = _allow(record)
        # Until the work knows what there is to do, and says so.
        lease.progress.expect(allowance.deadline_s(), allowance.expected_s())
        log_start(record, allowance.deadline_s())
        ending = get_work(record.connector).run(Assignment(record, held, lease, allowance))
    except Stop as stop:
        return end_of_stop(record, lease, stop)
    except Exception as exc:  # noqa: BLE001 — the one place where any error becomes an event
        return end_of_error(record, lease, exc)
    return suspect(record, lease.progress, ending)


def _allow(record: SyncRecord) -> Allowance:
    return Allowance(
        rule=deadline_rule(),
        own_s=record.job.timeout_s,
        past=read_history(record.job_id, record.mode),
        spent_s=spent_s(record.pk),
    )


def _finish(held: Claim, progress: Progress, ending: Ending) -> State | None:
    snapshot = progress.snapshot
    last_known = {told.name: told.of(snapshot) for told in RECORDS.told}
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
        except LOST:
            connection.close()
            if last_try:
                raise  # the lease runs out and the reaper decides
    return None
