"""Sync jobs: what is copied from where, when, and how it went."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils.html import format_html

from connectors.models import Connector
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.deleting import count_words
from console.admin.filters import ConnectorFilter, WorkspaceFilter
from console.admin.schedule_fields import NAMES, SHOWN
from console.admin.sync_job_form import SyncJobForm
from console.labels import label, link, moment, page_of
from console.schedule_plan import FIRES_SHOWN, plan_of
from console.words import NOTHING, span_words
from syncjobs.lifecycle.enqueueing import AlreadyQueued, WorkspaceBusy
from syncjobs.lifecycle.planning import resume_job, save_job
from syncjobs.lifecycle.requesting import request_sync
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queries.fires import describe_schedule, find_fires
from syncjobs.queries.job_facts import JobFacts, load_facts
from workspaces.models import Role


class JobList(ChangeList):
    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        facts = load_facts(list(self.result_list))
        for job in self.result_list:
            job.facts = facts.get(job.pk, JobFacts())


def _is_enabled(job: SyncJob) -> bool:
    return job.enabled


def _is_disabled(job: SyncJob) -> bool:
    return not job.enabled


def _is_paused(job: SyncJob) -> bool:
    return job.paused_at is not None


SELECTION = [
    "filters",
    "extensions",
    "max_age_s",
    "settle_s",
    "done_pattern",
    "max_files",
    "max_bytes",
]

HOW = [
    "sync_mode",
    "comparison",
    "verify_every_s",
    "on_delete",
    "after_publish",
    "move_to",
    "timeout_s",
    "max_attempts",
    "pause_after_failures",
]


@admin.register(SyncJob)
class SyncJobAdmin(ButtonsAdmin):
    form = SyncJobForm
    list_display = [
        "name",
        "workspace",
        "connector_shown",
        "schedule_shown",
        "enabled",
        "next_run",
        "last_run",
        "version",
        "average",
        "run_now",
    ]
    list_filter = [WorkspaceFilter, ConnectorFilter, "enabled", "sync_mode"]
    list_select_related = ["workspace", "connector"]
    search_fields = ["name", "connector__name"]
    actions = ["sync_selected", "full_sync_selected", "enable_selected", "disable_selected"]
    conditional_fields = SHOWN | {
        "move_to": "after_publish == 'move'"
    }  # unfold's: fields that appear with another's value
    change_form_template = "console/sync_job_form.html"
    buttons = (
        Button("sync", "Sync now", "sync", tone="primary"),
        Button("plan", "Plan", "fact_check"),
        Button("full", "Full sync now", "rule", confirm="Fetch and compare every file's content?"),
        Button("resume", "Resume", "resume", tone="primary", shown=_is_paused),
        Button("disable", "Disable", "pause", needs=Role.ADMIN, shown=_is_enabled),
        Button("enable", "Enable", "play_arrow", needs=Role.ADMIN, shown=_is_disabled),
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        schedule: list[Any] = list(NAMES) if editable else ["schedule_shown"]
        if obj is not None:
            schedule.append("fires")
        size = "max_file_size_mib" if editable else "max_file_size_bytes"
        return [
            (None, {"fields": ["workspace", "name", "connector", "enabled"]}),
            ("Schedule", {"fields": schedule}),
            ("Files", {"fields": ["include", "exclude", size, *SELECTION]}),
            ("How", {"fields": [*HOW, *(["verified"] if obj else [])]}),
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return ["workspace", "schedule_shown", "fires", "verified"] if obj else []

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        object_id = (
            request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        )
        if db_field.name == "connector" and object_id:
            job = self.get_object(request, object_id)
            if job is not None:
                kwargs["queryset"] = Connector.objects.filter(workspace=job.workspace_id)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: SyncJob, form: Any, change: bool) -> None:
        save_job(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job = context.get("original")
        if isinstance(job, SyncJob):
            context["facts"] = load_facts([job]).get(job.pk, JobFacts())
            recent = SyncRecord.objects.filter(job=job).order_by("-queued_at")[:6]
            context["recent"] = recent
            context["schedule_words"] = describe_schedule(job)
            context["preview"] = getattr(context["adminform"].form, "preview", None)
        return super().render_change_form(request, context, *args, **kwargs)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Records go with their job; the dataset and all its versions stay."""
        tree: list[Any] = []
        for job in objs:
            history = count_words(SyncRecord.objects.filter(job=job), "sync record")
            tree.append(str(job))
            tree.append([f"{history} of its runs"] if history else [])
        live = SyncRecord.objects.filter(job__in=[job.pk for job in objs], state="running")
        protected = [
            f"{record} is running: cancel it first" for record in live.select_related("job")
        ]
        refused = self.refuse_deletion(request, objs)
        return tree, {"sync jobs": len(list(objs))}, refused, protected

    def press_sync(self, request: HttpRequest, job: SyncJob) -> HttpResponse:
        return HttpResponseRedirect(page_of(self._enqueue(request, job, None)))

    def press_plan(self, request: HttpRequest, job: SyncJob) -> HttpResponse:
        """A dry run; its record shows what a sync would do, to be approved there."""
        record = request_sync(job, by=str(request.user), dry_run=True)
        self.log_change(request, job, "Queued a dry run.")
        messages.success(request, f"{job}: its plan is being made.")
        return HttpResponseRedirect(page_of(record))

    def press_full(self, request: HttpRequest, job: SyncJob) -> HttpResponse:
        return HttpResponseRedirect(page_of(self._enqueue(request, job, SyncMode.FULL)))

    def press_resume(self, request: HttpRequest, job: SyncJob) -> None:
        if resume_job(job):
            self.log_change(request, job, "Resumed.")
        messages.success(request, f"{job} goes on.")

    def press_enable(self, request: HttpRequest, job: SyncJob) -> None:
        self._switch(request, job, enabled=True)

    def press_disable(self, request: HttpRequest, job: SyncJob) -> None:
        self._switch(request, job, enabled=False)

    @admin.action(description="Sync now", permissions=["operate"])
    def sync_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        for job in self.operable(request, rows):
            self._enqueue(request, job, None)

    @admin.action(description="Full sync now", permissions=["operate"])
    def full_sync_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        for job in self.operable(request, rows):
            self._enqueue(request, job, SyncMode.FULL)

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        for job in self.changeable(request, rows):
            self._switch(request, job, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, rows: QuerySet[SyncJob]) -> None:
        for job in self.changeable(request, rows):
            self._switch(request, job, enabled=False)

    def _enqueue(self, request: HttpRequest, job: SyncJob, mode: SyncMode | None) -> SyncRecord:
        try:
            record = request_sync(job, mode=mode, by=str(request.user))
        except AlreadyQueued as exc:
            messages.info(request, f"{job}: a sync is queued already.")
            return exc.record
        except WorkspaceBusy as exc:
            messages.warning(request, f"Not queued: {exc}.")
            return exc.record
        self.log_change(request, job, f"Queued {'a full' if mode else 'a'} sync.")
        messages.success(request, f"{job}: queued.")
        return record

    def _switch(self, request: HttpRequest, job: SyncJob, *, enabled: bool) -> None:
        word = "enabled" if enabled else "disabled"
        if job.enabled != enabled:
            job.enabled = enabled
            save_job(job)
            self.log_change(request, job, f"{word.capitalize()}.")
        messages.success(request, f"{job} is {word}.")

    @admin.display(description="connector", ordering="connector__name")
    def connector_shown(self, job: SyncJob) -> str:
        return link(job.connector, job.connector.name)

    @admin.display(description="schedule")
    def schedule_shown(self, job: SyncJob) -> str:
        return describe_schedule(job)

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

    @admin.display(description="last verified")
    def verified(self, job: SyncJob) -> str:
        return moment(job.last_verified_at)

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
            '<button type="submit" class="sp-icon" title="Sync now" formaction="{}">'
            '<span class="material-symbols-outlined">sync</span></button>',
            self.press_url(job, "sync"),
        )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown: list[Any] = list(super().get_list_display(request))
        return shown if self.has_operate_permission(request) else shown[:-1]

    @admin.display(description="next runs")
    def fires(self, job: SyncJob) -> str:
        fires = find_fires(job, FIRES_SHOWN)
        return plan_of(job, fires, _why_no_fires(job) if not fires else "").markup()


def _why_no_fires(job: SyncJob) -> str:
    if not job.enabled:
        return "Disabled: it runs by hand only."
    if job.paused_at is not None:
        return "Paused: it runs by hand only, until it is resumed."
    return ""
