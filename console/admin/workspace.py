"""Workspaces. Superusers make and remove them; admins of one may rename it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Func, IntegerField, Model, OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from connectors.models import Connector
from console import tenancy
from console.admin.forms import AnyModelForm, BlackoutsField, WindowsField, keep_calendar
from console.admin.scoped import ScopedAdmin
from console.search_settings import search_settings_view
from syncjobs.configuration.jobs import delete_workspace, save_workspace
from syncjobs.models import SyncJob
from syncjobs.queries.fires import describe_calendar
from workspaces.lookup import find_workspace
from workspaces.models import Member, Workspace

LIMITS = ["max_running", "max_store_bytes", "one_sync_at_a_time"]
KEEPING = ["keep_versions", "keep_days", "keep_bytes"]


class WorkspaceSettingsForm(AnyModelForm):
    windows = WindowsField(
        label="Only within these windows",
        help_text="What runs at the end of one goes on in the next. Empty: at any time.",
    )
    blackouts = BlackoutsField(
        label="Never within these blackouts", help_text="They win over windows."
    )

    class Meta:
        model = Workspace
        fields = ["name", *LIMITS, *KEEPING, "windows", "blackouts"]
        labels = {
            "max_running": "Records at once",
            "max_store_bytes": "Bytes it may hold",
            "keep_versions": "Keep versions",
            "keep_days": "Keep for (days)",
            "keep_bytes": "Keep as long as they need (bytes)",
        }
        help_texts = {
            "max_running": "Further ones wait. Empty: no limit of its own.",
            "max_store_bytes": "Of the contents that its versions name, each once; a sync that would go over"
            " it fails before it fetches. Empty: no limit.",
            "keep_versions": "So many of the newest of each dataset; the current one and the one before it always stay."
            " Empty in all three: every version is kept.",
            "keep_days": "Each, for so many days after a newer one took its place.",
            "keep_bytes": "The newest for which what only older versions need is no larger than this.",
            "one_sync_at_a_time": "A further sync by hand is refused while one runs.",
        }

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        keep_calendar(self, self.instance)
        return self.cleaned_data


def _count_of(model: type[Model]) -> Subquery:
    """The rows that a workspace has of one model. Joined in one statement, the three would multiply each other."""
    rows = model._default_manager.filter(workspace=OuterRef("pk")).order_by()
    counts = rows.annotate(count=Func("pk", function="count")).values("count")
    return Subquery(counts, output_field=IntegerField())


@admin.register(Workspace)
class WorkspaceAdmin(ScopedAdmin):
    form = WorkspaceSettingsForm
    workspace_path = "pk"
    change_form_template = "console/workspace_form.html"
    list_display = ["name", "connectors", "sync_jobs", "members", "created_at"]
    search_fields = ["name"]

    def get_fieldsets(self, request: HttpRequest, obj: Model | None = None) -> Any:
        editable = obj is None or self.has_change_permission(request, obj)
        when = ["windows", "blackouts"] if editable else ["show_windows"]
        return [
            (None, {"fields": ["name", *LIMITS, "created_at"]}),
            ("How long versions of its datasets are kept", {"fields": KEEPING}),
            ("When its jobs may work", {"fields": when}),
        ]

    def get_urls(self) -> list[URLPattern]:
        choose = path(
            "choose/",
            self.admin_site.admin_view(self.choose_view),
            name="workspaces_workspace_choose",
        )
        searched = path(
            "<uuid:object_id>/search/",
            self.admin_site.admin_view(self.search_view),
            name="workspaces_workspace_search",
        )
        return [choose, searched, *super().get_urls()]

    def search_view(self, request: HttpRequest, object_id: UUID) -> HttpResponse:
        """How the workspace is searched. 404 for one that is not there or not theirs, 403 for a viewer who writes."""
        workspace = self.get_object(request, str(object_id))
        if workspace is None:
            raise Http404
        return search_settings_view(request, workspace)

    def choose_view(self, request: HttpRequest) -> HttpResponse:
        """Which workspace the lists show, and requests by this session mean that name none."""
        mine = tenancy.scope(request, Workspace.objects.all(), path="pk")
        if request.method != "POST":
            context = {
                **self.admin_site.each_context(request),
                "title": "Work in",
                "workspaces": mine,
                "chosen": tenancy.find_current_workspace(request),
            }
            return TemplateResponse(request, "console/choose.html", context)
        given = request.POST.get("workspace", "")
        found = find_workspace(given, mine) if given else None
        if given and found is None:
            raise Http404
        tenancy.switch_workspace(request, found.pk if found else None)
        return HttpResponseRedirect(reverse("admin:index"))

    def save_model(self, request: HttpRequest, obj: Workspace, form: Any, change: bool) -> None:
        save_workspace(obj)

    def delete_model(self, request: HttpRequest, obj: Workspace) -> None:
        delete_workspace(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Workspace]) -> None:
        for workspace in self.changeable(request, queryset):
            delete_workspace(workspace)

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["created_at", "show_windows"]

    @admin.display(description="windows and blackouts")
    def show_windows(self, row: Workspace) -> str:
        return "\n".join(describe_calendar(row.calendar)) or "at any time"

    def workspace_of(self, obj: Workspace) -> UUID:
        return obj.pk

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(
            connector_count=_count_of(Connector),
            job_count=_count_of(SyncJob),
            member_count=_count_of(Member),
        )
        return counted

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Only an empty workspace goes: what it holds is removed by name, never in passing."""
        chosen = [obj.pk for obj in objs]
        counted = self.get_queryset(request).filter(pk__in=chosen)
        protected = [
            f"{row.name}: {row.connector_count} connectors, {row.job_count} sync jobs"
            for row in counted
            if row.connector_count or row.job_count or row.datasets.exists()
        ]
        refused = self.refuse_deletion(request, objs)
        return [str(obj) for obj in objs], {"workspaces": len(chosen)}, refused, protected

    @admin.display(ordering="connector_count")
    def connectors(self, row: Any) -> int:
        return int(row.connector_count)

    @admin.display(ordering="job_count", description="sync jobs")
    def sync_jobs(self, row: Any) -> int:
        return int(row.job_count)

    @admin.display(ordering="member_count")
    def members(self, row: Any) -> int:
        return int(row.member_count)
