"""What the page of one sync record shows; cheap enough to be asked every two seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.safestring import SafeString

from console.charts import TimeSpan, draw_progress, draw_spans
from console.job_page import tell_outcome
from console.labels import seconds_taken
from console.words import NOTHING, size_words, span_words
from datasets.models import Version
from events.models import SyncEvent
from farends.errors import is_transport_code
from farends.registry import SPECS
from farends.spec import ROWS
from syncjobs.core.states import Event, Stage, State
from syncjobs.models import AfterPublish, ItemAction, SyncItem, SyncRecord
from syncjobs.queries.explaining import Explanation, explain
from syncjobs.queries.progress import estimate_remaining_s
from syncjobs.records.asking import find_applied, find_approved

EVENTS_SHOWN = 60
FILES_SHOWN = 12  # of each action
FILES_PAGE = 100
LANES_MAX = 6
_LOST = (Event.LEASE_EXPIRED, Event.INTERRUPTED, Event.QUARANTINED)
_ORDER = (
    ItemAction.FAILED,
    ItemAction.ADDED,
    ItemAction.CHANGED,
    ItemAction.REMOVED,
    ItemAction.SKIPPED,
    ItemAction.DEFERRED,
    ItemAction.LEFT,
    ItemAction.DELETED,
    ItemAction.MOVED,
)


# What happened, as people say it.
_EVENTS: dict[str, str] = {
    Event.CLAIMED: "Started",
    Event.SUCCEEDED: "Succeeded",
    Event.PARTLY_SUCCEEDED: "Succeeded in part",
    Event.GUARD_STOPPED: "The guard stopped it",
    Event.FAILED: "Failed",
    Event.RETRY_SCHEDULED: "Tries again later",
    Event.GAVE_UP: "Gave up waiting",
    Event.GAVE_UP_PARTLY: "Gave up waiting",
    Event.DEADLINE_PASSED: "Ran out of time",
    Event.INTERRUPTED: "Was interrupted; this costs no attempt",
    Event.LEASE_EXPIRED: "Its worker was lost; this costs no attempt",
    Event.QUARANTINED: "Was stopped: it has cost several workers",
    Event.STOPPED: "Was cancelled",
    Event.CANCELLED: "Was cancelled",
    Event.COALESCED: "Went into another record",
    Event.SKIPPED: "Was skipped",
    Event.PARKED: "Waits; this costs no attempt",
    Event.RELEASED: "Was released",
    Event.BACKFILLED: "Was queued by a backfill",
    Event.FOLLOWED: "Was queued after other jobs",
    Event.VERIFICATION_DUE: "Compares every content this time",
}
_TONES: dict[str, str] = {
    Event.GUARD_STOPPED: "warn",
    Event.PARTLY_SUCCEEDED: "warn",
    Event.RETRY_SCHEDULED: "warn",
    Event.LEASE_EXPIRED: "warn",
    Event.INTERRUPTED: "warn",
    Event.FAILED: "bad",
    Event.GAVE_UP: "bad",
    Event.GAVE_UP_PARTLY: "warn",
    Event.DEADLINE_PASSED: "bad",
    Event.QUARANTINED: "bad",
    Event.SUCCEEDED: "ok",
    Event.RELEASED: "ok",
}


@dataclass(frozen=True, slots=True)
class ToldEvent:
    words: str
    tone: str
    at: datetime
    reason: str


def describe_record_page(record: SyncRecord) -> dict[str, Any]:
    version = None
    if record.dataset_version is not None:
        version = Version.either.filter(
            dataset=record.job.dataset_id, number=record.dataset_version
        ).first()
    events = list(record.events.order_by("-id")[:EVENTS_SHOWN])
    now = timezone.now()
    why = explain(record)
    return {
        "record": record,
        "outcome": tell_outcome(record),
        "heading": _tell_end(record),
        "explanation": _tell_why(record, why),
        "progress": _draw_progress(record),
        "figures": _tell_figures(record),
        "must_end_at": _find_end(record, events),
        "lanes": _draw_attempts(record, events[::-1], now),
        "told_events": [_tell_event(event) for event in events],
        "running": record.state == State.RUNNING,
        "final": record.is_final,
        "stages": _stages(record),
        "totals": _totals(record),
        "of_rows": is_of_rows(record),
        "held_tables": _held_tables(record),
        "needs_answer": needs_answer(record),
        "quarantined": bool(record.rows_failed),
        "older_events": len(events) == EVENTS_SHOWN,
        "files": _first_files(record),
        "version": version,
        "why": why,
        "plan": record.plan if record.dry_run else None,
        "applied": find_applied(record) if record.dry_run else None,
        "approved": find_approved(record),
        "retried": _find_retried(record),
        "now": now,
    }


def _find_retried(record: SyncRecord) -> SyncRecord | None:
    """The record whose failed files this one takes."""
    if record.redrive is None or is_of_rows(record):
        return None
    return SyncRecord.objects.filter(pk=record.redrive["record"]).first()


def _tell_event(event: SyncEvent) -> ToldEvent:
    words = _EVENTS.get(event.event, event.words)
    if event.event == Event.CLAIMED and event.reason.startswith("claimed by "):
        return ToldEvent(
            f"Started on {event.reason.removeprefix('claimed by ')}", "run", event.at, ""
        )
    return ToldEvent(words, _TONES.get(event.event, "run"), event.at, event.reason)


_ENDS: dict[str, str] = {
    State.FAILED: "It failed",
    State.TIMED_OUT: "It ran out of time",
    State.PARTIAL: "Some files failed; all others are published",
    State.CANCELLED: "It was cancelled",
}


def _tell_end(record: SyncRecord) -> str:
    """The heading of what ended badly; empty for all others."""
    if record.state == State.PARTIAL and is_of_rows(record):
        return "Some rows failed; all others are published"
    return _ENDS.get(record.state, "")


def _tell_why(record: SyncRecord, why: Explanation) -> str:
    """The one explanation, as a sentence."""
    if not record.error:
        told = why.summary.partition(": ")[2] if record.is_final else why.summary
        words = told or why.summary
    else:
        words = record.error
    words = words.rstrip(".")
    return f"{words[:1].upper()}{words[1:]}."


# The bar, and what stands below it


def _draw_progress(record: SyncRecord) -> SafeString | None:
    if record.state != State.RUNNING:
        return None
    expected = None
    worked_s = seconds_taken(record)
    if record.expected_duration_s and worked_s is not None:
        expected = min(1.0, worked_s / record.expected_duration_s)
    words = f"{record.percentage:.0f} %"
    if record.total_files is not None:
        words += f", file {record.current_file_index} of {record.total_files}"
    return draw_progress(
        record.percentage / 100, label=record.job.name, words=words, expected=expected
    )


def _tell_figures(record: SyncRecord) -> list[str]:
    """Bytes, of how many, at which rate, and the time that is left, as far as each is known."""
    if record.state != State.RUNNING:
        return []
    if record.total_bytes is None:
        told = [size_words(record.bytes_transferred)]
    else:
        told = [f"{size_words(record.bytes_done)} of {size_words(record.total_bytes)}"]
    if record.bytes_per_s is not None:
        told.append(f"{size_words(record.bytes_per_s)}/s")
    if (left_s := estimate_remaining_s(record)) is not None:
        told.append(f"about {span_words(left_s)} left")
    return told


def _find_end(record: SyncRecord, events: Sequence[SyncEvent]) -> datetime | None:
    """When the running attempt must have ended."""
    if record.state != State.RUNNING or record.deadline_s is None:
        return None
    claimed = next((event for event in events if event.event == Event.CLAIMED), None)
    return claimed.at + timedelta(seconds=record.deadline_s) if claimed else None


# Where the time went


@dataclass(frozen=True, slots=True)
class AttemptLane:
    name: str
    drawn: SafeString
    took: str


def _draw_attempts(
    record: SyncRecord, events: Sequence[SyncEvent], now: datetime
) -> list[AttemptLane]:
    """One lane of the waits, and one for each attempt; none where there is nothing to compare."""
    end = record.finished_at or now
    whole = (end - record.queued_at).total_seconds()
    stretches = _split_time(record, events, end)
    if whole < 1 or len(stretches) < 3:
        return []
    waits = [each for each in stretches if each.kind == "idle"]
    lanes = [_lane("waited", waits, record.queued_at, whole)]
    work = [each for each in stretches if each.kind != "idle"][-LANES_MAX:]
    first = sum(each.kind != "idle" for each in stretches) - len(work) + 1
    lanes += [
        _lane(f"attempt {number}", [each], record.queued_at, whole)
        for number, each in enumerate(work, first)
    ]
    return lanes


@dataclass(frozen=True, slots=True)
class _Stretch:
    kind: str
    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        return max(0.0, (self.until - self.since).total_seconds())


def _split_time(record: SyncRecord, events: Sequence[SyncEvent], end: datetime) -> list[_Stretch]:
    stretches: list[_Stretch] = []
    since, working = record.queued_at, False
    for event in events:
        began = event.event == Event.CLAIMED
        ended = working and event.from_state == State.RUNNING != event.to_state
        if not (began or ended):
            continue
        kind = "idle" if began else "lost" if event.event in _LOST else "work"
        stretches.append(_Stretch(kind, since, event.at))
        since, working = event.at, began
    if not record.is_final or working:
        stretches.append(_Stretch("work" if working else "idle", since, end))
    return stretches


def _lane(name: str, stretches: Sequence[_Stretch], start: datetime, whole_s: float) -> AttemptLane:
    spans = [
        TimeSpan(
            each.kind,
            (each.since - start).total_seconds() / whole_s,
            (each.until - start).total_seconds() / whole_s,
            f"{span_words(each.seconds)}{', then it was lost' if each.kind == 'lost' else ''}",
        )
        for each in stretches
    ]
    took = span_words(sum(each.seconds for each in stretches))
    return AttemptLane(name, draw_spans(spans, f"{name}: {took}"), took)


def is_of_the_host(record: SyncRecord) -> bool:
    """Whether a test of the connection may show more of why it failed."""
    return record.connector_id is not None and is_transport_code(record.error_code)


def page_of_files(
    record: SyncRecord, action: str, after: int, term: str = ""
) -> tuple[list[SyncItem], int | None]:
    """One page of the ledger by keyset, and where the next one begins. `term` is a part of the path."""
    rows: QuerySet[SyncItem] = SyncItem.objects.filter(record=record, pk__gt=after)
    if term:
        rows = rows.filter(path__icontains=term)
    if action in ItemAction.values:
        rows = rows.filter(action=action)
    page = list(rows.order_by("pk")[: FILES_PAGE + 1])
    more = page[FILES_PAGE - 1].pk if len(page) > FILES_PAGE else None
    return page[:FILES_PAGE], more


def _first_files(record: SyncRecord) -> list[SyncItem]:
    """A few of each action, in no promised order: sorting a million rows is not for every poll. One query."""
    if not (record.is_final or record.state == State.RUNNING) or is_of_rows(record):
        return []
    first, *others = (
        SyncItem.objects.filter(record=record, action=action).order_by()[:FILES_SHOWN]
        for action in _ORDER
    )
    places = {action.value: place for place, action in enumerate(_ORDER)}
    return sorted(first.union(*others, all=True), key=lambda item: places[item.action])


_STAGES: dict[str, str] = {
    Stage.INITIALIZING: "start",
    Stage.DETECTING_CHANGES: "compare",
    Stage.PROCESSING_FILES: "fetch",
    Stage.UPDATING_EMBEDDINGS: "index text",
    Stage.FINALIZING: "publish",
}


def _stages(record: SyncRecord) -> list[dict[str, str]]:
    """The five stages, each `done`, `now` or `todo`."""
    order = list(Stage)
    reached = order.index(Stage(record.stage)) if record.stage else -1
    if record.state in (State.SUCCEEDED, State.PARTIAL):
        reached = len(order)
    return [
        {
            "name": _STAGES[stage],
            "standing": "done" if index < reached else "now" if index == reached else "todo",
        }
        for index, stage in enumerate(order)
    ]


def is_of_rows(record: SyncRecord) -> bool:
    if record.connector is None:
        return True  # of a dataset's files
    spec = SPECS.get(record.connector.kind)
    return spec is not None and spec.far_end == ROWS


def _row_totals(record: SyncRecord) -> list[dict[str, Any]]:
    named = [
        ("rows read", record.rows_read, ""),
        ("added", record.rows_added, "plus"),
        ("changed", record.rows_changed, "tilde"),
        ("removed", record.rows_removed, "minus"),
        ("unchanged", record.rows_unchanged, ""),
        ("in quarantine", record.rows_failed, "cross"),
        ("without a cursor", record.rows_without_cursor, ""),
        ("doubles", record.rows_duplicate, ""),
        ("values without a type", record.values_nulled, ""),
    ]
    shown = [*named[:6]] + [each for each in named[6:] if each[1]]
    return [
        {"name": name, "count": count or 0, "tone": tone, "action": ""}
        for name, count, tone in shown
    ]


def needs_answer(record: SyncRecord) -> bool:
    """Whether a person must say what becomes of a column that has changed."""
    tables: dict[str, Any] = (record.hold or {}).get("tables") or {}
    changes = [change for table in tables.values() for change in table["schema_changes"]]
    return record.state == State.HELD and any(change["offers"] for change in changes)


def _held_tables(record: SyncRecord) -> list[dict[str, Any]]:
    if record.state != State.HELD:
        return []
    tables: dict[str, dict[str, Any]] = (record.hold or {}).get("tables") or {}
    return [
        {
            **table,
            "name": name,
            "changes": [
                {**change, "was": change["from"] or NOTHING, "now": change["to"] or NOTHING}
                for change in table["schema_changes"]
            ],
            "keys": [
                ", ".join(f"{column} = {value}" for column, value in key.items())
                for key in table["sample_keys"]
            ],
        }
        for name, table in tables.items()
    ]


def _totals(record: SyncRecord) -> list[dict[str, Any]]:
    if is_of_rows(record):
        return _row_totals(record)
    named = [
        ("added", record.files_added, "plus", "added"),
        ("changed", record.files_changed, "tilde", "changed"),
        ("removed", record.files_removed, "minus", "removed"),
        ("unchanged", record.files_unchanged, "", ""),
        ("failed", record.files_failed, "cross", "failed"),
        ("skipped", record.files_skipped, "", "skipped"),
    ]
    if record.files_deferred:
        named.append(("deferred", record.files_deferred, "", "deferred"))
    if record.job.after_publish != AfterPublish.KEEP or record.files_cleared or record.files_left:
        word = "moved" if record.job.after_publish == AfterPublish.MOVE else "deleted"
        named += [
            (f"{word} at the source", record.files_cleared, "", word),
            ("left at the source", record.files_left, "cross", "left"),
        ]
    return [
        {"name": name, "count": count, "tone": tone, "action": action}
        for name, count, tone, action in named
    ]
