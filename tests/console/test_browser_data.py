"""Connectors and datasets in a real browser: a changed host key is approved, files are looked at, versions compared."""

from __future__ import annotations

import getpass
import io
import subprocess
import zipfile
from pathlib import Path

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from connectors.models import Connector
from connectors.opening import test_connector as run_test
from connectors.secrets import seal
from datasets.models import Entry, Version
from tests.console.conftest import Tenant, make_blob, make_person
from tests.console.test_browser import Watch, tenant  # noqa: F401 — a fixture
from tests.console.urls import page_of
from tests.hosts.sshd import Sshd
from tests.search.documents import make_pdf
from tests.waiting import until
from workspaces.models import Role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c489"
    "0000000d49444154789c6360f8cfc000000301010018dd8db00000000049454e44ae426082"
)
OLD_KEY = "SHA256:0VkvK/r7bBhU0WF22lM8bYJsRZ2gK93PSqRQkEKK4Ew"


def _log_in_as(page: Page, server: LiveServer, name: str, password: str) -> None:
    page.goto(f"{server.url}/admin/login/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", password)
    page.click("button[type=submit]")
    page.locator("#content").wait_for()


def _enter(page: Page, server: LiveServer) -> None:
    person = make_person("ada", superuser=True)
    _log_in_as(page, server, person.username, "pass-ada")


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_changed_host_key_is_approved_by_its_last_characters_and_tested(
    page: Page,
    tenant: Tenant,  # noqa: F811
    live_server: LiveServer,
    sshd: Sshd,
    tmp_path: Path,
) -> None:
    connector = tenant.connector
    connector.host, connector.port = "127.0.0.1", sshd.port
    connector.options = {
        "username": getpass.getuser(), "root": str(tmp_path), "host_key": OLD_KEY,
    }  # fmt: skip
    seal(connector, {"private_key": sshd.private_key})
    connector.save()
    run_test(connector)
    seen = Watch(page)
    _enter(page, live_server)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(live_server.url + page_of(connector))
    decision = page.locator("#host-key")
    assert OLD_KEY in decision.inner_text()
    offered = page.inner_text("#offered-key")
    assert offered.startswith("SHA256:")
    assert _fits(page)

    page.get_by_role("button", name="Approve the new key…").click()
    dialog = page.get_by_role("dialog", name="Trust the new key?")
    field = dialog.get_by_label("Type the last 6 characters that the owner read to you")
    field.fill("wrong!")
    dialog.get_by_role("button", name="Approve and test").click()
    page.get_by_text("Nothing was approved").wait_for()
    connector.refresh_from_db()
    assert connector.options["host_key"] == OLD_KEY

    page.get_by_role("button", name="Approve the new key…").click()
    field.fill(offered[-6:])
    field.press("Enter")
    page.get_by_text("The host key is approved.").wait_for()
    page.get_by_text("the connection test passed").wait_for()
    assert page.locator("#host-key").count() == 0
    assert page.locator("#test-stages [data-outcome=failed]").count() == 0
    assert Connector.objects.get(pk=connector.pk).options["host_key"] == offered
    assert seen.problems == []


def test_escape_closes_the_dialog_and_gives_the_focus_back(
    page: Page,
    tenant: Tenant,  # noqa: F811
    live_server: LiveServer,
) -> None:
    connector = tenant.connector
    connector.last_test = [
        {
            "stage": "identity",
            "outcome": "failed",
            "offered": "SHA256:new-key",
            "option": "host_key",
        }
    ]
    connector.options["host_key"] = OLD_KEY
    connector.save()
    _enter(page, live_server)
    page.goto(live_server.url + page_of(connector))
    opener = page.get_by_role("button", name="Approve the new key…")
    opener.focus()
    page.keyboard.press("Enter")
    page.get_by_role("dialog", name="Trust the new key?").wait_for()
    page.keyboard.press("Escape")
    assert opener.evaluate("button => button === document.activeElement")


def _put(tenant: Tenant, path: str, content: bytes, since: int = 1) -> Entry:  # noqa: F811
    return Entry.objects.create(
        dataset=tenant.dataset,
        path=path,
        size_bytes=len(content),
        sha256=make_blob(tenant.workspace, content),
        since=since,
    )


@pytest.fixture
def filled(tenant: Tenant) -> Tenant:  # noqa: F811
    """Two versions of many kinds of files."""
    Entry.objects.filter(dataset=tenant.dataset).delete()
    changed = _put(tenant, "files/notes.txt", b"before")
    Entry.objects.filter(pk=changed.pk).update(until=2)
    _put(tenant, "files/notes.txt", "Häuser <b>und</b> \u202e Bäume\n".encode(), since=2)
    _put(tenant, "files/orders.csv", b"order,total\n884120,1204.50\n884121,=1+1\n")
    _put(tenant, "files/pixel.png", PIXEL)
    _put(tenant, "files/paper.pdf", make_pdf(["Guten Tag"]))
    _put(tenant, "files/evil.html", b"<script>document.title='owned';alert(1)</script>")
    _put(tenant, "files/new.bin", bytes(range(256)) * 10_000, since=2)
    Version.objects.filter(pk=tenant.version.pk).update(is_current=False, file_count=5)
    Version.objects.create(
        dataset=tenant.dataset, number=2, file_count=6, size_bytes=1, files_added=1, files_changed=1
    )
    return tenant


@pytest.mark.parametrize("width", [390, 1400])
def test_files_are_looked_at_and_nothing_of_them_runs(
    page: Page,
    filled: Tenant,
    live_server: LiveServer,
    width: int,
) -> None:
    seen = Watch(page)
    _enter(page, live_server)
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(live_server.url + page_of(filled.dataset))
    assert "6 files" in page.inner_text("main table")
    page.get_by_role("link", name="files", exact=True).click()
    told = {
        "notes.txt": "Häuser <b>und</b> \\u202e Bäume",
        "orders.csv": "=1+1",
        "paper.pdf": "Guten Tag",
        "evil.html": "<script>document.title='owned';alert(1)</script>",
        "new.bin": "It is no text, no table and no picture",
    }
    for name, words in told.items():
        page.get_by_role("link", name=name, exact=True).click()
        page.locator("#preview").get_by_role("heading", name=f"files/{name}").wait_for()
        assert words in page.inner_text("#preview")
        assert _fits(page)
    page.get_by_role("link", name="pixel.png", exact=True).click()
    picture = page.get_by_role("img", name="The picture files/pixel.png")
    assert picture.evaluate("picture => picture.decode().then(() => picture.naturalWidth)") == 1
    assert page.title() != "owned"
    assert seen.problems == []


def test_a_pdf_opens_by_itself_in_a_sandbox_and_is_seen(
    page: Page,
    filled: Tenant,
    live_server: LiveServer,
) -> None:
    """The browser's own viewer draws it, although the answer shuts it into a sandbox."""
    _enter(page, live_server)
    page.goto(live_server.url + page_of(filled.dataset))
    page.get_by_role("link", name="files", exact=True).click()
    page.get_by_role("link", name="paper.pdf", exact=True).click()
    with page.expect_popup() as coming:
        page.get_by_role("link", name="Open by itself").click()
    shown = coming.value
    shown.wait_for_load_state()
    assert shown.evaluate("document.contentType") == "application/pdf"

    def is_drawn() -> bool:
        shown.evaluate("0")  # lets Playwright hear of new frames
        return any(frame.url.startswith("chrome-extension://") for frame in shown.frames)

    until(is_drawn, "the viewer did not come")
    answer = page.request.get(shown.url)
    assert "sandbox" in answer.headers["content-security-policy"]


def test_a_folder_is_saved_as_a_zip_that_opens(
    page: Page,
    filled: Tenant,
    live_server: LiveServer,
    tmp_path: Path,
) -> None:
    _log_in_as(page, live_server, "acme-viewer", "pass-acme-viewer")
    page.goto(live_server.url + page_of(filled.dataset))
    for link in ("Download files as ZIP", "ZIP of v2"):
        with page.expect_download() as coming:
            page.get_by_role("link", name=link).click()
        saved = tmp_path / "saved.zip"
        coming.value.save_as(saved)
        with zipfile.ZipFile(io.BytesIO(saved.read_bytes())) as archive:
            assert len(archive.namelist()) == 6
            assert archive.read("files/notes.txt").decode().startswith("Häuser")
        assert subprocess.run(["unzip", "-tqq", saved], check=False).returncode == 0


def test_versions_are_compared_and_one_goes_back(
    page: Page,
    filled: Tenant,
    live_server: LiveServer,
) -> None:
    _enter(page, live_server)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(live_server.url + page_of(filled.dataset))
    page.get_by_role("link", name="Versions", exact=True).last.click()
    page.get_by_role("heading", name="v1 to v2").wait_for()
    rows = page.locator("#differences tbody tr")
    assert [row.get_attribute("data-change") for row in rows.all()] == ["added", "changed"]
    assert _fits(page)
    page.get_by_role("button", name="Go back to v1").click()
    dialog = page.get_by_role("dialog")
    assert "What v1 holds is published as the next version" in dialog.inner_text()
    dialog.get_by_role("button", name="Go back to v1").click()
    page.get_by_text("v3 holds what v1 does, and is current").wait_for()
    page.goto(live_server.url + page_of(filled.dataset).replace("change/", "keeping/"))
    page.get_by_text("Every version is kept.", exact=True).wait_for()


def test_a_viewer_sees_no_button_that_is_not_his(
    page: Page,
    filled: Tenant,
    live_server: LiveServer,
) -> None:
    _log_in_as(page, live_server, f"acme-{Role.VIEWER}", f"pass-acme-{Role.VIEWER}")
    page.goto(live_server.url + page_of(filled.connector))
    for name in ("Test connection", "Check now", "Switch checks off", "Save"):
        assert page.get_by_role("button", name=name).count() == 0
    page.goto(live_server.url + page_of(filled.dataset).replace("change/", "versions/"))
    page.locator("#versions").wait_for()
    assert page.get_by_role("button", name="Go back to v1").count() == 0
