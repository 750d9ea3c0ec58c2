"""Approves a dry run's plan: queues a record that does exactly this plan, or nothing."""

from __future__ import annotations

from django.db import IntegrityError, transaction

from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger


class NoPlan(Exception):
    """The record has no plan that could be applied."""


class AlreadyApplied(Exception):
    """The plan has a record already; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"record {record.pk} applies this plan already, and is {record.state}")
        self.record = record


def approve(plan: SyncRecord, *, by: str) -> SyncRecord:
    """A queued record that is bound to the plan of a finished dry run.

    The guard that the plan showed is waived, up to what it showed. Raises NoPlan, AlreadyApplied.
    """
    if not has_plan(plan) or plan.plan is None:
        raise NoPlan("only the plan of a finished dry run can be applied")
    guard = plan.plan["guard"]
    try:
        with transaction.atomic():
            return SyncRecord.objects.create(
                workspace_id=plan.workspace_id,
                job=plan.job,
                connector_id=plan.job.connector_id,
                address=plan.job.connector.address,
                dialled=plan.job.connector.dialled,
                trigger=Trigger.MANUAL,
                mode=plan.mode,
                plan=plan.plan,
                applies_id=plan.pk,
                hold={"rule": guard["rule"], "files": guard["files"]} if guard else None,
                guards_waived=guard is not None,
                waiting_for="a worker",
                requested_by=by,
            )
    except IntegrityError:
        applied = find_applied(plan)
        if applied is None:  # it ended meanwhile without having been applied, or the job is gone
            raise
        raise AlreadyApplied(applied) from None


def has_plan(record: SyncRecord) -> bool:
    return record.dry_run and record.plan is not None and record.state == State.SUCCEEDED


def find_applied(plan: SyncRecord) -> SyncRecord | None:
    """The record that applies this plan, or has."""
    over = (State.FAILED, State.TIMED_OUT, State.CANCELLED)
    return SyncRecord.objects.filter(applies_id=plan.pk).exclude(state__in=over).first()


def find_approved(record: SyncRecord) -> SyncRecord | None:
    """The dry run whose plan this record applies, where it is still there."""
    if record.applies_id is None:
        return None
    return SyncRecord.objects.filter(pk=record.applies_id).first()
