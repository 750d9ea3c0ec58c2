"""Sync jobs: what is copied from where, when, and how it went."""

from __future__ import annotations

from functools import partial
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
    JsonResponse,
    QueryDict,
)
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from connectors.models import Connector
from console import job_page, tenancy
from console.admin import backfills
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.deleting import count_words
from console.admin.filters import ConnectorFilter, WorkspaceFilter
from console.admin.option_fields import count_changed, is_advanced, names_in
from console.admin.schedule_fields import KIND, RULES, SHOWN
from console.admin.schedule_preview import plan_ahead, preview
from console.admin.selection_preview import lists_files, show_kept, show_matches
from console.admin.sync_job_form import SyncJobForm
from console.labels import find_page_url, icon, label, link, moment
from console.live import fragment
from console.words import NOTHING, span_words
from datasets.models import Dataset, DatasetKind
from farends.spec import ROWS
from syncjobs.configuration.jobs import resume_job, save_job
from syncjobs.models import Dependency, SyncJob, SyncMode, SyncRecord
from syncjobs.order.files import FILES
from syncjobs.order.job import GROUPS
from syncjobs.order.shared import COMPARISON
from syncjobs.order.timing import GROUP as SCHEDULE
from syncjobs.queries.fires import describe_schedule
from syncjobs.queries.job_facts import JobFacts, load_facts
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import ConnectorPaused
from syncjobs.works.table import kinds_with_work
from workspaces.lookup import filter_by_part
from workspaces.models import Role, Workspace

NAMES_SHOWN = 20
AT_FOOT = ("plan", "sync")  # on a phone
FOLLOWERS_SHOWN = 20


class JobList(ChangeList):
    def url_for_result(self, result: Any) -> str:
        return find_page_url(result)

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        facts = load_facts(list(self.result_list))
        for job in self.result_list:
            job.facts = facts.get(job.pk, JobFacts())


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


def _is_enabled(job: SyncJob) -> bool:
    return job.enabled


def _is_disabled(job: SyncJob) -> bool:
    return not job.enabled


def _is_paused(job: SyncJob) -> bool:
    return job.paused_at is not None


def _has_fires(job: SyncJob) -> bool:
    return bool({"cron", "every_s", "frequency"} & set(job.schedule))


@admin.register(SyncJob)
class SyncJobAdmin(ButtonsAdmin):
    form = SyncJobForm
    list_display = [
        "name",
        "workspace",
        "show_connector",
        "show_schedule",
        "enabled",
        "next_run",
        "last_run",
        "version",
        "average",
        "run_now",
    ]
    list_filter = [WorkspaceFilter, ConnectorFilter, "enabled", "sync_mode"]
    list_select_related = ["workspace", "connector", "source_dataset"]
    search_fields = ["name", "connector__name"]
    actions = ["sync_selected", "full_sync_selected", "enable_selected", "disable_selected"]
    conditional_fields = SHOWN  # unfold's: fields that appear with another's value
    change_form_template = "console/sync_job_form.html"

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
        own = [
            path("schedule/", self.preview_view, name="syncjobs_syncjob_preview_new"),
            path(
                "names/", self.admin_site.admin_view(self.names_view), name="syncjobs_syncjob_names"
            ),
            path("<uuid:pk>/schedule/", self.preview_view, name="syncjobs_syncjob_preview"),
            path("match/", self.match_view, name="syncjobs_syncjob_match"),
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

    def preview_view(self, request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
        """What the form as it stands would do. Whoever may not save it is refused; a log-in form in its
        place would only hide that what was typed is still there."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.admin_site.has_permission(request):
            return HttpResponse(status=403)
        job: SyncJob | None = SyncJob() if pk is None else self.get_object(request, str(pk))
        if job is None:
            return HttpResponse(status=404)
        allowed = (
            self.has_change_permission(request, job) if pk else self.has_add_permission(request)
        )
        if not allowed:
            return HttpResponse(status=403)
        if pk is None and (workspace := self._workspace_named(request, request.POST)) is not None:
            job.workspace = workspace
        shown = preview(request.POST, job)
        return HttpResponse(shown, headers={"Cache-Control": "no-store"})

    def match_view(self, request: HttpRequest) -> HttpResponse:
        """Which files of the chosen host the form as it stands takes. For those who may save such a form."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        if not self.admin_site.has_permission(request):
            return HttpResponse(status=403)
        try:
            pk = UUID(request.POST.get("connector", ""))
        except ValueError:
            context: dict[str, Any] = {"wrong": "Choose a connector first."}
        else:
            rows = tenancy.scope(request, Connector.objects.all(), needed=Role.ADMIN)
            connector = rows.select_related("workspace").filter(pk=pk).first()
            if connector is None:
                return HttpResponse(status=404)
            context = (
                show_matches(request.POST, connector)
                if lists_files(connector)
                else {"wrong": "This connector has tables: choose them on its page."}
            )
        context["match_url"] = reverse("admin:syncjobs_syncjob_match")
        answer = render_to_string("console/selection_matches.html", context, request)
        return HttpResponse(answer, headers={"Cache-Control": "no-store"})

    def names_view(self, request: HttpRequest) -> JsonResponse:
        """What `schedule.js` offers: jobs of one workspace, or of all in which the person may make one."""
        rows = tenancy.scope(request, SyncJob.objects.order_by("name"), needed=Role.ADMIN)
        if (workspace := self._workspace_named(request, request.GET)) is not None:
            rows = rows.filter(workspace=workspace)
        found = filter_by_part(rows, request.GET.get("term", ""))
        page = request.GET.get("page", "1")
        start = (int(page) - 1) * NAMES_SHOWN if page.isdecimal() and 0 < int(page) < 10_000 else 0
        names = list(
            found.values_list("name", flat=True).distinct()[start : start + NAMES_SHOWN + 1]
        )
        return JsonResponse(
            {
                "results": [{"id": name, "text": name} for name in names[:NAMES_SHOWN]],
                "pagination": {"more": len(names) > NAMES_SHOWN},
            }
        )

    def _workspace_named(self, request: HttpRequest, given: QueryDict) -> Workspace | None:
        try:
            pk = UUID(given.get("workspace", ""))
        except ValueError:
            return None
        rows = tenancy.scope(request, Workspace.objects.all(), path="pk", needed=Role.ADMIN)
        return rows.filter(pk=pk).first()

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return JobList

    def get_fieldsets(self, request: HttpRequest, obj: SyncJob | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        far_end = self._find_far_end(request) if obj is None else obj.far_end
        shown = {group: {"fields": names_in(group, far_end)} for group in GROUPS}
        shown[""]["fields"].insert(0, "workspace")
        if obj is None or obj.source_dataset_id is not None:
            place = shown[""]["fields"].index("connector") + 1
            shown[""]["fields"].insert(place, "source_dataset")
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

    def _find_far_end(self, request: HttpRequest) -> str | None:
        """What the source has that a new job was asked for, such as by a link of a connector: its form has the fields of
        that kind alone. None where nothing was chosen yet."""
        if request.method != "GET":
            return None
        if request.GET.get("source_dataset"):
            return ROWS
        try:
            pk = UUID(request.GET.get("connector", ""))
        except ValueError:
            return None
        rows = tenancy.scope(request, Connector.objects.all(), needed=Role.ADMIN)
        chosen = rows.filter(pk=pk).first()
        return None if chosen is None else SyncJob(connector=chosen).far_end

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
        record = self._enqueue(request, job, mode)
        return None if record is None else HttpResponseRedirect(find_page_url(record))

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

    def _enqueue(
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

    def _switch(self, request: HttpRequest, job: SyncJob, *, enabled: bool) -> None:
        word = "enabled" if enabled else "disabled"
        if job.enabled != enabled:
            job.enabled = enabled
            save_job(job)
            self.log_change(request, job, f"{word.capitalize()}.")
        messages.success(request, f"{job} is {word}.")

    @admin.display(description="connector", ordering="connector__name")
    def show_connector(self, job: SyncJob) -> str:
        source = job.connector or job.source_dataset
        return link(source, source.name) if source is not None else ""

    @admin.display(description="schedule")
    def show_schedule(self, job: SyncJob) -> str:
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
            '<button type="submit" class="sp-button sp-button-flat" title="Sync now" aria-label="Sync {} now"'
            ' formaction="{}">{}</button>',
            *(job.name, self.press_url(job, "sync"), icon("run")),
        )

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown: list[Any] = list(super().get_list_display(request))
        return shown if self.has_operate_permission(request) else shown[:-1]

    @admin.display(description="next runs")
    def fires(self, job: SyncJob) -> str:
        return plan_ahead(job, job).markup()

    @admin.display(description="files of the host")
    def matches(self, job: SyncJob) -> str:
        """Follows what is typed."""
        return show_kept(job, reverse("admin:syncjobs_syncjob_match"))

    @admin.display(description="next runs")
    def plan(self, job: SyncJob) -> str:
        """Follows what is typed; `job` holds what was sent where that could not be saved."""
        new = job._state.adding
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
