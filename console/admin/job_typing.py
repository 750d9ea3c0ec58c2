"""Answers to the form of a job while a person types in it; nothing here saves."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import (
    HttpRequest,
    HttpResponse,
    HttpResponseNotAllowed,
    JsonResponse,
    QueryDict,
)
from django.template.loader import render_to_string
from django.urls import reverse

from connectors.models import Connector
from console import tenancy
from console.admin.buttons import ButtonsAdmin
from console.admin.schedule_preview import preview
from console.admin.selection_preview import lists_files, show_matches
from syncjobs.models import SyncJob
from workspaces.lookup import filter_by_part
from workspaces.models import Role, Workspace

NAMES_SHOWN = 20


def preview_view(page: ButtonsAdmin, request: HttpRequest, pk: UUID | None = None) -> HttpResponse:
    """What the form as it stands would do. Whoever may not save it is refused; a log-in form in its
    place would only hide that what was typed is still there."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not page.admin_site.has_permission(request):
        return HttpResponse(status=403)
    job: SyncJob | None = SyncJob() if pk is None else page.get_object(request, str(pk))
    if job is None:
        return HttpResponse(status=404)
    allowed = page.has_change_permission(request, job) if pk else page.has_add_permission(request)
    if not allowed:
        return HttpResponse(status=403)
    if pk is None and (workspace := _workspace_named(request, request.POST)) is not None:
        job.workspace = workspace
    shown = preview(request.POST, job)
    return HttpResponse(shown, headers={"Cache-Control": "no-store"})


def match_view(page: ButtonsAdmin, request: HttpRequest) -> HttpResponse:
    """Which files of the chosen host the form as it stands takes. For those who may save such a form."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    if not page.admin_site.has_permission(request):
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


def names_view(page: ButtonsAdmin, request: HttpRequest) -> JsonResponse:
    """What `schedule.js` offers: jobs of one workspace, or of all in which the person may make one."""
    rows = tenancy.scope(request, SyncJob.objects.order_by("name"), needed=Role.ADMIN)
    if (workspace := _workspace_named(request, request.GET)) is not None:
        rows = rows.filter(workspace=workspace)
    found = filter_by_part(rows, request.GET.get("term", ""))
    number = request.GET.get("page", "1")
    start = (
        (int(number) - 1) * NAMES_SHOWN if number.isdecimal() and 0 < int(number) < 10_000 else 0
    )
    names = list(found.values_list("name", flat=True).distinct()[start : start + NAMES_SHOWN + 1])
    return JsonResponse(
        {
            "results": [{"id": name, "text": name} for name in names[:NAMES_SHOWN]],
            "pagination": {"more": len(names) > NAMES_SHOWN},
        }
    )


def _workspace_named(request: HttpRequest, given: QueryDict) -> Workspace | None:
    try:
        pk = UUID(given.get("workspace", ""))
    except ValueError:
        return None
    rows = tenancy.scope(request, Workspace.objects.all(), path="pk", needed=Role.ADMIN)
    return rows.filter(pk=pk).first()
