"""The list of sync records: it stays fast at a million rows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from console.admin.buttons import ButtonsAdmin
from console.admin.filters import (
    ConnectorFilter,
    JobFilter,
    QueuedSince,
    SyncsOrPlans,
    WorkspaceFilter,
)
from console.admin.keyset import KeysetAdmin
from console.labels import bar, changes, label, moment, shorten_text, taken
from console.words import NOTHING, size_words
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.records.asking import cancel


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
    actions = ["cancel_selected"]
    list_disable_select_all = True  # unfold's: “select all” would need a count
    list_per_page = 50

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        return SyncRecord.either.order_by(*self.ordering)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return rows.select_related("job__dataset", "connector", "source_dataset", "workspace")

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel_selected(self, request: HttpRequest, rows: QuerySet[SyncRecord]) -> None:
        chosen = list(self.operable(request, rows).values_list("pk", flat=True))
        count = sum(cancel(pk, by=str(request.user)) for pk in chosen)
        messages.success(request, f"Asked {count} of {len(chosen)} to end.")

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
