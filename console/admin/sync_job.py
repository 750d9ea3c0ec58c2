"""Sync jobs: what is copied from where, when, and how it went."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial, wraps
from typing import Any, TypeVar
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseRedirect,
)
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from connectors.models import Connector
from console import job_page, tenancy
from console.admin import backfills, job_typing, new_job
from console.admin.buttons import Button
from console.admin.deleting import count_words
from console.admin.option_fields import count_changed, is_advanced, names_in
from console.admin.schedule_fields import KIND, RULES, SHOWN
from console.admin.schedule_preview import plan_ahead
from console.admin.selection_preview import show_kept
from console.admin.sync_job_form import SyncJobForm
from console.admin.sync_job_list import JobListAdmin
from console.labels import find_page_url, moment
from console.live import fragment
from datasets.models import Dataset, DatasetKind
from farends.spec import FILES as FILE_KINDS
from syncjobs.configuration.jobs import default_schedule, resume_job, save_job
from syncjobs.models import Dependency, SyncJob, SyncMode, SyncRecord
from syncjobs.order.files import FILES
from syncjobs.order.job import GROUPS
from syncjobs.order.shared import COMPARISON
from syncjobs.order.timing import GROUP as SCHEDULE
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import ConnectorPaused
from syncjobs.works.table import kinds_with_work
from workspaces.models import Role

AT_FOOT = ("plan", "sync")  # on a phone
FOLLOWERS_SHOWN = 20
Shown = TypeVar("Shown")


def _fold_advanced(shown: dict[str, dict[str, Any]], job: SyncJob | None) -> None:
    """Moves what few need from the groups into one that is folded."""
    folded = [name for group in shown.values() for name in group["fields"] if is_advanced(name)]
    for group in shown.values():
        group["fields"] = [name for name in group["fields"] if name not in folded]
    changed = 0 if job is None else count_changed(folded, job)
    heading = "Advanced: limits, retries, windows, comparison"
    if changed:
        heading += f"; {changed} differ{'s' if changed == 1 else ''} from the default"
    # What it holds of the schedule is part of the preview of the next runs.
    shown[heading] = {"classes": ["collapse", "sp-scheduled"], "fields": folded}


def _show_what_was_sent(shown: dict[str, dict[str, Any]], sent: Mapping[str, str]) -> None:
    """A field of another kind of job that was sent all the same is shown, with what is wrong with it."""
    for group, fieldset in shown.items():
        fieldset["fields"] += [
            name for name in names_in(group) if sent.get(name) and name not in fieldset["fields"]
        ]


def _is_enabled(job: SyncJob) -> bool:
    return job.enabled


def _is_disabled(job: SyncJob) -> bool:
    return not job.enabled


def _is_paused(job: SyncJob) -> bool:
    return job.paused_at is not None


def _has_fires(job: SyncJob) -> bool:
    return bool({"cron", "every_s", "frequency"} & set(job.schedule))


def _show_once(show: Callable[[Any, Any], Shown]) -> Callable[[Any, Any], Shown]:
    """Decorates a field that is only shown: it is worked out once for each row that was read. Unfold's templates ask for
    it several times, and it costs queries."""
    name = f"_shown_{show.__name__}"

    @wraps(show)
    def kept(page: Any, row: Any) -> Shown:
        if name not in row.__dict__:
            row.__dict__[name] = show(page, row)
        shown: Shown = row.__dict__[name]
        return shown

    return kept


@admin.register(SyncJob)
class SyncJobAdmin(JobListAdmin):
    form = SyncJobForm
    conditional_fields = SHOWN  # unfold's: fields that appear with another's value
    change_form_template = "console/sync_job_form.html"
    delete_confirmation_template = "console/job_delete.html"

    class Media:
        js = ["console/selection.js"]

    buttons = (
        Button("sync", "Sync now", "run", tone="main"),
        Button("plan", "Plan", "plan"),
        Button("full", "Full sync now", "list", confirm="Fetch and compare every file's content?"),
        Button("resume", "Resume", "play", tone="main", shown=_is_paused),
        Button("disable", "Disable", "pause", needs=Role.ADMIN, shown=_is_enabled),
        Button("enable", "Enable", "play", needs=Role.ADMIN, shown=_is_disabled),
    )

    def get_urls(self) -> list[URLPattern]:
        preview = partial(job_typing.preview_view, self)
        own = [
            path("schedule/", preview, name="syncjobs_syncjob_preview_new"),
            path(
                "names/",
                self.admin_site.admin_view(partial(job_typing.names_view, self)),
                name="syncjobs_syncjob_names",
            ),
            path("<uuid:pk>/schedule/", preview, name="syncjobs_syncjob_preview"),
            path("match/", partial(job_typing.match_view, self), name="syncjobs_syncjob_match"),
            path(
                "<uuid:pk>/",
                self.admin_site.admin_view(self.status_view),
                name="syncjobs_syncjob_status",
            ),
            path(
                "<uuid:pk>/records/",
                self.admin_site.admin_view(self.records_view),
                name="syncjobs_syncjob_records",
            ),
            path("<uuid:pk>/state/", fragment(self.state_view), name="syncjobs_syncjob_state"),
            path(
                "<uuid:pk>/figures/", fragment(self.figures_view), name="syncjobs_syncjob_figures"
            ),
            path(
                "<uuid:pk>/backfill/",
                self.admin_site.admin_view(partial(backfills.backfill_view, self)),
                name="syncjobs_syncjob_backfill",
            ),
            path(
                "<uuid:pk>/backfill/live/",
                fragment(partial(backfills.backfill_live_view, self)),
                name="syncjobs_syncjob_backfills_live",
            ),
            path(
                "backfills/<uuid:pk>/cancel/",
                self.admin_site.admin_view(partial(backfills.cancel_view, self)),
                name="syncjobs_syncjob_backfill_cancel",
            ),
        ]
        return [*own, *super().get_urls()]

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if self.has_add_permission(request) and not new_job.is_source_given(request):
            return new_job.choose_source_view(self, request)
        return super().add_view(request, form_url, extra_context)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        return new_job.suggest_values(request) | super().get_changeform_initial_data(request)

    def status_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        job = self._find(request, pk)
        context = self._page_context(request, job) | job_page.describe_job_page(job)
        return TemplateResponse(request, "console/job.html", context)

    def records_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """All its records, a page at a time."""
        job = self._find(request, pk)
        show, before = request.GET.get("show", ""), request.GET.get("before", "")
        found, following, within = job_page.list_job_records(job, show, before)
        context = self._page_context(request, job) | job_page.describe_job_state(job)
        context |= {
            "records": [(record, job_page.tell_outcome(record)) for record in found],
            "following": following,
            "within": within,
            "paged": bool(before),
            "show": show,
            "pills": job_page.RECORD_PILLS,
        }
        return TemplateResponse(request, "console/job_records.html", context)

    def state_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        context = job_page.describe_job_state(self._find(request, pk))
        return TemplateResponse(request, "console/job_state.html", context)

    def figures_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        context = job_page.describe_job_page(self._find(request, pk))
        return TemplateResponse(request, "console/job_figures.html", context)

    def page(self, obj: SyncJob) -> str:
        return find_page_url(obj)

    def _find(self, request: HttpRequest, pk: UUID) -> SyncJob:
        job = self.get_object(request, str(pk))
        if not isinstance(job, SyncJob) or not self.has_view_permission(request, job):
            raise Http404
        return job

    def _page_context(self, request: HttpRequest, job: SyncJob) -> dict[str, Any]:
        buttons = self.buttons_for(request, job)
        return {
            **self.admin_site.each_context(request),
            "title": job.name,
            "subtitle": None,
            "opts": self.opts,
            "original": job,
            "job": job,
            "buttons": buttons,
            "bottom_buttons": [item for item in buttons if item["button"].name in AT_FOOT],
            "side_buttons": [item for item in buttons if item["button"].name not in AT_FOOT],
            "may_backfill": _has_fires(job) and self.has_operate_permission(request, job),
        }

    def get_fieldsets(self, request: HttpRequest, obj: SyncJob | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        far_end = new_job.find_far_end(request) if obj is None else obj.far_end
        shown = {group: {"fields": names_in(group, far_end)} for group in GROUPS}
        shown[""]["fields"].insert(0, "workspace")
        if far_end != FILE_KINDS if obj is None else obj.source_dataset_id is not None:
            place = shown[""]["fields"].index("connector") + 1
            shown[""]["fields"].insert(place, "source_dataset")
        if obj is None:
            _show_what_was_sent(shown, request.POST)
        schedule = [*KIND, *RULES, "plan"] if editable else ["fires"]
        shown[SCHEDULE] = {"classes": ["sp-scheduled"], "fields": schedule}
        if obj:
            shown[COMPARISON]["fields"].append("verified")
        if editable:
            if "exclude" in shown[FILES]["fields"]:
                place = shown[FILES]["fields"].index("exclude") + 1
                shown[FILES]["fields"].insert(place, "matches")
            _fold_advanced(shown, obj)
        return [
            (group or None, fieldset) for group, fieldset in shown.items() if fieldset["fields"]
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: SyncJob | None = None) -> list[str]:
        shown = ["plan", "matches"]
        return ["workspace", "fires", "verified", *shown] if obj else shown

    def formfield_for_foreignkey(
        self, db_field: Any, request: HttpRequest, **kwargs: Any
    ) -> forms.ModelChoiceField[Any] | None:
        object_id = (
            request.resolver_match.kwargs.get("object_id") if request.resolver_match else None
        )
        if db_field.name == "connector":
            rows = Connector.objects.filter(kind__in=kinds_with_work())
            job = self.get_object(request, object_id) if object_id else None
            kwargs["queryset"] = (
                tenancy.scope(request, rows, needed=Role.ADMIN)
                if job is None
                else rows.filter(workspace=job.workspace_id)
            )
        if db_field.name == "source_dataset":
            datasets = Dataset.objects.filter(kind=DatasetKind.FILES)
            kwargs["queryset"] = tenancy.scope(request, datasets, needed=Role.ADMIN)
            kwargs["label"] = "or the files of a dataset"
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: SyncJob, form: Any, change: bool) -> None:
        save_job(obj)

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        job = context.get("original")
        if isinstance(job, SyncJob):
            context |= {"job": job} | job_page.describe_job_state(self._as_stored(request, job))
            context["preview"] = getattr(context["adminform"].form, "preview", None)
        return super().render_change_form(request, context, *args, **kwargs)

    def _as_stored(self, request: HttpRequest, job: SyncJob) -> SyncJob:
        """A form that could not be saved has changed the job in hand."""
        stored = self.get_object(request, str(job.pk)) if request.method == "POST" else job
        return stored if isinstance(stored, SyncJob) else job

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Records go with their job; the dataset and all its versions stay."""
        tree: list[Any] = []
        for job in objs:
            history = count_words(SyncRecord.objects.filter(job=job), "sync record")
            tree.append(str(job))
            tree.append([f"{history} of its runs"] if history else [])
        live = SyncRecord.either.filter(job__in=[job.pk for job in objs], state="running")
        protected = [
            f"{record} is running: cancel it first" for record in live.select_related("job")
        ]
        chosen = [job.pk for job in objs]
        followed = Dependency.objects.filter(parent__in=chosen).exclude(job__in=chosen)
        protected += [
            f"{row.job} runs after {row.parent}: change its schedule first"
            for row in followed.select_related("job", "parent")[:FOLLOWERS_SHOWN]
        ]
        refused = self.refuse_deletion(request, objs)
        return tree, {"sync jobs": len(list(objs))}, refused, protected

    def press_sync(self, request: HttpRequest, job: SyncJob) -> HttpResponse | None:
        return self._sync(request, job, None)

    def press_plan(self, request: HttpRequest, job: SyncJob) -> HttpResponse | None:
        """A dry run; its record shows what a sync would do, to be approved there."""
        try:
            record = request_sync(job, by=str(request.user), dry_run=True)
        except ConnectorPaused as exc:
            messages.warning(request, f"No plan is made: {exc}.")
            return None
        self.log_change(request, job, "Queued a dry run.")
        messages.success(request, f"{job}: its plan is being made.")
        return HttpResponseRedirect(find_page_url(record))

    def press_full(self, request: HttpRequest, job: SyncJob) -> HttpResponse | None:
        return self._sync(request, job, SyncMode.FULL)

    def _sync(
        self, request: HttpRequest, job: SyncJob, mode: SyncMode | None
    ) -> HttpResponse | None:
        record = self.enqueue_sync(request, job, mode)
        return None if record is None else HttpResponseRedirect(find_page_url(record))

    def press_resume(self, request: HttpRequest, job: SyncJob) -> None:
        if resume_job(job):
            self.log_change(request, job, "Resumed.")
        messages.success(request, f"{job} goes on.")

    def press_enable(self, request: HttpRequest, job: SyncJob) -> None:
        self.switch(request, job, enabled=True)

    def press_disable(self, request: HttpRequest, job: SyncJob) -> None:
        self.switch(request, job, enabled=False)

    @admin.display(description="last verified")
    def verified(self, job: SyncJob) -> str:
        return moment(job.last_verified_at)

    @admin.display(description="next runs")
    @_show_once
    def fires(self, job: SyncJob) -> str:
        return plan_ahead(job, job).markup()

    @admin.display(description="files of the host")
    @_show_once
    def matches(self, job: SyncJob) -> str:
        """Follows what is typed."""
        return show_kept(job, reverse("admin:syncjobs_syncjob_match"))

    @admin.display(description="next runs")
    @_show_once
    def plan(self, job: SyncJob) -> str:
        """Follows what is typed; `job` holds what was sent where that could not be saved."""
        new = job._state.adding
        if new and not job.schedule:
            job.schedule = default_schedule() or {}  # what the form begins with
        stored = job if new else SyncJob.objects.select_related("workspace").get(pk=job.pk)
        view = "admin:syncjobs_syncjob_preview"
        names = reverse("admin:syncjobs_syncjob_names")
        return format_html(
            '<div id="schedule-plan" role="status" hx-post="{}" hx-trigger="{}" hx-sync="this:replace"'
            ' data-names-url="{}">{}</div>',
            reverse(f"{view}_new") if new else reverse(view, args=[job.pk]),
            "input from:.sp-scheduled delay:300ms, change from:closest form delay:300ms",
            names if new else f"{names}?workspace={job.workspace_id}",
            plan_ahead(job, stored).markup(),
        )
