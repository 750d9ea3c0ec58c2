"""What a connector's page tells: what is wrong, how reachable its far end is and was, and the jobs that use it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse
from django.utils.safestring import SafeString

from connectors.learning import find_budget
from connectors.looks import HostCheck, HostSpan, HostStretch, read_looks
from connectors.models import Connector, ConnectorStatus, FarEndWatch
from connectors.past import DAY, read_past
from connectors.pinning import find_offer
from connectors.reachability import find_connectivity
from connectors.watching import Reachability
from console.charts import StripMark, TimeSpan, draw_spans, draw_strip
from console.connection_test import summarize_test
from console.words import NOTHING, span_words
from farends.budget import Budget
from farends.registry import SPECS
from syncjobs.models import SyncJob
from syncjobs.queries.connectivity import Circuit, judge_circuit
from syncjobs.queries.fires import describe_schedule
from syncjobs.queries.recent import RecentRecord, load_recent
from syncjobs.works.table import has_work
from timing.clock import database_now

EVERY_S = 15
JOBS_SHOWN = 20
MARKS = 10
_KINDS = {
    HostStretch.ONLINE: "on",
    HostStretch.OFFLINE: "off",
    HostStretch.UNKNOWN: "unknown",
    HostStretch.UNWATCHED: "unknown",
}
_WORDS = {HostStretch.UNKNOWN: "not known", HostStretch.UNWATCHED: "not watched"}


@dataclass(frozen=True, slots=True)
class JobBesideMarks:
    """A job beside the marks of its last records. `words` say what stands beside its state."""

    job: SyncJob
    state: str
    words: str
    strip: SafeString | str


@dataclass(frozen=True, slots=True)
class ShownCheck:
    at: datetime
    answer: str
    passed: bool


def describe_reach(connector: Connector) -> dict[str, Any]:
    """The live part of the page. Costs six queries."""
    watch, now = find_connectivity(connector), database_now()
    connector.far_end_watch = watch
    past = read_past(connector, watch, now)
    budget = find_budget(connector.workspace_id, connector.address) or Budget()
    circuit = judge_circuit(budget, now)
    checks = read_looks(watch.looks)
    is_watched = watch.watch and connector.status == ConnectorStatus.ACTIVE
    state = _find_state(connector, watch, circuit, is_watched)
    return {
        "connector": connector,
        "watch": watch,
        "is_watched": is_watched,
        "is_paused": connector.status != ConnectorStatus.ACTIVE,
        "state": state,
        "known_s": (now - watch.since).total_seconds() if watch.since else None,
        "lane": draw_spans(_share(past.day, now), _tell_day(past.day)),
        "day_ago": now - DAY,
        "uptime_week": _tell_share(past.uptime_week),
        "uptime_month": _tell_share(past.uptime_month),
        "circuit": circuit,
        "checks": [_show(check) for check in reversed(checks)],
        "check_strip": _draw_checks(checks),
        "every_s": EVERY_S,
    }


def describe_trouble(connector: Connector) -> dict[str, Any]:
    """What a person has to decide or to mend: a key that nobody approved, or a test that failed."""
    offered = find_offer(connector)
    told: dict[str, Any] = {"offered": offered, "pinned": "", "test_failure": ""}
    if offered is not None:
        told["pinned"] = connector.options.get(offered.option, "")
    elif connector.last_test_at is not None:
        passed, words = summarize_test(connector)
        told["test_failure"] = "" if passed else words
    return told


def describe_jobs(connector: Connector) -> dict[str, Any]:
    """Its jobs by name, each with its last records, in two queries."""
    jobs = list(connector.sync_jobs.order_by("name")[: JOBS_SHOWN + 1])
    recent = load_recent([job.pk for job in jobs[:JOBS_SHOWN]], MARKS)
    return {
        "jobs": [_line(job, recent.get(job.pk, [])) for job in jobs[:JOBS_SHOWN]],
        "has_more_jobs": len(jobs) > JOBS_SHOWN,
    }


def find_job_url(connector: Connector, *, has_tables: bool) -> str:
    """Where a job for it is made: of a far end with tables one is picked first. Empty where no job can read from it."""
    spec = SPECS.get(connector.kind)
    if spec is None or not has_work(spec.far_end):
        return ""
    if has_tables:
        return reverse("admin:connectors_connector_tables", args=[connector.pk])
    fields = {"connector": connector.pk, "workspace": connector.workspace_id}
    return f"{reverse('admin:syncjobs_syncjob_add')}?{urlencode(fields)}"


def _find_state(
    connector: Connector, watch: FarEndWatch, circuit: Circuit, is_watched: bool
) -> str:
    """The one word that stands first."""
    offered = find_offer(connector)
    if offered is not None and connector.options.get(offered.option):
        return "host key changed"
    if not is_watched:
        return "not watched"
    if watch.state == Reachability.OFFLINE:
        return str(watch.state)
    return "circuit open" if circuit.state == "open" else str(watch.state)


def _share(spans: Sequence[HostSpan], now: datetime) -> list[TimeSpan]:
    begins_at, whole_s = now - DAY, DAY.total_seconds()

    def place(at: datetime) -> float:
        return (at - begins_at).total_seconds() / whole_s

    return [
        TimeSpan(_KINDS[span.stretch], place(span.begins_at), place(span.ends_at), _tell(span))
        for span in spans
    ]


def _tell(span: HostSpan) -> str:
    what = _WORDS.get(span.stretch, str(span.stretch))
    reason = f": {span.reason}" if span.reason else ""
    return f"{what} {span.begins_at:%H:%M} to {span.ends_at:%H:%M}{reason}"


def _tell_day(spans: Sequence[HostSpan]) -> str:
    parts = [
        f"{_WORDS.get(span.stretch, str(span.stretch))} for {span_words(span.length_s)}"
        for span in spans
    ]
    return f"Last 24 hours, oldest first: {', '.join(parts)}"


def _tell_share(share: float | None) -> str:
    """Rounded down: 99.99 % is not 100."""
    return "not known yet" if share is None else f"{int(share * 1_000) / 10:g} %"


def _show(check: HostCheck) -> ShownCheck:
    return ShownCheck(check.at, check.error or f"{check.took_ms} ms", not check.error)


def _draw_checks(checks: Sequence[HostCheck]) -> SafeString | str:
    if not checks:
        return ""
    longest = max((check.took_ms for check in checks if not check.error), default=0) or 1
    marks = [
        StripMark(
            "failed" if check.error else "succeeded",
            0.2 if check.error else check.took_ms / longest,
            f"{check.at:%H:%M:%S}: {check.error or f'{check.took_ms} ms'}",
        )
        for check in checks
    ]
    failed = sum(bool(check.error) for check in checks)
    words = (
        f"Last {len(checks)} checks, oldest first: {len(checks) - failed} answered, {failed} failed"
    )
    return draw_strip(marks, words, step=26)


def _line(job: SyncJob, records: Sequence[RecentRecord]) -> JobBesideMarks:
    last = records[-1] if records else None
    if job.paused_at is not None:
        state, why = "paused", job.paused_reason
    elif last is None:
        state, why = "", "no record yet"
    else:
        state, why = last.state, f"for {last.waiting_for}" if last.waiting_for else ""
    words = " · ".join(part for part in (why, describe_schedule(job)) if part)
    return JobBesideMarks(job, state, words or NOTHING, _draw_records(job, records))


def _draw_records(job: SyncJob, records: Sequence[RecentRecord]) -> SafeString | str:
    if not records:
        return ""
    longest = max(record.duration_s for record in records) or 1.0
    marks = [
        StripMark(
            record.state,
            record.duration_s / longest,
            f"{record.queued_at:%d %b, %H:%M}: {record.state.replace('_', ' ')}, {span_words(record.duration_s)}",
        )
        for record in records
    ]
    failed = sum(record.state in ("failed", "timed_out") for record in records)
    words = f"{job.name}: last {len(records)} records, {failed} failed"
    return draw_strip(marks, words, height=26, step=8)
