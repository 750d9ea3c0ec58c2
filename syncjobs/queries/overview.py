"""Reads a workspace at a glance: what runs, what waits, the latest results, what is due next."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, DurationField, F, Func, Q, QuerySet, Sum
from django.db.models.functions import Greatest, Now

from connectors.models import ConnectorStatus
from datasets.models import Version
from syncjobs.core.states import ACTIVE, FINAL, OPEN, Stage, State
from syncjobs.models import SyncJob, SyncRecord
from workspaces.models import Workspace

_INTERVAL = Func(
    F("connector__sync_interval_s"),
    template="make_interval(secs => %(expressions)s)",
    output_field=DurationField(),
)


@dataclass(frozen=True, slots=True)
class Overview:
    """Lists hold the first ones; the counts all."""

    running: QuerySet[SyncRecord]
    waiting: QuerySet[SyncRecord]
    ended: QuerySet[SyncRecord]
    due_next: QuerySet[SyncJob]
    running_count: int
    waiting_count: int
    held_count: int


def look_over(workspace: Workspace, *, most: int) -> Overview:
    records = SyncRecord.objects.filter(workspace=workspace)
    counts = records.filter(state__in=OPEN).aggregate(
        **{state: Count("pk", filter=Q(state=state)) for state in OPEN}
    )
    return Overview(
        running=records.filter(state=State.RUNNING).order_by("started_at")[:most],
        waiting=records.filter(state=State.QUEUED).order_by("queued_at")[:most],
        ended=records.filter(state__in=sorted(FINAL)).order_by("-queued_at")[:most],
        due_next=SyncJob.objects.filter(
            Q(connector=None) | Q(connector__status=ConnectorStatus.ACTIVE),
            workspace=workspace,
            enabled=True,
            paused_at=None,
        )
        .exclude(next_run_at=None)
        .order_by("next_run_at")[:most],
        running_count=counts[State.RUNNING],
        waiting_count=counts[State.QUEUED],
        held_count=counts[State.HELD],
    )


def due_auto_syncs() -> QuerySet[SyncJob]:
    """The jobs of the connectors that need a sync now: with auto-sync, active, their
    interval over since they last succeeded. Not those that are at work or wait for it. The longest
    neglected first."""
    unserved = SyncRecord.objects.filter(state__in=ACTIVE).values("job")
    elapsed = Q(connector__last_sync_at=None) | Q(connector__last_sync_at__lt=Now() - _INTERVAL)
    return (
        SyncJob.objects.filter(elapsed, is_default=True, enabled=True, paused_at=None)
        .filter(connector__auto_sync=True, connector__status=ConnectorStatus.ACTIVE)
        .exclude(pk__in=unserved)
        .select_related("connector", "workspace")
        .order_by(F("connector__last_sync_at").asc(nulls_first=True), "pk")
    )


def find_latest(workspace: Workspace) -> SyncRecord | None:
    """What runs, or else the latest that was asked for; dry runs are none."""
    rows = SyncRecord.objects.filter(workspace=workspace).select_related("job")
    return (
        rows.filter(state=State.RUNNING).order_by("-started_at").first()
        or rows.order_by("-queued_at").first()
    )


@dataclass(frozen=True, slots=True)
class FileCounts:
    """Counts of files of running records, and of what the workspace holds."""

    pending: int  # listed, and not begun
    processing: int  # in hand
    failed: int  # of these records; where none is at work, of the latest
    total: int  # in the current versions


def count_files(workspace: Workspace, latest: SyncRecord | None) -> FileCounts:
    running = SyncRecord.objects.filter(workspace=workspace, state=State.RUNNING)
    found = running.aggregate(
        left=Sum(
            Greatest(F("total_files") - F("current_file_index"), 0),
            filter=Q(total_files__isnull=False),
        ),
        at_files=Count(
            "pk",
            filter=Q(stage=Stage.PROCESSING_FILES, current_file_index__lt=F("total_files")),
        ),
        failed=Sum("files_failed"),
    )
    left, in_hand = found["left"] or 0, found["at_files"]
    failed = found["failed"]
    if failed is None:
        failed = latest.files_failed if latest is not None else 0
    held = Version.objects.filter(dataset__workspace=workspace, is_current=True)
    total = held.aggregate(total=Sum("file_count"))["total"] or 0
    return FileCounts(max(0, left - in_hand), in_hand, failed, total)


def queued_within(days: int) -> Q:
    """Selects what was queued in the last days, by the database's clock."""
    return Q(queued_at__gte=Now() - timedelta(days=days))
