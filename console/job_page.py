"""What the pages of one sync job show: how it stands, its last records, what comes next and who is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.safestring import SafeString

from alerts.core.words import RuleKind
from alerts.models import AlertRule
from alerts.queries.rules import CoveringRule, find_covering_rules
from console.charts import StripMark, draw_columns, draw_strip
from console.labels import find_page_url, seconds_taken
from console.words import code_words, show_unprintable, span_words
from datasets.models import Version
from syncjobs.core.states import OPEN, State
from syncjobs.core.suspicion import SUSPECT
from syncjobs.models import BackfillState, SyncJob, SyncRecord
from syncjobs.queries.backfills import latest_backfills
from syncjobs.queries.fires import describe_schedule
from syncjobs.queries.job_status import JobStatus, load_job_status

RECORDS_PAGE = 50
FILTERED_IN = 5_000  # a filter looks into so many of a job's records at once
TROUBLED = Q(state__in=[State.HELD, State.PARTIAL, State.FAILED, State.TIMED_OUT]) | Q(
    verdict=SUSPECT
)


@dataclass(frozen=True, slots=True)
class RecordPill:
    """A choice of records, by what `?show=` says."""

    name: str
    title: str


RECORD_PILLS = (
    RecordPill("", "All"),
    RecordPill("look", "Needs a look"),
    RecordPill("failed", "Failed"),
    RecordPill("plans", "Plans"),
)


def tell_outcome(record: SyncRecord) -> str:
    """The state as people know it: a record that succeeded may look suspect."""
    suspect = record.state == State.SUCCEEDED and record.verdict == SUSPECT
    return SUSPECT if suspect else record.state


def describe_job_state(job: SyncJob, status: JobStatus | None = None) -> dict[str, Any]:
    """The line at the top: what the job does now, or did last."""
    status = status or load_job_status(job)
    current = status.current
    return {
        "job": job,
        "current": current,
        "outcome": tell_outcome(current) if current else "never",
        "took": None if current is None else seconds_taken(current),
        "usual_s": status.usual.median_s,
        "is_open": current is not None and current.state in OPEN,
        "schedule_words": describe_schedule(job),
    }


def describe_job_page(job: SyncJob) -> dict[str, Any]:
    status = load_job_status(job)
    version = Version.objects.filter(dataset=job.dataset_id, is_current=True).first()
    backfills = [
        progress
        for progress in latest_backfills(job)
        if progress.backfill.state == BackfillState.ACTIVE
    ]
    return {
        **describe_job_state(job, status),
        "status": status,
        "strip": _draw_last(status.latest),
        "longest": span_words(max(_durations(status.latest), default=None)),
        "minutes": _draw_minutes(status.latest),
        "version": version,
        "rules": [_tell_rule(covering) for covering in find_covering_rules(job)],
        "backfills": backfills,
        "now": timezone.now(),
    }


def _durations(records: Sequence[SyncRecord]) -> list[float]:
    return [taken for record in records if (taken := seconds_taken(record)) is not None]


def _draw_last(records: Sequence[SyncRecord]) -> SafeString:
    longest = max(_durations(records), default=0.0) or 1.0
    marks = [
        StripMark(
            state=tell_outcome(record),
            share=(seconds_taken(record) or 0.0) / longest,
            words=_tell_mark(record),
            url=find_page_url(record),
        )
        for record in reversed(records)
    ]
    counts = _count_words(records)
    return draw_strip(marks, f"Last {len(marks)} records, oldest first: {counts}", step=26)


def _count_words(records: Sequence[SyncRecord]) -> str:
    counts: dict[str, int] = {}
    for record in records:
        word = code_words(tell_outcome(record))
        counts[word] = counts.get(word, 0) + 1
    return ", ".join(f"{count} {word}" for word, count in counts.items()) or "none yet"


def _tell_mark(record: SyncRecord) -> str:
    taken = seconds_taken(record)
    words = [f"{code_words(tell_outcome(record)).capitalize()}, {record.queued_at:%d %b %H:%M} UTC"]
    if taken is not None:
        words.append(span_words(taken))
    if record.error:
        words.append(show_unprintable(record.error[:120]))
    return ", ".join(words)


def _draw_minutes(records: Sequence[SyncRecord]) -> SafeString | None:
    """How long those took that succeeded; None before there are two."""
    ended = [
        (record, taken)
        for record in reversed(records)
        if record.state in (State.SUCCEEDED, State.PARTIAL)
        and (taken := seconds_taken(record)) is not None
    ]
    if len(ended) < 2:
        return None
    values = [
        (f"{record.queued_at:%d %b %H:%M}", taken, span_words(taken)) for record, taken in ended
    ]
    low, high = (span_words(edge(taken for _, taken in ended)) for edge in (min, max))
    return draw_columns(values, f"Time that the last {len(values)} took: from {low} to {high}")


_RULES: Mapping[str, str] = {
    RuleKind.FAILURE: "Fails",
    RuleKind.FAILURES_IN_A_ROW: "Fails {count} times in a row",
    RuleKind.HELD: "Is held for a person",
    RuleKind.SUSPECT: "Moves much less or more than usual",
    RuleKind.OVERDUE: "Runs longer than {factor} times the usual",
    RuleKind.NOTHING_RAN: "Nothing ran for {after}",
    RuleKind.ERROR_RATE: "Over {percent} % fail",
    RuleKind.OFFLINE: "Its host is offline",
}


def _tell_rule(covering: CoveringRule) -> dict[str, Any]:
    return {
        "words": tell_condition(covering.rule),
        "severity": covering.rule.severity,
        "channels": ", ".join(channel.name for channel in covering.channels),
    }


def tell_condition(rule: AlertRule) -> str:
    """What the rule looks for, as the subject's own line says it."""
    params = rule.params
    after = params.get("after_s")
    words = {
        "count": params.get("count", 3),
        "factor": params.get("factor", 3),
        "percent": params.get("percent", ""),
        "after": span_words(after) if after else "twice its interval",
    }
    return _RULES[rule.kind].format(**words)


# The records of one job, a page at a time


def list_job_records(
    job: SyncJob, show: str, before: str
) -> tuple[list[SyncRecord], str | None, bool]:
    """One page, the newest first; where the next one begins; and whether more was left out than a page holds."""
    rows = _choose_records(job, show)
    if (place := _read_place(before)) is not None:
        at, pk = place
        rows = rows.filter(Q(queued_at__lt=at) | Q(queued_at=at, pk__lt=pk))
    found = list(rows.order_by("-queued_at", "-pk")[: RECORDS_PAGE + 1])
    page = found[:RECORDS_PAGE]
    following = (
        f"{page[-1].queued_at.isoformat()}~{page[-1].pk}" if len(found) > RECORDS_PAGE else None
    )
    return page, following, show in ("look", "failed")


def _choose_records(job: SyncJob, show: str) -> QuerySet[SyncRecord]:
    if show == "plans":
        return SyncRecord.plans.filter(job=job)
    rows = SyncRecord.objects.filter(job=job)
    wanted = {"look": TROUBLED, "failed": Q(state__in=[State.FAILED, State.TIMED_OUT])}.get(show)
    if wanted is None:
        return rows
    recent = rows.order_by("-queued_at").values("pk")[:FILTERED_IN]
    return SyncRecord.objects.filter(wanted, pk__in=recent)


def _read_place(text: str) -> tuple[datetime, UUID] | None:
    at, _, pk = text.partition("~")
    try:
        moment = parse_datetime(at)
        return None if moment is None else (moment, UUID(pk))
    except ValueError:
        return None
