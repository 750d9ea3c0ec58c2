"""Lists of what grows for ever go on from the row before: forwards, back, and where rows have the same moment."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from console.admin.sync_record import SyncRecordAdmin
from syncjobs.models import SyncRecord
from tests.console.conftest import Tenant, make_record
from tests.console.urls import list_of, page_of

PAGE = list_of(SyncRecord)


def find_link(text: str, rel: str) -> str:
    found = re.search(rf'href="([^"]*)" rel="{rel}"', text)
    return PAGE + unescape(found.group(1)) if found else ""


def find_rows(text: str) -> list[str]:
    rows = re.findall(r"/admin/syncjobs/syncrecord/([0-9a-f-]{36})/change/", text)
    return list(dict.fromkeys(rows))


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
