"""Browsing a version folder by folder, and downloading what it holds."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from connectors.attachments import content_disposition
from console.browsing import list_folder
from datasets.models import Dataset, Entry, Version
from farends import names
from tests.console.conftest import Tenant, make_blob
from tests.console.urls import page_of, press
from tests.search.documents import make_pdf
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
    assert [row.name for row, *_ in page.context["rows"]] == ["file"]
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


def _put(acme: Tenant, path: str, content: bytes, *, since: int = 1) -> Entry:
    return Entry.objects.create(
        dataset=acme.dataset,
        path=path,
        size_bytes=len(content),
        modified_ns=1_760_000_000_000_000_000,
        sha256=make_blob(acme.workspace, content),
        since=since,
    )


def _look(browser: Client, entry: Entry) -> str:
    answer = browser.get(page_of(entry.dataset), {"preview": entry.pk})
    assert answer.status_code == 200
    return str(answer.content.decode().partition('id="preview"')[2])


def _shown(entry: Entry) -> str:
    return reverse("admin:datasets_dataset_shown", args=[entry.dataset_id, entry.pk])


PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40
PDF = b"%PDF-1.4\n%%EOF\n"


@pytest.mark.parametrize(
    ("path", "content", "told"),
    [
        ("a.txt", "Häuser und Bäume\n".encode("cp1252") * 40, ("cp1252", "Häuser und Bäume")),
        ("b.txt", "Häuser\n".encode("utf-16"), ("utf-16-le", "Häuser")),
        ("c.txt", b"turned \xe2\x80\xae and \x07 bell", ("turned \\u202e and \\x07 bell",)),
        ("d.html", b"<script>alert(1)</script>", ("&lt;script&gt;alert(1)&lt;/script&gt;",)),
        ("e.svg", b"<svg onload='alert(1)'/>", ("&lt;svg onload=",)),
        ("f.bin", bytes(range(256)), ("It is no text, no table and no picture",)),
        ("g.txt", b"", ("The file is empty.",)),
        ("h.png", PNG, ("/shown/", 'alt="The picture h.png"')),
        ("i.csv", b"id;name\n1;<b>one</b>\n2;\n", (">id<", "&lt;b&gt;one&lt;/b&gt;", "NULL")),
        ("j.parquet", b"PAR1 and nothing more", ("It cannot be read as a table",)),
        ("k.pdf", PDF, ("No text was found in this PDF",)),
    ],
)
def test_a_file_is_shown_as_what_it_is(
    acme: Tenant, root: Client, path: str, content: bytes, told: tuple[str, ...]
) -> None:
    page = _look(root, _put(acme, path, content))
    for words in told:
        assert words in page
    assert "<script>alert" not in page
    assert "<svg onload" not in page


def test_a_parquet_file_is_shown_as_a_table(acme: Tenant, root: Client, tmp_path: Path) -> None:
    made = tmp_path / "made.parquet"
    rows = "SELECT * FROM (VALUES (1, 'one'), (2, NULL)) t (id, name)"
    with duckdb.connect() as session:
        session.execute(f"COPY ({rows}) TO '{made}' (FORMAT parquet)")
    page = _look(root, _put(acme, "t/orders.parquet", made.read_bytes()))
    assert ">name<" in page
    assert "one" in page
    assert "NULL" in page


def test_the_text_of_a_pdf_is_read_by_the_child(acme: Tenant, root: Client) -> None:
    page = _look(root, _put(acme, "p.pdf", make_pdf(["Guten Tag", "Seite zwei"])))
    assert "Guten Tag" in page
    assert "Seite zwei" in page
    assert "/shown/" in page


def test_the_first_64_kib_of_a_long_text_are_shown(acme: Tenant, root: Client) -> None:
    page = _look(root, _put(acme, "long.txt", "ä".encode() * 100_000))
    assert page.count("ä") == 64 * 1024 // 2
    assert "there is more in the file" in page
    assert "\ufffd" not in page


def test_a_preview_is_of_the_file_that_was_chosen(acme: Tenant, root: Client) -> None:
    _put(acme, "x/same.csv", b"wrong\n0\n")
    page = _look(root, _put(acme, "same.csv", b"right\n1\n"))
    assert ">right<" in page
    assert ">wrong<" not in page


@pytest.mark.parametrize(
    ("path", "content", "kind"),
    [
        ("a.png", PNG, "image/png"),
        ("x.html", PDF, "application/pdf"),
        ("b.gif", b"GIF89a..", "image/gif"),
    ],
)
def test_a_picture_is_served_where_nothing_runs(
    acme: Tenant, root: Client, path: str, content: bytes, kind: str
) -> None:
    answer = root.get(_shown(_put(acme, path, content)))
    assert (answer["Content-Type"], b"".join(answer)) == (kind, content)
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Disposition"].startswith("inline; filename=")


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.png", b"<script>alert(1)</script>"),
        ("a.html", b"<html><script>alert(1)</script></html>"),
        ("a.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("a.pdf", b"no pdf"),
        ("empty.png", b""),
    ],
)
def test_what_is_no_picture_is_never_served_to_be_drawn(
    acme: Tenant, root: Client, path: str, content: bytes
) -> None:
    assert root.get(_shown(_put(acme, path, content))).status_code == 404


def test_folders_tell_what_they_hold_at_any_depth(acme: Tenant, root: Client) -> None:
    for number in range(3):
        _put(acme, f"deep/a/b/{number}.txt", b"12345")
    _put(acme, "deep0", b"neighbour")
    page = root.get(page_of(acme.dataset))
    sizes = {row.path: sized for row, _, sized in page.context["rows"] if row.is_folder}
    assert (sizes["deep"].file_count, sizes["deep"].size_bytes) == (3, 15)
    assert "3 files" in page.content.decode()
    assert "Download deep as ZIP" in page.content.decode()


@pytest.mark.django_db(transaction=True)
def test_a_folder_comes_as_a_zip(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    _put(acme, "f/one.txt", b"one")
    Version.objects.filter(pk=acme.version.pk).update(file_count=2)
    browser = browser_of(acme.people[Role.VIEWER])
    url = reverse("admin:datasets_dataset_archive", args=[acme.dataset.pk, 1])
    answer = browser.get(url, {"folder": "f"})
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(b"".join(answer))) as archive:
        assert archive.namelist() == ["f/one.txt"]
    with zipfile.ZipFile(io.BytesIO(b"".join(browser.get(url)))) as archive:
        assert len(archive.namelist()) == 2
    assert browser.get(url, {"folder": "nowhere"}).status_code == 404
    assert browser.get(url.replace("versions/1", "versions/9")).status_code == 404
    other = reverse("admin:datasets_dataset_archive", args=[lab.dataset.pk, 1])
    assert browser.get(other).status_code == 404


def _publish_second(acme: Tenant) -> None:
    Version.objects.filter(pk=acme.version.pk).update(is_current=False)
    Version.objects.create(
        dataset=acme.dataset, number=2, file_count=2, size_bytes=20, files_added=1, files_changed=1
    )
    Entry.objects.filter(pk=acme.entry.pk).update(until=2)
    _put(acme, acme.entry.path, b"new bytes", since=2)
    _put(acme, "added.txt", b"added", since=2)


def test_versions_are_compared_and_led_back_to(
    acme: Tenant, root: Client, browser_of: Callable[[User], Client]
) -> None:
    _publish_second(acme)
    url = reverse("admin:datasets_dataset_versions", args=[acme.dataset.pk])
    page = root.get(url)
    changes = [each.change.value for each in page.context["differences"]]
    assert changes == ["changed", "added"]
    text = page.content.decode()
    assert "v1 to v2" in text
    assert press(acme.version, "rollback") in text
    assert "What v1 holds is published as the next version" in text
    back = root.get(url, {"from": "2", "to": "1"})
    assert [each.change.value for each in back.context["differences"]] == ["changed", "removed"]
    assert "There is no such version" in root.get(url, {"from": "1", "to": "9"}).content.decode()
    for query in ("from=x&to=y", "after=" + "9" * 40, "before=1", "version=7"):
        assert root.get(f"{url}?{query}").status_code == 200
    operator = browser_of(acme.people[Role.OPERATOR])
    assert press(acme.version, "rollback") not in operator.get(url).content.decode()


def test_what_is_kept_is_told_as_it_is(acme: Tenant, root: Client) -> None:
    _publish_second(acme)
    url = reverse("admin:datasets_dataset_keeping", args=[acme.dataset.pk])
    page = root.get(url)
    kept = page.context["kept"]
    assert (kept.version_count, kept.current_bytes) == (2, len(b"new bytes") + len(b"added"))
    assert (kept.older_bytes, kept.older_contents) == (acme.entry.size_bytes, 1)
    assert "Every version is kept." in page.content.decode()


def test_the_tabs_cost_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    _publish_second(acme)
    entry = _put(acme, "readme.txt", b"read me", since=2)
    pages = [
        page_of(acme.dataset),
        f"{page_of(acme.dataset)}?preview={entry.pk}",
        reverse("admin:datasets_dataset_versions", args=[acme.dataset.pk]),
        reverse("admin:datasets_dataset_keeping", args=[acme.dataset.pk]),
    ]
    root.get(pages[0])
    for page in pages:
        with django_assert_max_num_queries(15):
            root.get(page)


@pytest.mark.parametrize("name", ["versions", "keeping", "archive", "shown", "delete_all"])
def test_the_tabs_of_another_workspace_are_not_there(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client], name: str
) -> None:
    more = {"archive": [1], "shown": [lab.entry.pk]}.get(name, [])
    url = reverse(f"admin:datasets_dataset_{name}", args=[lab.dataset.pk, *more])
    assert browser_of(acme.people[Role.ADMIN]).get(url).status_code == 404
