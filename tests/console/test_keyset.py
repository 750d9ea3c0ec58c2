"""Lists of what grows for ever go on from the row before: forwards, back, and where rows have the same moment."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from django.contrib import admin
from django.db.models import Model, OuterRef, QuerySet, Subquery
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connectors.models import Connector
from console.admin import keyset
from console.admin.scoped import ScopedAdmin
from console.admin.sync_record import SyncRecordAdmin
from datasets.models import Dataset, Version
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob, SyncRecord
from tests.console.conftest import Tenant, make_record
from tests.console.urls import list_of, page_of

PAGE = list_of(SyncRecord)


def find_link(text: str, rel: str, page: str = PAGE) -> str:
    found = re.search(rf'href="([^"]*)" rel="{rel}"', text)
    return page + unescape(found.group(1)) if found else ""


def find_rows(text: str) -> list[str]:
    rows = re.findall(r"/admin/syncjobs/syncrecord/([0-9a-f-]{36})/change/", text)
    return list(dict.fromkeys(rows))


def find_keys(text: str, model: type[Model]) -> list[str]:
    """The rows of a page, by the first cell of each."""
    page = f"/admin/{model._meta.app_label}/{model._meta.model_name}"
    rows = re.findall(rf'<th class="field-name.*?href="{page}/([0-9a-f-]{{36}})/', text, re.DOTALL)
    return list(dict.fromkeys(rows))


def value_of(row: Any, lookup: str) -> Any:
    for part in lookup.split("__"):
        row = getattr(row, part, None)
    return row


@pytest.fixture
def many(acme: Tenant, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Eleven records, four of which were queued at the same moment; the newest first."""
    monkeypatch.setattr(SyncRecordAdmin, "list_per_page", 3)
    now = timezone.now()
    for number in range(10):
        record = make_record(acme.job)
        at = now - timedelta(hours=max(3, min(number, 6)))
        SyncRecord.objects.filter(pk=record.pk).update(queued_at=at)
    rows = SyncRecord.objects.order_by("-queued_at", "-pk")
    return [str(pk) for pk in rows.values_list("pk", flat=True)]


def test_every_row_is_shown_once_there_and_back(many: list[str], root: Client) -> None:
    url, seen, pages = PAGE, [], []
    while url:
        text = root.get(url).content.decode()
        pages.append(find_rows(text))
        seen += pages[-1]
        back, url = find_link(text, "prev"), find_link(text, "next")
    assert seen == many
    assert [len(page) for page in pages] == [3, 3, 3, 2]
    for page in reversed(pages[:-1]):
        text = root.get(back).content.decode()
        assert find_rows(text) == page
        back = find_link(text, "prev")
    assert back == ""


def test_no_page_skips_rows_by_counting_them(
    many: list[str], root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    url = find_link(root.get(PAGE).content.decode(), "next")
    with django_assert_max_num_queries(16) as captured:
        root.get(url)
    said = [query["sql"].upper() for query in captured.captured_queries]
    assert not [sql for sql in said if "OFFSET" in sql or "COUNT(" in sql]


def test_a_filter_stays_and_a_broken_address_shows_the_first_page(
    many: list[str], root: Client, acme: Tenant
) -> None:
    filtered = f"{PAGE}?job={acme.job.pk}"
    following = find_link(root.get(filtered).content.decode(), "next")
    assert f"job={acme.job.pk}" in following
    for broken in ("x", "eyJ4Ijox", "WyJub25lIiwgInlvdSJd", "%00"):
        assert find_rows(root.get(f"{PAGE}?after={broken}").content.decode()) == many[:3]
    assert page_of(acme.record).startswith("/admin/")


@pytest.fixture
def sortable(acme: Tenant, lab: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs, connectors and datasets with equal and with missing values, three to a page."""
    monkeypatch.setattr(ScopedAdmin, "list_per_page", 3)
    now = timezone.now()
    for number in range(7):
        host = Connector.objects.create(
            workspace=acme.workspace if number % 2 else lab.workspace,
            name=f"host-{number}",
            kind="sftp" if number % 3 else "ftp",
            host=f"h{number % 3}.example.com",
            port=22,
            last_sync_at=None if number % 3 == 0 else now - timedelta(hours=number % 2),
        )
        job = SyncJob(workspace=host.workspace, connector=host, name=f"job-{number // 2}-{number}")
        job.enabled = number % 2 == 0
        save_job(job)
        due = None if number % 3 == 1 else now + timedelta(hours=number % 2)
        SyncJob.objects.filter(pk=job.pk).update(next_run_at=due)
        if number % 3:
            Version.objects.create(
                dataset=job.dataset, number=number % 2 + 1, file_count=1, size_bytes=number % 2
            )


def read_rows(model: type[Model]) -> QuerySet[Any]:
    current = Version.objects.filter(dataset=OuterRef("pk"), is_current=True)
    rows: QuerySet[Any] = model._default_manager.all()
    if model is not Dataset:
        return rows
    described: QuerySet[Any] = rows.annotate(
        current_number=Subquery(current.values("number")),
        current_bytes=Subquery(current.values("size_bytes")),
        current_at=Subquery(current.values("created_at")),
    )
    return described


@pytest.mark.parametrize("backwards", ["", "-"])
@pytest.mark.parametrize(
    ("model", "column", "lookup"),
    [
        (SyncJob, "name", "name"),
        (SyncJob, "workspace", "workspace__name"),
        (SyncJob, "show_connector", "connector__name"),
        (SyncJob, "enabled", "enabled"),
        (SyncJob, "next_run", "next_run_at"),
        (Connector, "show_kind", "kind"),
        (Connector, "synced", "last_sync_at"),
        (Dataset, "version", "current_number"),
        (Dataset, "size", "current_bytes"),
        (Dataset, "changed", "current_at"),
    ],
)
def test_a_sorted_list_shows_every_row_once_there_and_back(
    model: type[Model], column: str, lookup: str, backwards: str, sortable: None, root: Client
) -> None:
    shown = admin.site._registry[model]
    boxes = 1 if shown.actions else 0  # a column of their own
    place = list(shown.list_display).index(column) + boxes
    url, seen, pages = f"{list_of(model)}?o={backwards}{place}", [], []
    while url:
        text = root.get(url).content.decode()
        pages.append(find_keys(text, model))
        seen += pages[-1]
        back, url = find_link(text, "prev", list_of(model)), find_link(text, "next", list_of(model))
    assert len(seen) == len(set(seen)) == model._default_manager.count()
    assert len(pages) == -(-len(seen) // 3)
    rows = list(read_rows(model).order_by(f"{backwards}{lookup}"))
    values = {str(row.pk): value_of(row, lookup) for row in rows}
    assert [values[key] for key in seen] == [value_of(row, lookup) for row in rows]
    for page in reversed(pages[:-1]):
        text = root.get(back).content.decode()
        assert find_keys(text, model) == page
        back = find_link(text, "prev", list_of(model))
    assert back == ""


def test_a_long_list_says_more_than_and_counts_no_further(
    sortable: None,
    root: Client,
    monkeypatch: pytest.MonkeyPatch,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    assert "9 sync jobs" in root.get(list_of(SyncJob)).content.decode()
    monkeypatch.setattr(keyset, "COUNTED_MAX", 5)
    with django_assert_max_num_queries(16) as captured:
        text = root.get(list_of(SyncJob), {"enabled__exact": "1"}).content.decode()
    assert "more than 5 sync jobs" in text
    counted = [query["sql"] for query in captured.captured_queries if "COUNT(" in query["sql"]]
    assert [sql for sql in counted if "LIMIT 6" not in sql] == []
    assert "enabled__exact=1" in find_link(text, "next", list_of(SyncJob))


def test_a_place_of_another_order_shows_the_first_page(sortable: None, root: Client) -> None:
    page = list_of(SyncJob)
    place = find_link(root.get(f"{page}?o=1").content.decode(), "next", page)
    for other in ("o=6", "o=7"):  # a text that could stand there, and one that could not
        first = find_keys(root.get(f"{page}?{other}").content.decode(), SyncJob)
        assert find_keys(root.get(place.replace("o=1", other)).content.decode(), SyncJob) == first
    header = re.search(r'href="(\?[^"]*o=-?2[^"]*)"', root.get(place).content.decode())
    assert header
    assert "after" not in header.group(1)
