"""Jobs and records in a real browser, beside a real host: hold, look, release; retry; a selection and what it takes; by
role, by keyboard, and on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from syncjobs.attempt.execution import execute
from syncjobs.core.states import State
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncItem, SyncJob, SyncRecord
from tests.console import test_browser
from tests.console.conftest import Tenant, make_person, make_record
from tests.console.test_held_page import make_hold
from tests.console.urls import page_of, status_of
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, fresh, make_connector, make_job, run
from workspaces.models import Member, Role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

tenant = test_browser.tenant
PHONE, DESK = 390, 1280


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {f"contracts/{n:02}.txt": b"x" * n for n in range(20)} | {"readme.md": b"r"})
    made = make_job(make_connector(sshd.target(source)))
    run(made)
    return made


def _enter(page: Page, server: LiveServer, name: str, workspace_row: SyncJob, role: Role) -> None:
    person = make_person(name)
    Member.objects.create(workspace=workspace_row.workspace, user=person, role=role)
    page.goto(f"{server.url}/admin/")
    page.fill("input[name=username]", name)
    page.fill("input[name=password]", f"pass-{name}")
    page.click("button[type=submit]")
    page.wait_for_selector("#content")


def _fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def _work(record: SyncRecord) -> State | None:
    """What a worker does; the browser's loop runs in this thread."""
    return execute(record.pk, Heart("test"))


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_an_operator_looks_at_what_is_held_and_releases_it(
    page: Page, job: SyncJob, source: Path, live_server: LiveServer, width: int
) -> None:
    for n in range(4):
        (source / f"contracts/{n:02}.txt").unlink()
    fill(source, {"new.txt": b"new"})
    record = run(job)
    assert record.state == State.HELD
    page.set_viewport_size({"width": width, "height": 900})
    seen = test_browser.Watch(page)
    _enter(page, live_server, "olga", job, Role.OPERATOR)
    page.goto(live_server.url + page_of(record))
    page.get_by_role("heading", name="4 of 21 files would be removed: 19.0 %").wait_for()
    assert _fits(page)
    assert page.locator("#planned-files tbody tr").count() == 4
    page.get_by_label("Search the plan").fill("03")
    page.get_by_text("1 of 4 match").wait_for()
    page.get_by_role("link", name="Join 1").click()
    page.get_by_text("new.txt").wait_for()

    shown = ".sp-decision" if width == DESK else ".sp-bottom"
    page.locator(shown).get_by_role("button", name="Release").click()
    test_browser.agree(page)
    page.locator("#record-live[data-state=queued]").wait_for()
    assert _work(record) == State.SUCCEEDED
    page.locator("#record-live[data-state=succeeded]").wait_for()
    page.locator("#ledger").get_by_text("contracts/03.txt").wait_for()
    assert len(digests_of(job.dataset)) == 18
    assert seen.problems == []


def test_a_number_is_typed_before_much_goes(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    record = make_hold(tenant, 120)
    _enter(page, live_server, "olga", tenant.job, Role.OPERATOR)
    page.goto(live_server.url + page_of(record))
    page.get_by_role("button", name="Release…").first.click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Type 120").fill("12")
    dialog.get_by_role("button", name="Release", exact=True).click()
    assert fresh(record).state == State.HELD
    dialog.get_by_role("button", name="Not yet").click()
    assert not dialog.is_visible()
    page.get_by_role("button", name="Release…").first.click()
    dialog.get_by_label("Type 120").fill("120")
    dialog.get_by_label("Type 120").press("Enter")
    page.locator("#record-live[data-state=queued]").wait_for()
    assert fresh(record).guards_waived


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_only_the_failed_files_are_retried(
    page: Page, job: SyncJob, source: Path, live_server: LiveServer, width: int
) -> None:
    record = make_record(
        job, State.PARTIAL, error="1 failed", error_code="truncated", files_failed=1
    )
    SyncItem.objects.create(record=record, path="late.txt", action="failed", message="was cut")
    fill(source, {"late.txt": b"here now", "other.txt": b"not asked for"})
    page.set_viewport_size({"width": width, "height": 900})
    _enter(page, live_server, "olga", job, Role.OPERATOR)
    page.goto(live_server.url + page_of(record))
    assert _fits(page)
    page.get_by_role("heading", name="Some files failed; all others are published").wait_for()
    page.locator("button:visible", has_text="Retry failed files only").first.click()
    page.locator("#record-live[data-state=queued]").wait_for()
    part = SyncRecord.objects.get(trigger="redrive")
    assert _work(part) == State.SUCCEEDED
    page.locator("#record-live[data-state=succeeded]").wait_for()
    page.locator("#ledger").get_by_text("late.txt").wait_for()
    assert "other.txt" not in digests_of(job.dataset)


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_what_a_selection_takes_is_shown_while_one_writes_it(
    page: Page, job: SyncJob, live_server: LiveServer, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    seen = test_browser.Watch(page)
    _enter(page, live_server, "ann", job, Role.ADMIN)
    page.goto(live_server.url + page_of(job))
    page.locator("#list-again").click()
    page.get_by_text("21 of the 21 listed files match").wait_for()
    page.get_by_label("Include").fill("**/0*.txt")
    page.get_by_text("10 of the 21 listed files match").wait_for()
    assert page.locator("#selection-matches .sp-out").count() == 11
    page.get_by_label("Include").fill("")
    page.locator("#selection-tree").get_by_label("contracts").uncheck()
    page.get_by_text("1 of the 21 listed files match").wait_for()
    assert page.get_by_label("Exclude").input_value() == "/contracts/**"
    page.locator("#selection-tree").get_by_label("contracts").check()
    page.get_by_text("21 of the 21 listed files match").wait_for()
    page.get_by_label("Include").fill("[a")
    page.get_by_text("never closed").first.wait_for()
    assert _fits(page)
    assert seen.problems == []


def test_settings_stand_in_units_that_people_use_and_survive_a_save(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    limits = {"max_file_size_bytes": 2 << 30, "timeout_s": 10_800, "max_bytes": 1_000_001}
    SyncJob.objects.filter(pk=tenant.job.pk).update(**limits)
    _enter(page, live_server, "ann", tenant.job, Role.ADMIN)
    page.goto(live_server.url + page_of(tenant.job))
    assert page.input_value("input[name=max_file_size_bytes]") == "2"
    assert page.input_value("select[name=max_file_size_bytes_unit]") == "GiB"
    page.locator("summary", has_text="Advanced").click()
    page.get_by_text("2 differ from the default").wait_for()
    assert page.input_value("select[name=timeout_s_unit]") == "hours"
    page.get_by_label("Settling time").fill("90")
    page.select_option("select[name=settle_s_unit]", "seconds")
    page.click("button[name=_continue]")
    page.get_by_text("was changed successfully").wait_for()
    job = fresh(tenant.job)
    assert {name: getattr(job, name) for name in limits} == limits
    assert job.settle_s == 90


def test_the_strip_is_one_tab_stop_with_arrows_inside(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    older, newest = make_record(tenant.job), make_record(tenant.job, State.FAILED, error="away")
    _enter(page, live_server, "vera", tenant.job, Role.VIEWER)
    page.goto(live_server.url + status_of(tenant.job))
    links = page.locator(".sp-strip a")
    assert links.count() == 3
    assert page.locator(".sp-strip a[tabindex='0']").count() == 1
    page.get_by_role("link", name="all records").focus()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')") == page_of(newest)
    page.keyboard.press("ArrowLeft")
    assert page.evaluate("document.activeElement.getAttribute('href')") == page_of(older)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**{page_of(older)}")


@pytest.mark.parametrize("width", [DESK, PHONE])
def test_a_job_is_started_wherever_its_page_stands(
    page: Page, tenant: Tenant, live_server: LiveServer, width: int
) -> None:
    for _ in range(30):
        make_record(tenant.job)
    page.set_viewport_size({"width": width, "height": 700})
    _enter(page, live_server, "olga", tenant.job, Role.OPERATOR)
    for url in (status_of(tenant.job), f"{status_of(tenant.job)}records/"):
        page.goto(live_server.url + url)
        assert _fits(page)
        if width == PHONE:
            page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
        button = page.locator("button:visible", has_text="Sync now").first
        box = button.bounding_box()
        assert box is not None
        assert 0 <= box["y"] <= 700 - box["height"]
    button.click()
    page.locator("#record-live[data-state=queued]").wait_for()
    page.locator("button:visible", has_text="Cancel").first.click()
    test_browser.agree(page)
    page.locator("#record-live[data-state=cancelled]").wait_for()


def test_a_viewer_sees_everything_and_no_button_that_acts(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    held = make_hold(tenant, 5)
    failed = make_record(tenant.job, State.FAILED, error="away", error_code="unreachable")
    running = make_record(tenant.job, State.RUNNING, percentage=25)
    _enter(page, live_server, "vera", tenant.job, Role.VIEWER)
    for url in (
        status_of(tenant.job),
        f"{status_of(tenant.job)}records/",
        page_of(tenant.job),
        *(page_of(record) for record in (held, failed, running)),
    ):
        page.goto(live_server.url + url)
        page.wait_for_selector("#content")
        assert page.locator("main form[method=post] button").count() == 0, url
        assert page.locator("form[action*='/press/']").count() == 0, url
    page.goto(live_server.url + page_of(held))
    assert "5 of 25 files would be removed" in page.inner_text("main")
