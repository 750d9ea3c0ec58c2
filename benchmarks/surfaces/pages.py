"""What the console's pages and the lists of REST cost in a large installation: queries, bytes on the wire, time.

The pages are asked in process: the figures hold the product and PostgreSQL, and no server of HTTP.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from alerts.models import Alert
from benchmarks.surfaces.estate import SHARES
from connectors.models import Connector
from datasets.models import Dataset
from outbox.models import Stream
from syncjobs.core.states import State
from syncjobs.models import PlannedFile, SyncItem, SyncJob, SyncRecord
from workspaces.models import Workspace

QUERIES_MAX, BYTES_MAX = 15, 100_000
WORKSPACE = next(iter(SHARES))


@dataclass(frozen=True, slots=True)
class PageCost:
    """`slowest` is the statement that took longest, in `slowest_ms`."""

    name: str
    url: str
    status: int
    queries: int
    size_bytes: int
    wall_ms: float
    slowest_ms: float
    slowest: str

    @property
    def is_within(self) -> bool:
        return self.status == 200 and self.queries <= QUERIES_MAX and self.size_bytes <= BYTES_MAX


def measure_page(
    browser: Client, name: str, url: str, *, rounds: int = 1, follows: bool = True
) -> PageCost:
    """The first answer is not counted: it fills what the process keeps. Who `follows` is led on by a redirect, and pays
    for both."""
    headers = {"Accept-Encoding": "gzip"}
    browser.get(url, headers=headers)
    with CaptureQueriesContext(connection) as captured:
        answer = browser.get(url, headers=headers, follow=follows)
    asked = [each for each in captured.captured_queries if not _is_of_transaction(each["sql"])]
    walls = []
    for _ in range(rounds):
        began = time.perf_counter()
        browser.get(url, headers=headers)
        walls.append(time.perf_counter() - began)
    slowest = max(asked, key=lambda each: float(each["time"]), default={"time": 0, "sql": ""})
    return PageCost(
        name=name,
        url=url,
        status=answer.status_code,
        queries=len(asked),
        size_bytes=len(answer.getvalue()),
        wall_ms=statistics.median(walls) * 1000 if walls else 0.0,
        slowest_ms=float(str(slowest["time"])) * 1000,
        slowest=str(slowest["sql"]),
    )


def _is_of_transaction(sql: str) -> bool:
    words = ("SAVEPOINT", "RELEASE SAVEPOINT", "BEGIN", "COMMIT", "SET LOCAL", "SELECT set_config")
    return sql.startswith(words)


def iter_rest() -> Iterator[tuple[str, str]]:
    """The lists of REST with their names, for a token of the largest workspace."""
    tree = f"/api/workspaces/{WORKSPACE}"
    job = SyncJob.objects.filter(workspace__name=WORKSPACE).order_by("name")[7]
    for name in (
        "sync-jobs",
        "sync-records",
        "connectors",
        "datasets",
        "alerts",
        "alert-rules",
        "streams",
    ):
        yield f"GET {name}", f"{tree}/{name}"
    for query in ("state=failed", "state=held", "state=running", f"job={job.name}"):
        yield f"GET sync-records, {query}", f"{tree}/sync-records?{query}"
    yield "GET sync-records, 90 % down", f"{tree}/sync-records?cursor={_deep_cursor()}"
    yield "GET sync-jobs, one", f"{tree}/sync-jobs/{job.name}"
    yield "GET sync-jobs, its status", f"{tree}/sync-jobs/{job.name}/status"
    yield "GET datasets, versions of one", f"{tree}/datasets/orders-0/versions"
    for name in ("status", "history", "connections"):
        yield f"GET {name}", f"/{name}"


def _deep_cursor() -> str:
    from api.rest.pages import NEWEST_FIRST

    rows = SyncRecord.objects.filter(workspace__name=WORKSPACE).order_by("-queued_at", "-pk")
    return NEWEST_FIRST.key_of(rows[rows.count() * 9 // 10])


def iter_pages() -> Iterator[tuple[str, str]]:
    """Every page of the console with its name, for a person who sees all."""
    yield "overview", reverse("admin:index")
    for part in ("live", "beside", "charts"):
        yield f"overview, {part}", reverse(f"admin:console_dashboard_{part}")
    for model in admin.site._registry:
        name = f"{model._meta.app_label}_{model._meta.model_name}"
        yield f"list of {model._meta.verbose_name_plural}", reverse(f"admin:{name}_changelist")
        if (row := model._default_manager.first()) is not None:
            yield f"one {model._meta.verbose_name}", reverse(f"admin:{name}_change", args=[row.pk])
    yield from _iter_lists()
    yield from _iter_record_pages()
    yield from _iter_job_pages()
    yield from _iter_other_pages()


def _iter_lists() -> Iterator[tuple[str, str]]:
    records, jobs = _list_of(SyncRecord), _list_of(SyncJob)
    workspace = Workspace.objects.get(name=WORKSPACE).pk
    job = SyncJob.objects.filter(workspace=workspace).order_by("name")[5]
    for state in State:
        yield f"records, {state}", f"{records}?state__exact={state}"
        yield (
            f"records, {state}, of a workspace",
            f"{records}?state__exact={state}&workspace={workspace}",
        )
    yield "records, the oldest failed", _deep(records, "state__exact=failed")
    yield "records, 90 % down", _deep(records, "")
    yield "records, of a job", f"{records}?job={job.pk}"
    yield "records, failed, of a job", f"{records}?job={job.pk}&state__exact=failed"
    yield (
        "records, failed, of a connector",
        f"{records}?connector={job.connector_id}&state__exact=failed",
    )
    yield "records, by hand", f"{records}?trigger__exact=manual"
    yield "records, dry runs", f"{records}?dry_run=1"
    yield "records, dry runs, failed", f"{records}?dry_run=1&state__exact=failed"
    yield "records, in the last hour", f"{records}?since=1h"
    for column in range(1, 6):
        yield f"jobs, by column {column}", f"{jobs}?o={column}"
        yield f"jobs, by column {column} backwards", f"{jobs}?o=-{column}"
        yield f"connectors, by column {column}", f"{_list_of(Connector)}?o=-{column}"
        yield f"datasets, by column {column}", f"{_list_of(Dataset)}?o=-{column}"
    for column in range(6, 10):
        yield f"connectors, by column {column}", f"{_list_of(Connector)}?o=-{column}"
        yield f"datasets, by column {column}", f"{_list_of(Dataset)}?o=-{column}"
    for term in ("orders-9", "nothing has this name"):
        yield f"jobs, search {term}", f"{jobs}?q={quote(term)}"
        yield f"datasets, search {term}", f"{_list_of(Dataset)}?q={quote(term)}"
    yield "connectors, search", f"{_list_of(Connector)}?q=files-1"
    yield "jobs, off, of a workspace", f"{jobs}?enabled__exact=0&workspace={workspace}"
    audit = reverse("admin:workspaces_auditentry_changelist")
    yield "audit, search", f"{audit}?q=orders-77777"
    yield "audit, search without a hit", f"{audit}?q=nothing-has-this-name"
    yield "audit, of a workspace", f"{audit}?workspace={workspace}"
    alerts = reverse("admin:alerts_alert_changelist")
    yield "alerts, resolved", f"{alerts}?state=resolved"
    yield "alerts, all", f"{alerts}?state=all"
    yield "alerts, live", reverse("admin:alerts_alert_live", args=["firing"])


def _iter_record_pages() -> Iterator[tuple[str, str]]:
    for state in State:
        record = SyncRecord.objects.filter(state=state).order_by("-queued_at").first()
        if record is None:
            continue
        page = reverse("admin:syncjobs_syncrecord_change", args=[record.pk])
        yield f"a record that is {state}", page
        live = reverse("admin:syncjobs_syncrecord_live", args=[record.pk])
        yield f"a record that is {state}, live", f"{live}?page={state}"
        yield f"a record that is {state}, ledger", page.replace("change/", "files/")
    held = PlannedFile.objects.order_by("-id").first()
    if held is not None:
        page = reverse("admin:syncjobs_syncrecord_change", args=[held.record_id])
        yield "a held record with a long plan", page
        plan = reverse("admin:syncjobs_syncrecord_planned", args=[held.record_id])
        yield "a long plan, search", f"{plan}?q=orders-4"
    item = SyncItem.objects.order_by("-id").first()
    if item is not None:
        ledger = reverse("admin:syncjobs_syncrecord_files", args=[item.record_id])
        yield "a long ledger", ledger
        yield "a long ledger, its end", f"{ledger}?after={item.pk - 20}"
        yield "a long ledger, search", f"{ledger}?q=orders-49999"
        yield "a long ledger, failed", f"{ledger}?action=failed"


def _iter_job_pages() -> Iterator[tuple[str, str]]:
    job = SyncJob.objects.filter(workspace__name=WORKSPACE).order_by("name")[7]
    yield "a job, status", reverse("admin:syncjobs_syncjob_status", args=[job.pk])
    yield "a job, state", reverse("admin:syncjobs_syncjob_state", args=[job.pk])
    yield "a job, figures", reverse("admin:syncjobs_syncjob_figures", args=[job.pk])
    records = reverse("admin:syncjobs_syncjob_records", args=[job.pk])
    for show in ("", "look", "failed", "plans"):
        yield f"a job, records {show}", f"{records}?show={show}"
    yield "a job, settings", reverse("admin:syncjobs_syncjob_change", args=[job.pk])
    yield "a job, fires again", reverse("admin:syncjobs_syncjob_backfill", args=[job.pk])
    yield "a job, delete", reverse("admin:syncjobs_syncjob_delete", args=[job.pk])
    yield "a new job", reverse("admin:syncjobs_syncjob_add")
    yield (
        "a new job of a connector",
        f"{reverse('admin:syncjobs_syncjob_add')}?connector={job.connector_id}",
    )
    yield "names of jobs", f"{reverse('admin:syncjobs_syncjob_names')}?term=orders-9"


def _iter_other_pages() -> Iterator[tuple[str, str]]:
    job = SyncJob.objects.filter(workspace__name=WORKSPACE).order_by("name")[7]
    large = Dataset.objects.get(workspace__name=WORKSPACE, name="orders-0")
    connector = job.get_connector()
    stream = Stream.objects.order_by("-number")[0]
    for each in (connector, Connector.objects.filter(kind="client").first()):
        if each is not None:
            yield f"a connector of kind {each.kind}", _page_of(each)
            yield (
                f"a connector of kind {each.kind}, delete",
                _page_of(each).replace("change/", "delete/"),
            )
            yield (
                f"a connector of kind {each.kind}, live",
                reverse("admin:connectors_connector_connectivity", args=[each.pk]),
            )
    page = _page_of(large)
    for name, end in (
        ("", ""), ("a folder", "?folder=in/7"), ("an old version", "?version=3"),
        ("a folder, its end", "?folder=in/7&from=in/7/orders-9"),
    ):  # fmt: skip
        yield f"a large dataset {name}", page + end
    versions = page.replace("change/", "versions/")
    yield "a large dataset, versions", versions
    yield "a large dataset, two versions", f"{versions}?from=2&to=19"
    yield "a large dataset, keeping", page.replace("change/", "keeping/")
    page = _page_of(stream).replace("change/", "")
    for part in (
        "live/",
        "deliveries/",
        "deliveries/?before=500",
        "configurations/",
        "dead-letters/",
        "delete/",
    ):
        yield f"a stream, {part.rstrip('/')}", page + part
    alert = Alert.objects.filter(opened_at__isnull=False).first()
    if alert is not None:
        yield "an alert", _page_of(alert)
    yield "choose a workspace", reverse("admin:workspaces_workspace_choose")
    yield "about", reverse("console-about")
    search = reverse("console-search")
    yield "search", search
    for term in ("orders-77", "files-9", str(job.pk), "in/7/orders-4047.csv"):
        yield f"search {term[:12]}", f"{search}?q={quote(term)}"
    yield "commands", f"{reverse('admin:search')}?s=orders-77"
    workspace = Workspace.objects.get(name=WORKSPACE)
    yield "a workspace, delete", _page_of(workspace).replace("change/", "delete/")


def _deep(page: str, query: str) -> str:
    """The page of the list that begins nine tenths down."""
    from console.admin.keyset import find_order_columns, write_place

    rows = SyncRecord.objects.order_by("-queued_at", "-pk")
    if query:
        rows = rows.filter(state=State.FAILED)
    row = rows[rows.count() * 9 // 10]
    place = write_place(row, find_order_columns(SyncRecord, ["-queued_at"]))
    return f"{page}?{query}&after={place}"


def _list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def _page_of(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])
