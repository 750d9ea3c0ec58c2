"""What people ask of a record: to cancel it, to release it, to apply its plan."""

from __future__ import annotations

import hashlib
import json
import uuid
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Coalesce, Now

from connectors.models import Connector, ConnectorStatus
from syncjobs.core.states import FINAL, Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.records.transition import move
from workspaces import auditing


def cancel(record_id: uuid.UUID, *, by: str) -> bool:
    """Asks for the end of a record; False where it has ended already."""
    with transaction.atomic():
        record = SyncRecord.either.select_for_update(no_key=True).filter(pk=record_id).first()
        if record is None or record.state in FINAL:
            return False
        if record.state == State.RUNNING:
            SyncRecord.either.filter(pk=record_id).update(
                cancel_asked_at=Coalesce("cancel_asked_at", Now()), cancel_asked_by=by
            )
        elif move(record_id, Event.CANCELLED, reason=f"cancelled by {by}") is None:
            return False
        auditing.note_act(record, "cancelled", {"state": [record.state, State.CANCELLED]})
    return True


class ConnectorPaused(Exception):
    """A person paused the connector: nothing is synced from it until it is active again."""

    def __init__(self, name: str) -> None:
        super().__init__(f"connector {name} is paused: make it active first")


def refuse_paused(job: SyncJob) -> None:
    """Raises ConnectorPaused."""
    if job.connector_id is None:
        return
    paused = Connector.objects.filter(pk=job.connector_id, status=ConnectorStatus.PAUSED)
    if (name := paused.values_list("name", flat=True).first()) is not None:
        raise ConnectorPaused(name)


class AnswerNeeded(Exception):
    """A schema has changed, and a person must say what becomes of the column; or the answer fits no question."""


class PlanChanged(Exception):
    """What the record would do now is not what the person has seen."""

    def __init__(self) -> None:
        super().__init__("the plan has changed since it was shown: look at it again")


def digest_of_hold(hold: dict[str, Any] | None) -> str:
    """One value for what a guard has stopped; empty where it stopped nothing."""
    if not hold:
        return ""
    plan: dict[str, Any] = hold.get("plan") or {}
    digest: str | None = plan.get("digest")
    return digest or hashlib.sha256(json.dumps(hold, sort_keys=True).encode()).hexdigest()


def release(
    record_id: uuid.UUID, *, by: str, schema_changes: str | None = None, seen: str | None = None
) -> bool:
    """Queues a held record again; False where it was cancelled meanwhile. `schema_changes` is one of what a changed
    schema offers; `seen` the digest of what the person was shown. Raises IllegalMove, AnswerNeeded, PlanChanged."""
    with transaction.atomic():
        record = _lock(record_id)
        if record is None:
            return False
        _check_seen(record, seen)
        changes: dict[str, Any] = {"guards_waived": True, "verdict": "released"}
        if record.state == State.HELD:
            _need_answer(record.hold or {}, schema_changes)
        if schema_changes is not None:
            changes["hold"] = {**(record.hold or {}), "answer": schema_changes}
        reason = f"released by {by}" + (f": {schema_changes}" if schema_changes else "")
        moved = move(record_id, Event.RELEASED, reason=reason, changes=changes)
        if moved is not None:
            answered = {} if schema_changes is None else {"schema_changes": [None, schema_changes]}
            _note_decision(record, "released", answered)
    return moved is not None


def discard(record_id: uuid.UUID, *, by: str, seen: str | None = None) -> bool:
    """Ends a held record without any change; False where nothing is held any more. Raises PlanChanged."""
    with transaction.atomic():
        record = _lock(record_id)
        if record is None or record.state != State.HELD:
            return False
        _check_seen(record, seen)
        moved = move(record_id, Event.CANCELLED, reason=f"discarded by {by}")
        if moved is not None:
            _note_decision(record, "discarded")
    return moved is not None


def _lock(record_id: uuid.UUID) -> SyncRecord | None:
    rows = SyncRecord.either.select_for_update(no_key=True, of=("self",))
    return rows.select_related("job", "workspace").filter(pk=record_id).first()


def _check_seen(record: SyncRecord, seen: str | None) -> None:
    if seen is not None and record.state == State.HELD and seen != digest_of_hold(record.hold):
        raise PlanChanged


def _note_decision(record: SyncRecord, decision: str, more: dict[str, Any] | None = None) -> None:
    hold = record.hold or {}
    told = {"rule": [None, hold.get("rule")], "removed": [None, hold.get("files")]}
    auditing.note(record, decision, told | {"plan": [None, digest_of_hold(hold)]} | (more or {}))


def _need_answer(hold: dict[str, Any], answer: str | None) -> None:
    tables: dict[str, Any] = hold.get("tables") or {}
    asked = [change for table in tables.values() for change in table["schema_changes"]]
    offers = {offer for change in asked for offer in change["offers"]}
    if not offers and answer is not None:
        raise AnswerNeeded("no schema has changed: release it without schema_changes")
    if offers and answer not in offers:
        names = ", ".join(sorted(f"{change['table']}.{change['column']}" for change in asked))
        raise AnswerNeeded(
            f"say what becomes of {names}: release it with schema_changes, one of {', '.join(sorted(offers))}"
        )


class NoPlan(Exception):
    """The record has no plan that could be applied."""


class AlreadyApplied(Exception):
    """The plan has a record already; `record` is that one."""

    def __init__(self, record: SyncRecord) -> None:
        super().__init__(f"record {record.pk} applies this plan already, and is {record.state}")
        self.record = record


def approve(plan: SyncRecord, *, by: str) -> SyncRecord:
    """A queued record that is bound to the plan of a finished dry run.

    The guard that the plan showed is waived, up to what it showed. Raises NoPlan, AlreadyApplied, ConnectorPaused.
    """
    if not has_plan(plan) or plan.plan is None:
        raise NoPlan(_tell_why_none(plan))
    guard: dict[str, Any] | None = plan.plan["guard"]
    try:
        with transaction.atomic():
            refuse_paused(plan.job)
            made = SyncRecord.objects.create(
                workspace_id=plan.workspace_id,
                job=plan.job,
                connector_id=plan.job.connector_id,
                source_dataset_id=plan.job.source_dataset_id,
                address=plan.job.address,
                dialled=plan.job.dialled,
                trigger=Trigger.MANUAL,
                mode=plan.mode,
                plan=plan.plan,
                applies_id=plan.pk,
                hold={name: guard[name] for name in _WAIVED if name in guard} if guard else None,
                guards_waived=guard is not None,
                waiting_for="a worker",
                requested_by=by,
            )
            auditing.note_act(plan, "approved", {"record": [None, str(made.pk)]})
            return made
    except IntegrityError:
        applied = find_applied(plan)
        if applied is None:  # it ended meanwhile without having been applied, or the job is gone
            raise
        raise AlreadyApplied(applied) from None


_WAIVED = ("rule", "files", "tables")  # of the guard that a plan shows; tables: of rows


def has_plan(record: SyncRecord) -> bool:
    """Whether the record has a plan that can be applied: of rows it has at least one table."""
    ended = record.dry_run and record.state == State.SUCCEEDED
    return ended and record.plan is not None and record.plan.get("tables") != {}


def _tell_why_none(record: SyncRecord) -> str:
    waiting: dict[str, Any] = (record.plan or {}).get("not_planned") or {}
    if record.dry_run and record.state == State.SUCCEEDED and waiting:
        name, told = next(iter(waiting.items()))
        return (
            f"this plan has no rows to apply: {name}: {told['error'] or told['code']}. Run the job, and decide"
            " on its record"
        )
    return "only the plan of a finished dry run can be applied"


def find_applied(plan: SyncRecord) -> SyncRecord | None:
    """The record that applies this plan, or has."""
    over = (State.FAILED, State.TIMED_OUT, State.CANCELLED)
    return SyncRecord.objects.filter(applies_id=plan.pk).exclude(state__in=over).first()


def find_approved(record: SyncRecord) -> SyncRecord | None:
    """The dry run whose plan this record applies, where it is still there."""
    if record.applies_id is None:
        return None
    return SyncRecord.plans.filter(pk=record.applies_id).first()
