"""The list of sync jobs: its columns, and what can be done to several jobs at once."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html

from console.admin.bulk import BULK_MAX, BulkAct, NotDone, work_through
from console.admin.buttons import ButtonsAdmin
from console.admin.filters import ConnectorFilter, WorkspaceFilter
from console.admin.keyset import KeysetChangeList
from console.labels import find_page_url, icon, label, link, moment, shorten_text
from console.words import NOTHING, span_words
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queries.fires import describe_schedule
from syncjobs.queries.job_facts import JobFacts, load_facts
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import ConnectorPaused
from workspaces.models import Role


class JobList(KeysetChangeList):
    def url_for_result(self, result: Any) -> str:
        return find_page_url(result)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        facts = load_facts(list(self.result_list))
        for job in self.result_list:
            job.facts = facts.get(job.pk, JobFacts())


class JobListAdmin(ButtonsAdmin):
    list_display = [
        "name",
        "workspace",
        "last_run",
        "next_run",
        "show_schedule",
        "show_connector",
        "enabled",
        "version",
        "average",
        "run_now",
    ]
    list_filter = [WorkspaceFilter, ConnectorFilter, "enabled", "sync_mode"]
    search_fields = ["name", "connector__name"]
    actions = ["sync_selected", "full_sync_selected", "enable_selected", "disable_selected"]
    bulk_acts = {
        "sync_selected": BulkAct(
            "A sync of each job is queued. A job that has one queued already, or whose connector is paused, is left"
            " alone.",
            "queued",
        ),
        "full_sync_selected": BulkAct(
            "A full sync of each job is queued: it fetches and compares every file's content. A job that has a sync"
            " queued already, or whose connector is paused, is left alone.",
            "queued in full",
        ),
        "enable_selected": BulkAct("Each job runs by its schedule again.", "enabled", Role.ADMIN),
        "disable_selected": BulkAct(
            "No job of these runs by its schedule any more; what runs now is finished.",
            "disabled",
            Role.ADMIN,
            tone="risk",
        ),
    }

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        return rows.select_related("workspace", "connector", "source_dataset", "dataset")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown: list[Any] = list(super().get_list_display(request))
        return shown if self.has_operate_permission(request) else shown[:-1]

    @admin.action(description="Sync now", permissions=["operate"])
    def sync_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        self._sync_all(request, rows, "sync_selected", None)

    @admin.action(description="Full sync now", permissions=["operate"])
    def full_sync_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        self._sync_all(request, rows, "full_sync_selected", SyncMode.FULL)

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        self._switch_all(request, rows, "enable_selected", enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        self._switch_all(request, rows, "disable_selected", enabled=False)

    def _sync_all(
        self, request: HttpRequest, rows: QuerySet[SyncJob], name: str, mode: SyncMode | None
    ) -> None:
        def sync(job: SyncJob) -> None:
            try:
                request_sync(job, mode=mode, by=str(request.user))
            except AlreadyQueued:
                raise NotDone("a sync is queued already") from None
            except (ConnectorPaused, WorkspaceBusy, JobBusy) as exc:
                raise NotDone(str(exc)) from None
            self.log_change(request, job, f"Queued {'a full' if mode else 'a'} sync.")

        work_through(request, rows[:BULK_MAX], self.bulk_acts[name], sync)

    def _switch_all(
        self, request: HttpRequest, rows: QuerySet[SyncJob], name: str, *, enabled: bool
    ) -> None:
        def switch(job: SyncJob) -> None:
            if not self._set_enabled(request, job, enabled=enabled):
                raise NotDone(f"{'enabled' if enabled else 'disabled'} already")

        work_through(request, rows[:BULK_MAX], self.bulk_acts[name], switch)

    def enqueue_sync(
        self, request: HttpRequest, job: SyncJob, mode: SyncMode | None
    ) -> SyncRecord | None:
        """Returns the record to show; None where there is none."""
        try:
            record = request_sync(job, mode=mode, by=str(request.user))
        except ConnectorPaused as exc:
            messages.warning(request, f"{job} is not queued: {exc}.")
            return None
        except AlreadyQueued as exc:
            messages.info(request, f"{job}: a sync is queued already.")
            return exc.record
        except (WorkspaceBusy, JobBusy) as exc:
            messages.warning(request, f"Not queued: {exc}.")
            return exc.record
        self.log_change(request, job, f"Queued {'a full' if mode else 'a'} sync.")
        messages.success(request, f"{job}: queued.")
        return record

    def switch(self, request: HttpRequest, job: SyncJob, *, enabled: bool) -> None:
        self._set_enabled(request, job, enabled=enabled)
        messages.success(request, f"{job} is {'enabled' if enabled else 'disabled'}.")

    def _set_enabled(self, request: HttpRequest, job: SyncJob, *, enabled: bool) -> bool:
        """False where it was so already."""
        if job.enabled == enabled:
            return False
        job.enabled = enabled
        save_job(job)
        self.log_change(request, job, "Enabled." if enabled else "Disabled.")
        return True

    @admin.display(description="connector", ordering="connector__name")
    def show_connector(self, job: SyncJob) -> str:
        source = job.connector or job.source_dataset
        return link(source, source.name) if source is not None else ""

    @admin.display(description="schedule")
    def show_schedule(self, job: SyncJob) -> str:
        return shorten_text(describe_schedule(job))

    @admin.display(description="next run", ordering="next_run_at")
    def next_run(self, job: SyncJob) -> str:
        if job.paused_at is not None:
            return label("paused", title=job.paused_reason)
        return moment(job.next_run_at) if job.enabled else NOTHING

    @admin.display(description="last run")
    def last_run(self, job: Any) -> str:
        latest: SyncRecord | None = job.facts.latest
        if latest is None:
            return NOTHING
        shown = label(latest.state, title=latest.error)
        return format_html(
            "{} {}", link(latest, shown), moment(latest.finished_at or latest.queued_at)
        )

    @admin.display(description="version")
    def version(self, job: Any) -> str:
        return f"v{job.facts.version}" if job.facts.version else NOTHING

    @admin.display(description="takes")
    def average(self, job: Any) -> str:
        return span_words(job.facts.average_s)

    @admin.display(description="")
    def run_now(self, job: SyncJob) -> str:
        """The list's own form carries the CSRF token; this button sends it elsewhere."""
        return format_html(
            '<button type="submit" class="sp-button sp-button-flat" title="Sync now" aria-label="Sync {} now"'
            ' formaction="{}">{}</button>',
            *(job.name, self.press_url(job, "sync"), icon("run")),
        )
