"""A new job begins with its source: a page that lists them, and then a form that has the fields of that kind alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse

from connectors.models import Connector
from console import tenancy
from console.admin.buttons import ButtonsAdmin
from console.admin.tables import has_tables
from console.connector_page import find_job_url
from datasets.models import Dataset, DatasetKind
from farends.registry import SPECS
from farends.spec import ROWS
from syncjobs.models import SyncJob
from syncjobs.works.table import kinds_with_work
from workspaces.lookup import filter_by_part, find_by_name
from workspaces.models import Role

SOURCES_SHOWN = 50


@dataclass(frozen=True, slots=True)
class OfferedSource:
    """`url` leads to where a job that reads it is made."""

    name: str
    url: str
    kind: str
    place: str
    workspace: str
    status: str = ""


def is_source_given(request: HttpRequest) -> bool:
    return request.method != "GET" or bool(
        request.GET.get("source_dataset") or find_source(request, request.GET.get("connector"))
    )


def find_source(request: HttpRequest, given: str | None) -> Connector | None:
    """The connector of this id, if the person may make jobs for it."""
    try:
        pk = UUID(given or "")
    except ValueError:
        return None
    rows = tenancy.scope(request, Connector.objects.all(), needed=Role.ADMIN)
    return rows.filter(pk=pk).first()


def find_far_end(request: HttpRequest) -> str | None:
    """What the source has that the form of a new job is for. None where nothing was chosen yet."""
    given = request.POST if request.method == "POST" else request.GET
    if given.get("source_dataset"):
        return ROWS
    chosen = find_source(request, given.get("connector"))
    return None if chosen is None else SyncJob(connector=chosen).far_end


def suggest_values(request: HttpRequest) -> dict[str, str]:
    """What the source tells of a job that reads it: its workspace, and a name where that is free."""
    chosen = find_source(request, request.GET.get("connector"))
    if chosen is None:
        return {}
    taken = find_by_name(Dataset.objects.all(), chosen.workspace_id, chosen.name) is not None
    told = {"workspace": str(chosen.workspace_id)}
    return told if taken else told | {"name": chosen.name}


def choose_source_view(page: ButtonsAdmin, request: HttpRequest) -> HttpResponse:
    """Where from? Each of the person's sources, by a part of its name where there are many."""
    term = request.GET.get("q", "").replace("\0", "").strip()
    connectors = tenancy.narrow(
        request,
        tenancy.scope(
            request, Connector.objects.filter(kind__in=kinds_with_work()), needed=Role.ADMIN
        ),
    )
    datasets = tenancy.narrow(
        request,
        tenancy.scope(request, Dataset.objects.filter(kind=DatasetKind.FILES), needed=Role.ADMIN),
    )
    hosts, more_hosts = _first_of(connectors, term)
    held, more_held = _first_of(datasets, term)
    context = {
        **page.admin_site.each_context(request),
        "title": "New job: where from?",
        "opts": page.opts,
        "q": term,
        "hosts": [_offer_host(host) for host in hosts],
        "datasets": [_offer_dataset(dataset) for dataset in held],
        "more": more_hosts or more_held,
        "has_several": tenancy.count_workspaces(request) > 1,
    }
    return TemplateResponse(request, "console/new_job.html", context)


def _first_of(rows: QuerySet[Any], term: str) -> tuple[list[Any], bool]:
    found = filter_by_part(rows, term) if term else rows
    first = list(found.select_related("workspace").order_by("name")[: SOURCES_SHOWN + 1])
    return first[:SOURCES_SHOWN], len(first) > SOURCES_SHOWN


def _offer_host(host: Connector) -> OfferedSource:
    spec = SPECS[host.kind]
    return OfferedSource(
        host.name,
        find_job_url(host, has_tables=has_tables(host)),
        spec.title,
        f"{host.host}:{host.port}",
        host.workspace.name,
        "" if host.status == "active" else host.status,
    )


def _offer_dataset(dataset: Dataset) -> OfferedSource:
    fields = {"source_dataset": dataset.pk, "workspace": dataset.workspace_id}
    url = f"{reverse('admin:syncjobs_syncjob_add')}?{urlencode(fields)}"
    return OfferedSource(dataset.name, url, "", "", dataset.workspace.name)
