"""Repeats a record that did not succeed, as a new record with the same request and plan."""

from __future__ import annotations

from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncMode, SyncRecord
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.approving import NoPlan, approve, find_approved


class NothingToRetry(Exception):
    """The record has not failed; the message says what to do instead."""


def retry(record: SyncRecord, *, by: str) -> SyncRecord:
    """A queued record of the same job. Raises NothingToRetry, and what `request_sync` raises; of a record
    that applies a plan, NoPlan and AlreadyApplied."""
    if record.state == State.HELD:
        raise NothingToRetry("A guard holds it: release it, or cancel it.")
    if record.state not in FINAL:
        raise NothingToRetry(f"It is {record.state}: wait for its end, or cancel it.")
    if record.state == State.SUCCEEDED:
        raise NothingToRetry("It has succeeded: run its job for a further one.")
    if record.applies_id is None:
        mode = SyncMode(record.mode)
        return request_sync(record.job, by=by, mode=mode, dry_run=record.dry_run)
    plan = find_approved(record)
    if plan is None:
        raise NoPlan("the dry run whose plan it applies is gone")
    return approve(plan, by=by)
