"""Browsing a version folder by folder, and downloading what it holds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.attachments import content_disposition
from console.browsing import list_folder
from datasets.models import Dataset, Entry, Version
from farends import names
from tests.console.conftest import Tenant, make_blob
from tests.console.urls import page_of, press
from workspaces.models import Role

BAD_BYTES = names.to_text(names.decode(b"bad-\xff.txt"))


def _hold(dataset: Dataset, *paths: str, since: int = 1, until: int | None = None) -> None:
    Entry.objects.bulk_create(
        Entry(dataset=dataset, path=path, size_bytes=1, sha256=b"\0" * 32, since=since, until=until)
        for path in paths
    )


@pytest.fixture
def dataset(acme: Tenant) -> Dataset:
    Entry.objects.filter(dataset=acme.dataset).delete()
    return acme.dataset


def _names(dataset: Dataset, folder: str = "", *, version: int = 1, limit: int = 200) -> list[str]:
    """All pages of the folder, folders with a slash."""
    found: list[str] = []
    start: str | None = ""
    while start is not None:
        page = list_folder(dataset.pk, version, folder, start=start, limit=limit)
        assert len(page.rows) <= limit
        found += [f"{row.name}/" if row.is_folder else row.name for row in page.rows]
        start = page.next_start
    return found


@pytest.mark.parametrize("limit", [1, 2, 3, 200])
def test_each_file_and_folder_is_listed_once_on_every_page_size(
    limit: int, dataset: Dataset
) -> None:
    _hold(dataset, "a", "b/1", "b/2", "b/c/3", "b-1", "b.txt", "b0", "é/x", "z/y/x/w")
    assert sorted(_names(dataset, limit=limit)) == sorted(
        ["a", "b/", "b-1", "b.txt", "b0", "é/", "z/"]
    )
    assert sorted(_names(dataset, "b", limit=limit)) == sorted(["1", "2", "c/"])
    assert _names(dataset, "z/y/x", limit=limit) == ["w"]
    assert _names(dataset, "nowhere", limit=limit) == []


def test_a_version_shows_what_held_then(dataset: Dataset) -> None:
    _hold(dataset, "kept")
    _hold(dataset, "old/gone", until=2)
    _hold(dataset, "new/here", since=2)
    assert _names(dataset, version=1) == ["old/", "kept"]
    assert _names(dataset, version=2) == ["new/", "kept"]


def test_strange_names_are_listed_and_led_to(dataset: Dataset, root: Client) -> None:
    folder = "<b>&?#%/\n" + BAD_BYTES
    _hold(dataset, f"{folder}/file", "\U0010ffff", "100%/x")
    assert "\U0010ffff".encode("unicode_escape").decode() in _names(dataset)
    text = root.get(page_of(dataset)).content.decode()
    assert "<b>&?" not in text
    assert f"folder={quote('<b>&?#%', safe='')}" in text
    page = root.get(page_of(dataset), {"folder": folder})
    assert [row.name for row, _ in page.context["rows"]] == ["file"]
    assert "\\nbad-\\xff.txt" in page.content.decode()


def test_bad_questions_get_an_answer(acme: Tenant, root: Client) -> None:
    for query in ("version=99", "version=x", "version=" + "9" * 5000, "folder=%00", "from=%ff"):
        assert root.get(f"{page_of(acme.dataset)}?{query}").status_code == 200, query
    assert root.post(page_of(acme.dataset)).status_code == 403


def test_an_empty_dataset_says_so(acme: Tenant, root: Client) -> None:
    empty = Dataset.objects.create(workspace=acme.workspace, name="empty")
    assert "Nothing is held yet" in root.get(page_of(empty)).content.decode()


def test_a_version_leads_to_its_dataset(acme: Tenant, root: Client) -> None:
    assert root.get(page_of(acme.version))["Location"] == f"{page_of(acme.dataset)}?version=1"
    assert Version.objects.count() == 1


def test_an_older_version_is_rolled_back_to(
    acme: Tenant, root: Client, browser_of: Callable[[User], Client]
) -> None:
    first = acme.version
    assert "Roll back" not in root.get(page_of(acme.dataset)).content.decode()
    root.post(press(first, "rollback"))
    assert Version.objects.filter(dataset=acme.dataset).count() == 1
    Version.objects.filter(pk=first.pk).update(is_current=False)
    Version.objects.create(dataset=acme.dataset, number=2, file_count=2, size_bytes=2)
    _hold(acme.dataset, "late", since=2)
    older = f"{page_of(acme.dataset)}?version=1"
    assert press(first, "rollback") in root.get(older).content.decode()
    operator = browser_of(acme.people[Role.OPERATOR])
    assert press(first, "rollback") not in operator.get(older).content.decode()
    answer = root.post(press(first, "rollback"), follow=True)
    assert "v3 holds what v1 does" in answer.content.decode()
    assert "went back to" in answer.content.decode()
    assert Version.objects.get(is_current=True, dataset=acme.dataset).restores == 1
    assert not Entry.objects.filter(dataset=acme.dataset, path="late", until=None).exists()


def _download(browser: Client, entry: Entry) -> tuple[dict[str, str], bytes]:
    url = reverse("admin:datasets_dataset_download", args=[entry.dataset_id, entry.pk])
    response = browser.get(url)
    assert response.status_code == 200
    content = b"".join(response)
    response.close()
    return dict(response.headers), content


def test_a_file_comes_as_an_attachment_that_runs_nowhere(acme: Tenant, root: Client) -> None:
    content = b"<script>alert(1)</script>"
    entry = Entry.objects.create(
        dataset=acme.dataset,
        path='pages/r\u00e9sum\u00e9 \u202e\n".html',
        size_bytes=len(content),
        sha256=make_blob(acme.workspace, content),
        since=1,
    )
    headers, received = _download(root, entry)
    assert received == content
    assert headers["Content-Type"] == "application/octet-stream"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Security-Policy"].startswith("sandbox")
    assert headers["Content-Length"] == str(len(content))
    assert headers["Content-Disposition"] == (
        "attachment; filename=\"r_sum_ _.html\"; filename*=UTF-8''r%C3%A9sum%C3%A9%20%22.html"
    )


@pytest.mark.parametrize(
    ("path", "header"),
    [
        ("a/plain.csv", 'attachment; filename="plain.csv"'),
        ("50%.txt", "attachment; filename=\"50_.txt\"; filename*=UTF-8''50%25.txt"),
        (BAD_BYTES, "attachment; filename=\"bad-_.txt\"; filename*=UTF-8''bad-%EF%BF%BD.txt"),
        ("x/\r\n", 'attachment; filename="file"'),
        ("a\\b", 'attachment; filename="a_b"'),
    ],
)
def test_the_name_of_a_download(path: str, header: str) -> None:
    assert content_disposition(path) == header


def test_a_lost_blob_is_told(acme: Tenant, root: Client) -> None:
    entry = Entry.objects.create(
        dataset=acme.dataset, path="lost", size_bytes=1, sha256=b"\1" * 32, since=1
    )
    url = reverse("admin:datasets_dataset_download", args=[entry.dataset_id, entry.pk])
    assert "cannot be read" in root.get(url, follow=True).content.decode()
    assert Path("lost").exists() is False


@pytest.mark.parametrize("size", [10, 200_000, 6_000_000])
def test_a_download_of_damaged_bytes_is_refused(acme: Tenant, root: Client, size: int) -> None:
    content = b"0123456789" * (size // 10)
    entry = Entry.objects.create(
        dataset=acme.dataset,
        path="report.bin",
        size_bytes=size,
        sha256=make_blob(acme.workspace, content),
        since=1,
    )
    url = reverse("admin:datasets_dataset_download", args=[entry.dataset_id, entry.pk])
    answer = root.get(url)
    assert (answer["Content-Length"], b"".join(answer)) == (str(size), content)
    for file in (Path(settings.STORE_ROOT) / str(acme.workspace.pk)).rglob("*"):
        if file.is_file():
            held = bytearray(file.read_bytes())
            held[-1] ^= 1  # of a pack, a blob, and the sums of its blocks
            file.write_bytes(held)
    assert "cannot be read" in root.get(url, follow=True).content.decode()
