"""The list of sync records: it stays fast at a million rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from console.admin.bulk import BULK_MAX, BulkAct, NotDone, work_through
from console.admin.buttons import ButtonsAdmin
from console.admin.filters import (
    ConnectorFilter,
    JobFilter,
    QueuedSince,
    SyncsOrPlans,
    WorkspaceFilter,
)
from console.admin.scoped import KeysetAdmin
from console.labels import bar, changes, label, moment, shorten_text, taken
from console.words import NOTHING, size_words
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NothingToRetry, retry
from syncjobs.records.asking import AlreadyApplied, ConnectorPaused, NoPlan, cancel


class RecordListAdmin(KeysetAdmin, ButtonsAdmin):
    list_display = [
        "began",
        "show_job",
        "workspace",
        "show_state",
        "how_it_goes",
        "show_changes",
        "show_bytes",
        "duration",
        "version",
        "trigger",
    ]
    list_display_links = ["began", "show_job"]
    list_filter = [
        "state",
        QueuedSince,
        SyncsOrPlans,
        WorkspaceFilter,
        JobFilter,
        ConnectorFilter,
        "trigger",
    ]
    ordering = ["-queued_at"]
    actions = ["retry_selected", "cancel_selected"]
    bulk_acts = {
        "retry_selected": BulkAct(
            "A new record of each job is queued, with what the failed one was asked for. What has succeeded, still runs"
            " or is held is left alone, and a job with several of these is queued once.",
            "queued again",
        ),
        "cancel_selected": BulkAct(
            "Each record that waits, runs or is held ends without a further change. What a running one has fetched is"
            " kept for the next.",
            "asked to end",
            tone="risk",
        ),
    }
    list_per_page = 50

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        return SyncRecord.either.order_by(*self.ordering)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.select_related("job__dataset", "connector", "source_dataset", "workspace")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[SyncRecord]) -> None:
        def end(record: SyncRecord) -> None:
            if not cancel(record.pk, by=str(request.user)):
                raise NotDone("it had ended already")

        work_through(request, rows[:BULK_MAX], self.bulk_acts["cancel_selected"], end)

    @admin.action(description="Retry", permissions=["operate"])
    def retry_selected(self, request: HttpRequest, rows: QuerySet[SyncRecord]) -> None:
        """The newest failed record of a job is the one that is retried: the list has it first."""
        jobs: set[UUID] = set()

        def again(record: SyncRecord) -> None:
            if record.job_id in jobs:
                raise NotDone("a newer record of its job is queued again")
            try:
                retry(record, by=str(request.user))
            except AlreadyQueued:
                raise NotDone("a sync of its job is queued already") from None
            except (
                NothingToRetry,
                NoPlan,
                AlreadyApplied,
                ConnectorPaused,
                WorkspaceBusy,
                JobBusy,
            ) as exc:
                raise NotDone(str(exc)) from None
            jobs.add(record.job_id)

        work_through(request, rows[:BULK_MAX], self.bulk_acts["retry_selected"], again)

    @admin.display(description="queued")
    def began(self, record: SyncRecord) -> str:
        return moment(record.queued_at)

    @admin.display(description="sync job")
    def show_job(self, record: SyncRecord) -> str:
        return record.job.name

    @admin.display(description="state")
    def show_state(self, record: SyncRecord) -> str:
        return label(record.state, title=record.waiting_for or record.verdict)

    @admin.display(description="how it goes")
    def how_it_goes(self, record: SyncRecord) -> str:
        """What a running record has done, what a queued one waits for, why one failed."""
        if record.state == State.RUNNING:
            return bar(record.percentage, record.get_stage_display() or "Starting")
        if record.state == State.QUEUED:
            return shorten_text(record.waiting_for)
        return shorten_text(record.error, tone="sp-bad")

    @admin.display(description="changes")
    def show_changes(self, record: SyncRecord) -> str:
        return changes(record)

    @admin.display(description="bytes")
    def show_bytes(self, record: SyncRecord) -> str:
        return size_words(record.bytes_transferred) if record.bytes_transferred else NOTHING

    @admin.display(description="took")
    def duration(self, record: SyncRecord) -> str:
        return taken(record)

    @admin.display
    def version(self, record: SyncRecord) -> str:
        return f"v{record.dataset_version}" if record.dataset_version else NOTHING
