"""The first page: what runs, what waits, what failed, what asks for a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Max, Min, QuerySet, Sum
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from console import tenancy
from console.labels import STALE_HEARTBEAT_S, counts
from console.machine import describe_machine
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.fires import describe_schedule
from workspaces.models import Role

SHOWN = 8
LIVE_EVERY_S = 3
FAILED = (State.FAILED, State.TIMED_OUT, State.PARTIAL)
FAILURES_SINCE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class WorkerSigns:
    """A worker as its records show it."""

    name: str
    records: int
    heartbeat_at: datetime
    late: bool


def fill(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Unfold's DASHBOARD_CALLBACK."""
    return context | describe_dashboard(request)


def dashboard_live_view(request: HttpRequest) -> HttpResponse:
    return TemplateResponse(request, "console/dashboard_live.html", describe_dashboard(request))


def describe_dashboard(request: HttpRequest) -> dict[str, Any]:
    now = timezone.now()
    records = tenancy.narrow(request, tenancy.scope(request, SyncRecord.objects.all()))
    jobs = tenancy.narrow(request, tenancy.scope(request, SyncJob.objects.all()))
    with_names = records.select_related("job", "workspace")
    running = with_names.filter(state=State.RUNNING)
    queued = records.filter(state=State.QUEUED)
    waiting = queued.aggregate(count=Count("pk"), oldest=Min("queued_at"))
    failures = with_names.filter(state__in=FAILED, queued_at__gte=now - FAILURES_SINCE)
    due = jobs.filter(enabled=True, paused_at=None, next_run_at__isnull=False).select_related(
        "workspace"
    )
    return {
        "now": now,
        "every_s": LIVE_EVERY_S,
        "running": list(running.order_by("-percentage")[: SHOWN * 2]),
        "running_count": running.count(),
        "queued_count": waiting["count"],
        "queued_oldest": waiting["oldest"],
        "queued_first": list(queued.select_related("job").order_by("queued_at")[:SHOWN]),
        "held": list(with_names.filter(state=State.HELD).order_by("-queued_at")[:SHOWN]),
        "failures": list(failures.order_by("-queued_at")[:SHOWN]),
        "day": _last_day(records, now),
        "due": [(job, describe_schedule(job)) for job in due.order_by("next_run_at")[:SHOWN]],
        "workers": _workers(running, now),
        "machine": describe_machine(whole=tenancy.sees_all(request)),
        "flower_url": getattr(settings, "FLOWER_URL", "") if tenancy.sees_all(request) else "",
        "has_jobs": jobs.exists(),
        "may_clean_up": tenancy.may(request, Role.OPERATOR),
    }


def _last_day(records: QuerySet[SyncRecord], now: datetime) -> dict[str, Any]:
    """By the time of queueing, which is indexed: what ran longer than a day counts where it began."""
    day = records.filter(queued_at__gte=now - timedelta(hours=24)).aggregate(
        records=Count("pk"),
        added=Sum("files_added", default=0),
        changed=Sum("files_changed", default=0),
        removed=Sum("files_removed", default=0),
        bytes=Sum("bytes_transferred", default=0),
    )
    return day | {"changes": counts(day["added"], day["changed"], day["removed"])}


def _workers(running: QuerySet[SyncRecord], now: datetime) -> list[WorkerSigns]:
    rows = (
        running.order_by("lease_owner")
        .values_list("lease_owner")
        .annotate(records=Count("pk"), latest=Max("heartbeat_at"))[: SHOWN * 2]
    )
    late = timedelta(seconds=STALE_HEARTBEAT_S)
    return [
        WorkerSigns(str(name), count, latest, late=now - latest > late)
        for name, count, latest in rows
    ]
