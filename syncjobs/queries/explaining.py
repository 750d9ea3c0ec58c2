"""Explains why a record waits, stopped or failed: facts as values, for commands, the console and programs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max, QuerySet

from datasets.models import Version
from events.models import SyncEvent
from syncjobs.core.advice import next_steps
from syncjobs.core.retries import CRASHES_MAX
from syncjobs.core.states import Event, State
from syncjobs.core.stuck import Finding, find_stuck, stage_words
from syncjobs.models import ProcessSign, SyncRecord
from syncjobs.queries.durations import spent_s
from syncjobs.queries.rules import stuck_limits
from syncjobs.queries.signs import look_at
from timing.clock import database_now

EVENTS_SHOWN = 20
PREFIX_MIN = 4
AWAY_S = 60


class NoSuchRecord(LookupError):
    """There is no record of this id."""


class AmbiguousRecord(LookupError):
    """Several records have an id that begins so."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Something that a record waits for; `until` where that is known."""

    what: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Attempts:
    number: int
    most: int
    without_progress: int
    workers_lost: int
    workers_lost_most: int
    worked_s: float  # by attempts that have ended


@dataclass(frozen=True, slots=True)
class Movement:
    """A running record's signs of life, as ages in seconds, and what each is held to."""

    owner: str
    stage: str
    heartbeat_s: float
    lease_left_s: float
    progress_s: float | None
    progress_limit_s: float
    worked_s: float | None
    deadline_s: float | None
    expected_s: float | None
    stuck_by: str  # the rule that would take it back now; empty: none


@dataclass(frozen=True, slots=True)
class Moment:
    at: datetime
    event: str
    reason: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """`summary` is the answer in one sentence; `verdict` the rule that decided last, `evidence` what it
    was decided by; `next_steps` what a person can do."""

    id: uuid.UUID
    job: str
    workspace: str
    state: str
    since: datetime
    summary: str
    waits: tuple[Wait, ...]
    verdict: str
    error_code: str
    error: str
    attempts: Attempts
    movement: Movement | None
    evidence: dict[str, Any]
    next_steps: tuple[str, ...]
    events: tuple[Moment, ...] = field(default=())

    def as_json(self) -> dict[str, Any]:
        told: dict[str, Any] = _plain(asdict(self))
        return told


def find_record(text: str, *, workspace_ids: Sequence[uuid.UUID] | None = None) -> SyncRecord:
    """Finds a record by its id, or by a beginning of the id that only one record has; in these workspaces, or in all.

    Raises NoSuchRecord, AmbiguousRecord.
    """
    digits = text.strip().lower().replace("-", "")
    if not PREFIX_MIN <= len(digits) <= 32 or set(digits) - set("0123456789abcdef"):
        raise NoSuchRecord(
            f"{text!r} is no id of a record: give it, or at least its first {PREFIX_MIN} digits"
        )
    rows: QuerySet[SyncRecord] = SyncRecord.either.filter(
        pk__gte=uuid.UUID(digits.ljust(32, "0")), pk__lte=uuid.UUID(digits.ljust(32, "f"))
    )
    if workspace_ids is not None:
        rows = rows.filter(workspace__in=workspace_ids)
    found = list(rows.select_related("job", "connector", "workspace").order_by("pk")[:5])
    if not found:
        raise NoSuchRecord(f"there is no record {text}")
    if len(found) > 1:
        known = ", ".join(str(record.pk) for record in found)
        raise AmbiguousRecord(f"several records begin with {text}: {known}")
    return found[0]


def explain(record: SyncRecord) -> Explanation:
    events = list(record.events.order_by("-id")[:EVENTS_SHOWN])
    ended = _last_ending(record, events)
    movement, finding = _movement(record)
    waits = tuple(_waits(record))
    code = record.error_code or record.verdict
    return Explanation(
        id=record.pk,
        job=record.job.name,
        workspace=record.workspace.name,
        state=record.state,
        since=_since(record, events),
        summary=_summary(record, waits, movement, finding, ended),
        waits=waits,
        verdict=record.verdict,
        error_code=record.error_code,
        error=record.error,
        attempts=Attempts(
            number=record.attempt,
            most=record.job.max_attempts,
            without_progress=record.vain_attempts,
            workers_lost=record.crash_count,
            workers_lost_most=CRASHES_MAX,
            worked_s=round(spent_s(record.pk), 1),
        ),
        movement=movement,
        evidence=_evidence(record, ended, finding),
        next_steps=_steps(record, code) or _steps_of_state(record),
        events=tuple(Moment(event.at, event.event, event.reason) for event in events[::-1]),
    )


def _steps(record: SyncRecord, code: str) -> tuple[str, ...]:
    steps = next_steps(code)
    if record.state == State.QUEUED and record.error_code:
        until = record.tries_until
        words = f" until {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
        return (f"Nothing, unless it lasts: it tries again by itself{words}.", *steps)
    if record.state in (State.FAILED, State.TIMED_OUT) and steps:
        job = record.job
        fire = job.next_run_at if job.enabled and job.paused_at is None else None
        words = f", or wait for its next fire at {fire:%Y-%m-%d %H:%M:%S} UTC" if fire else ""
        return (*steps, f"Then run the job again{words}: this record has ended.")
    return steps


def _last_ending(record: SyncRecord, latest: Sequence[SyncEvent]) -> SyncEvent | None:
    """How the latest attempt that has ended came to its end."""
    for event in latest:
        if event.from_state == State.RUNNING != event.to_state:
            return event
    if len(latest) < EVENTS_SHOWN:
        return None
    left = record.events.filter(from_state=State.RUNNING).exclude(to_state=State.RUNNING)
    return left.order_by("-id").first()


def _since(record: SyncRecord, events: Sequence[SyncEvent]) -> datetime:
    """When it came into its state."""
    moved = (event.at for event in events if event.from_state != event.to_state)
    return next(moved, record.queued_at)


def _movement(record: SyncRecord) -> tuple[Movement | None, Finding | None]:
    seen = look_at(record.pk) if record.state == State.RUNNING else None
    if seen is None:
        return None, None
    signs, limits = seen.signs, stuck_limits()
    finding = find_stuck(signs, limits)
    return (
        Movement(
            owner=seen.owner,
            stage=signs.stage,
            heartbeat_s=round(signs.heartbeat_s, 1),
            lease_left_s=round(-signs.lease_ran_out_s, 1),
            progress_s=_rounded(signs.progress_s),
            progress_limit_s=limits.stall.limit_s(signs.stage, patience_s=signs.patience_s),
            worked_s=_rounded(signs.worked_s),
            deadline_s=_rounded(signs.deadline_s),
            expected_s=_rounded(record.expected_duration_s),
            stuck_by=finding.rule.value if finding else "",
        ),
        finding,
    )


def _waits(record: SyncRecord) -> list[Wait]:
    if record.state == State.HELD:
        return [Wait("a person, to release or cancel it")]
    if record.state == State.RUNNING:
        return [Wait("its worker, to obey a cancel")] if record.cancel_asked_at else []
    if record.state != State.QUEUED:
        return []
    now = database_now()
    waits = []
    if record.not_before is not None and record.not_before > now:
        told = record.waiting_for.partition("; until ")[0]
        told = "its next attempt" if told in ("", "a worker") else told
        waits.append(Wait(told, record.not_before))
    other = SyncRecord.either.filter(job=record.job_id, state=State.RUNNING).first()
    if other is not None:
        waits.append(Wait(f"the running record of the same job, {other.pk}", _due_end(other)))
    return waits or [Wait((record.waiting_for or "a worker") + _workers_away(now))]


def _workers_away(now: datetime) -> str:
    """Says that worker processes were seen, and none lately; empty where that is not so."""
    seen_at = ProcessSign.objects.filter(part="worker").aggregate(latest=Max("seen_at"))["latest"]
    if seen_at is None or (now - seen_at).total_seconds() < AWAY_S:
        return ""
    return f"; none was seen since {seen_at:%Y-%m-%d %H:%M:%S} UTC"


def _due_end(record: SyncRecord) -> datetime | None:
    claimed = record.events.filter(event=Event.CLAIMED).order_by("-id").first()
    if claimed is None or record.deadline_s is None:
        return None
    return claimed.at + timedelta(seconds=record.deadline_s)


def _summary(
    record: SyncRecord,
    waits: Sequence[Wait],
    movement: Movement | None,
    finding: Finding | None,
    ended: SyncEvent | None,
) -> str:
    if movement is not None:
        words = f"Running, {stage_words(movement.stage)}"
        if finding is not None:
            return f"{words}; stuck: {finding.words}. It is about to be taken back."
        moved = (
            "" if movement.progress_s is None else f"; last moved {movement.progress_s:.0f} s ago"
        )
        return f"{words}{moved}, its worker said so {max(0, movement.heartbeat_s):.0f} s ago."
    if record.state == State.QUEUED:
        until = waits[0].until
        when = f" until {until:%Y-%m-%d %H:%M:%S} UTC" if until else ""
        return f"Waits for {waits[0].what}{when}."
    if record.state == State.HELD:
        return f"Held by a guard: {record.error or record.verdict}."
    ending = ended or record.events.order_by("-id").first()
    reason = record.error or (ending.reason if ending else "") or record.verdict
    ended_so = f"{record.state.replace('_', ' ').capitalize()}: {reason.rstrip('.')}."
    return f"{ended_so}{_tell_removed(record)}"


def _tell_removed(record: SyncRecord) -> str:
    """What has become of the version that the dataset had when the record ended; empty while it is kept."""
    if record.dataset_version is None:
        return ""
    rows = Version.either.filter(dataset=record.job.dataset_id, number=record.dataset_version)
    version = rows.exclude(expired_at=None).select_related("dataset").first()
    if version is None:
        return ""
    if version.dataset.deleted_at is not None:
        return f" The dataset was deleted on {version.dataset.deleted_at:%Y-%m-%d}."
    return f" Version {version.number} was removed on {version.expired_at:%Y-%m-%d}: it is not kept any more."


def _tell_hold(hold: dict[str, Any]) -> dict[str, Any]:
    """The rule, and what it spoke of: files, or rows and columns of each table."""
    if "tables" not in hold:
        return {"rule": hold["rule"], "files": hold["files"]}
    told: dict[str, Any] = {"rule": hold["rule"], "rows": hold["files"]}
    for name, table in hold["tables"].items():
        changes = [
            f"{change['column']} {change['change']}: {change['from']} -> {change['to']}"
            for change in table["schema_changes"]
        ]
        told[name] = "; ".join([table["reason"], *changes])
    return told


def _evidence(
    record: SyncRecord, ended: SyncEvent | None, finding: Finding | None
) -> dict[str, Any]:
    if finding is not None:
        measured = {"seconds": round(finding.seconds, 1), "limit_s": finding.limit_s}
        return {"rule": finding.rule.value, "words": finding.words} | measured
    if record.state == State.HELD and record.hold:
        return _tell_hold(record.hold)
    if ended is None:
        return {}
    data: dict[str, Any] = ended.data
    return {"event": ended.event, "at": ended.at.isoformat(), "reason": ended.reason} | data


def _steps_of_state(record: SyncRecord) -> tuple[str, ...]:
    match record.state:
        case State.HELD:
            return ("Look at the reason, then release or cancel it.",)
        case State.QUEUED if not record.waiting_for or record.waiting_for == "a worker":
            return ("Nothing, unless it waits for long: then look whether workers and beat run.",)
        case _:
            return ()


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case list() | tuple():
            return [_plain(item) for item in value]
        case datetime():
            return value.isoformat()
        case uuid.UUID():
            return str(value)
        case _:
            return value
