"""The first page: what needs a person, what is broken, what moves, what comes; figures last.

It is made of three fragments that ask again by themselves, each as often as it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from alerts.core.words import AlertState, ChannelState
from alerts.links import find_page_of
from alerts.models import Alert, AlertChannel
from alerts.queries.alerts import in_state
from console import tenancy
from console.charts import StripMark, draw_progress, draw_strip
from console.figures_of_days import draw_history
from console.labels import STALE_HEARTBEAT_S
from console.machine import describe_machine, tell_health
from console.words import group_digits, size_words, span_words
from datasets.store_room import find_room
from farends.registry import SPECS
from farends.spec import FILES, ROWS
from syncjobs.core.states import Stage
from syncjobs.queries.at_work import RunningLine, look_at_work
from syncjobs.queries.attention import Decision, FailingJob, find_decisions, find_failing
from syncjobs.queries.history import read_history_of_days
from syncjobs.queries.progress import estimate_remaining_s
from workspaces.models import Role

SHOWN = 8  # decisions, failing jobs, alerts
RUNNING_SHOWN = 12
FEW = 6  # of what comes next
NOW_EVERY_S, BESIDE_EVERY_S, CHARTS_EVERY_S = 3, 15, 60


@dataclass(frozen=True, slots=True)
class DecisionRow:
    """`look` is a word of `labels.LOOKS`."""

    look: str
    name: str
    workspace: str
    at: Any
    words: str
    url: str
    button: str


@dataclass(frozen=True, slots=True)
class FailingRow:
    job: FailingJob
    url: str
    words: str
    strip: SafeString
    button: str
    button_url: str


@dataclass(frozen=True, slots=True)
class RunningRow:
    record: RunningLine
    stage: str
    bar: SafeString
    figures: Sequence[str]
    elapsed: str
    is_late: bool  # past its usual time
    is_silent: bool  # its heartbeat is old


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    told = _describe_now(request) | {"title": "Overview"}
    if told["is_empty"]:
        return context | told | {"kinds": _kinds()}
    return context | told | _describe_beside(request, told) | _describe_charts(request)


def dashboard_live_view(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "console/overview_now.html", _describe_now(request))


def dashboard_beside_view(request: HttpRequest) -> HttpResponse:
    told = {"at_work": look_at_work(_workspaces(request), most=0, few=FEW)}
    context = told | _describe_beside(request, told)
    return TemplateResponse(request, "console/overview_beside.html", context)


def dashboard_charts_view(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "console/overview_charts.html", _describe_charts(request))


def _workspaces(request: HttpRequest) -> list[UUID] | None:
    """Those that the page tells of; None: all."""
    chosen = tenancy.find_current_workspace(request)
    if tenancy.sees_all(request):
        return None if chosen is None else [chosen]
    mine = tenancy.workspaces_where(request, Role.VIEWER)
    return mine if chosen is None else [one for one in mine if one == chosen]


# What asks, fails and runs


def _describe_now(request: HttpRequest) -> dict[str, Any]:
    workspaces = _workspaces(request)
    at_work = look_at_work(workspaces, most=RUNNING_SHOWN, few=FEW)
    failing = find_failing(workspaces, most=SHOWN)
    decisions = [
        *(_key_rows(failing)),
        *(_decision_row(each) for each in find_decisions(workspaces, most=SHOWN)),
    ]
    others = [each for each in failing if each.error_code != "host_key_changed"]
    lines = describe_machine(whole=tenancy.sees_all(request))
    return {
        "now": timezone.now(),
        "every_s": NOW_EVERY_S,
        "at_work": at_work,
        "has_several": workspaces is None or len(workspaces) > 1,
        "is_empty": at_work.job_count == 0,
        "health": tell_health(lines),
        "decisions": decisions,
        "failing": [_failing_row(each) for each in others],
        "failing_count": (failing[0].of if failing else 0) - (len(failing) - len(others)),
        "running": [_running_row(each) for each in at_work.running],
        "may_clean_up": tenancy.may(request, Role.OPERATOR),
        "may_add": tenancy.may(request, Role.ADMIN),
        "said": f"{len(decisions)} decisions, {len(others)} failing, {at_work.running_count} running",
    }


def _decision_row(each: Decision) -> DecisionRow:
    url = reverse("admin:syncjobs_syncrecord_change", args=[each.record_id])
    if each.kind == "held":
        words = each.error or "A guard stopped it before it changed anything."
        return DecisionRow("held", each.job, each.workspace, each.at, words, url, "Review")
    moved = each.files_added + each.files_changed
    version = (
        f" Version {each.dataset_version} was published all the same."
        if each.dataset_version
        else ""
    )
    words = f"It moved much less or more than usual: {group_digits(moved)} files.{version}"
    return DecisionRow("suspect", each.job, each.workspace, each.at, words, url, "Look")


def _key_rows(failing: Sequence[FailingJob]) -> list[DecisionRow]:
    """A changed host key asks once for each connector, however many jobs wait for it."""
    waiting: dict[UUID, list[FailingJob]] = {}
    for each in failing:
        if each.error_code == "host_key_changed" and each.connector_id is not None:
            waiting.setdefault(each.connector_id, []).append(each)
    rows = []
    for connector_id, jobs in waiting.items():
        url = reverse("admin:connectors_connector_change", args=[connector_id])
        others = f" and {len(jobs) - 1} more" if len(jobs) > 1 else ""
        words = (
            f"The host shows another key than the approved one. {jobs[0].job}{others} cannot go on."
        )
        first = min(jobs, key=lambda job: job.since)
        rows.append(
            DecisionRow(
                "host key changed",
                jobs[0].job,
                jobs[0].workspace,
                first.since,
                words,
                url,
                "Compare keys",
            )
        )
    return rows


def _failing_row(each: FailingJob) -> FailingRow:
    row = each.in_a_row
    often = "once" if row <= 1 else f"{row}{' or more' if row == len(each.strip) else ''} in a row"
    record = reverse("admin:syncjobs_syncrecord_change", args=[each.record_id])
    words = each.error.rstrip(".") or f"{each.files_failed} files failed"
    url = reverse("admin:syncjobs_syncjob_change", args=[each.job_id])
    return FailingRow(each, url, f"{words}. {often.capitalize()}", _strip(each), "Look", record)


def _strip(each: FailingJob) -> SafeString:
    shown = each.strip[::-1]
    longest = max((took or 0 for _, _, took, _ in shown), default=0) or 1
    marks = [
        StripMark(
            "suspect" if verdict == "suspect" else state,
            (took or 0) / longest,
            f"{state.replace('_', ' ')}{f', {span_words(took)}' if took is not None else ''}",
        )
        for state, verdict, took, _ in shown
    ]
    good = sum(mark.state in ("succeeded", "suspect") for mark in marks)
    return draw_strip(
        marks, f"{each.job}: last {len(marks)} records, {good} succeeded", height=26, step=8
    )


def _running_row(record: RunningLine) -> RunningRow:
    files = _tell_files(record)
    expected = record.ran_s / record.expected_s if record.expected_s else None
    stage = record.stage.replace("_", " ") or "starting"
    figures = [*files, *_tell_speed(record)]
    bar = draw_progress(
        record.percentage / 100,
        label=record.job,
        words=", ".join([f"{record.percentage:.0f} %", *files]),
        expected=expected,
    )
    usual = (
        f" of usually {span_words(record.expected_s)}"
        if record.expected_s
        else ", usual time not known yet"
    )
    return RunningRow(
        record=record,
        stage=f"waits for {record.waiting_for}" if record.waiting_for else stage,
        bar=bar,
        figures=figures,
        elapsed=f"{span_words(record.ran_s)}{usual}",
        is_late=expected is not None and expected > 1,
        is_silent=record.heartbeat_s > STALE_HEARTBEAT_S,
    )


def _tell_files(record: RunningLine) -> list[str]:
    told = []
    if record.total_files is not None:
        told.append(
            f"file {group_digits(record.current_file_index)} of {group_digits(record.total_files)}"
        )
    if record.rows_read is not None:
        told.append(f"{group_digits(record.rows_read)} rows")
    if record.total_bytes:
        told.append(f"{size_words(record.bytes_done)} of {size_words(record.total_bytes)}")
    elif record.bytes_transferred:
        told.append(size_words(record.bytes_transferred))
    return told


def _tell_speed(record: RunningLine) -> list[str]:
    """The rate of the last seconds; the time that is left where the bytes of all files are known."""
    if record.stage != Stage.PROCESSING_FILES or not record.bytes_per_s:
        return []
    told = [f"{size_words(record.bytes_per_s)}/s"]
    if left_s := estimate_remaining_s(record):
        told.append(f"about {span_words(max(1, round(left_s)))} left")
    return told


# What stands beside, and the figures


def _describe_beside(request: HttpRequest, told: dict[str, Any]) -> dict[str, Any]:
    workspaces = _workspaces(request)
    is_firing = in_state(AlertState.FIRING)  # what a person has silenced is left out
    firing = Alert.objects.filter(is_firing, opened_at__isnull=False).order_by("-opened_at")
    broken = AlertChannel.objects.filter(state=ChannelState.BROKEN, enabled=True)
    if workspaces is not None:
        firing = firing.filter(workspace__in=workspaces)
        broken = broken.filter(workspace__in=workspaces)
    alerts = list(firing.select_related("rule")[:SHOWN])
    sees_all = tenancy.sees_all(request)
    return {
        "beside_every_s": BESIDE_EVERY_S,
        "at_work": told["at_work"],
        "alerts": [(alert, find_page_of(alert)) for alert in alerts],
        "broken_channels": list(broken.order_by("broken_since")[:FEW]),
        "flower_url": getattr(settings, "FLOWER_URL", "") if sees_all else "",
        "beside_said": f"{len(told['at_work'].away)} hosts away, {len(alerts)} alerts firing",
    }


def _describe_charts(request: HttpRequest) -> dict[str, Any]:
    room = find_room() if tenancy.sees_all(request) else None
    history = read_history_of_days(_workspaces(request))
    return {
        "charts_every_s": CHARTS_EVERY_S,
        "charts": draw_history(
            history, timezone.now(), free_bytes=room.free_bytes if room else None
        ),
    }


def _kinds() -> list[dict[str, str]]:
    """What an empty installation offers to connect."""
    given = {FILES: "files", ROWS: "tables or rows"}
    add = reverse("admin:connectors_connector_add")
    return [
        {"title": spec.title, "gives": given[spec.far_end], "url": f"{add}?kind={spec.kind}"}
        for spec in SPECS.values()
        if spec.far_end in given
    ]
