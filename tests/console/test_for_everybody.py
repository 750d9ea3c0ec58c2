"""Every page for everybody: judged by axe in light, in the dark and on a phone; nothing scrolls sideways; by keyboard.

A page that is new adds its address to `all_pages`, and is held to all of this.
"""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize
from pytest_django.live_server_helper import LiveServer

from connectors.models import FarEndWatch
from datasets.store import ensure_store
from syncjobs.core.states import State
from syncjobs.models import HourTotal, SyncJob, SyncRecord
from tests.console.conftest import PLAN, Tenant, make_person, make_record, make_tenant
from tests.console.test_pages import all_pages
from tests.console.urls import list_of, page_of

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]

PROJECT = Path(__file__).parents[2]
AXE = PROJECT / ".venv/mcp-clients/node/node_modules/axe-core/axe.min.js"
DESK = ViewportSize(width=1400, height=900)
PHONE = ViewportSize(width=390, height=844)
SMALL = ViewportSize(width=320, height=700)
# Text of 200 %: all that is measured by text grows.
LARGE = "html { font-size: 200% }"
JUDGE = """async (only) => {
    const options = only ? { runOnly: only } : {};
    const found = await axe.run(document, { resultTypes: ['violations'], ...options });
    return found.violations.filter((each) => ['serious', 'critical'].includes(each.impact))
        .map((each) => `${each.id}: ${each.nodes.slice(0, 3).map((node) => node.html.slice(0, 160)).join(' | ')}`);
}"""
WIDER = """() => {
    const most = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= most) return [];
    return [...document.querySelectorAll('main *, header *')].filter((each) => each.getBoundingClientRect().right > most + 1
        && !each.closest('.sp-scroll, .overflow-x-auto, .overflow-auto')).slice(0, 3).map((each) => each.outerHTML.slice(0, 160));
}"""
LONG = "n" * 255


@pytest.fixture(scope="session")
def axe() -> str:
    subprocess.run([PROJECT / "deploy/install-mcp-clients"], check=True, capture_output=True)
    return AXE.read_text()


@pytest.fixture
def tenant(transactional_db: None) -> Tenant:
    ensure_store()
    tenant = make_tenant("acme")
    _fill(tenant)
    return tenant


def _fill(tenant: Tenant) -> None:
    """Something in each place of the first page, and names as long as they may be."""
    now = timezone.now()
    SyncRecord.objects.update(queued_at=now - timedelta(hours=3))
    make_record(
        tenant.job,
        State.RUNNING,
        percentage=45,
        total_files=20,
        current_file_index=9,
        total_bytes=10**9,
        bytes_transferred=10**8,
    )
    make_record(tenant.job, State.QUEUED, waiting_for=LONG[:200])
    make_record(tenant.job, State.HELD, error=LONG)
    make_record(tenant.job, State.FAILED, error=f"\u202e{LONG}\x07")
    make_record(tenant.job, State.SUCCEEDED, dry_run=True, plan=PLAN)
    SyncJob.objects.update(last_error="x", next_run_at=now + timedelta(minutes=5))
    FarEndWatch.objects.update_or_create(
        connector=tenant.connector, defaults={"state": "offline", "last_error": LONG}
    )
    HourTotal.objects.create(
        workspace_id=tenant.workspace.pk,
        hour=now.replace(minute=0, second=0, microsecond=0),
        state="succeeded",
        records=5,
    )


def open_context(browser: Browser, server: LiveServer, person: User, **how: Any) -> BrowserContext:
    client = Client()
    client.force_login(person)
    context = browser.new_context(viewport=DESK, reduced_motion="reduce", bypass_csp=True, **how)
    cookie = client.cookies[settings.SESSION_COOKIE_NAME].value
    context.add_cookies(
        [{"name": settings.SESSION_COOKIE_NAME, "value": cookie, "url": server.url}]
    )
    context.set_default_timeout(60_000)
    return context


def judge(page: Page, axe: str) -> list[str]:
    """What is wrong with the page that is open: in light, in the dark, on a phone, with large text."""
    page.evaluate(axe)
    wrong = [f"light {each}" for each in page.evaluate(JUDGE, None)]
    page.evaluate("document.documentElement.classList.add('dark')")
    wrong += [f"dark {each}" for each in page.evaluate(JUDGE, ["color-contrast"])]
    page.evaluate("document.documentElement.classList.remove('dark')")
    page.set_viewport_size(PHONE)
    wrong += [f"phone {each}" for each in page.evaluate(JUDGE, None)]
    page.set_viewport_size(SMALL)
    wrong += [f"320 px wide: {each}" for each in page.evaluate(WIDER)]
    page.set_viewport_size(DESK)
    page.add_style_tag(content=LARGE)
    # Unfold's forms of add pages, and of people and groups, hold label and field side by side, and do not give way.
    if not page.url.endswith("/add/") and "/admin/auth/" not in page.url:
        wrong += [f"large text: {each}" for each in page.evaluate(WIDER)]
    return wrong


GROUPS = 8  # of pages, so that a test is no longer than others


@pytest.mark.parametrize("group", range(GROUPS))
def test_axe_finds_nothing_serious_and_nothing_scrolls_sideways(
    chromium: Browser, tenant: Tenant, live_server: LiveServer, axe: str, group: int
) -> None:
    person = make_person("ada", superuser=True)
    pages = [
        *all_pages(tenant, person),
        *(page_of(record) for record in SyncRecord.either.exclude(pk=tenant.record.pk)),
    ]
    whole = [path for path in pages if not re.search("/(live|dashboard|connectivity)/", path)]
    page = open_context(chromium, live_server, person).new_page()
    wrong = {}
    for path in whole[group::GROUPS]:  # fragments are judged in their pages
        page.goto(f"{live_server.url}{path}", wait_until="load")
        if found := judge(page, axe):
            wrong[path] = found
    assert wrong == {}


def test_the_frame_is_walked_by_keyboard_alone(
    chromium: Browser, tenant: Tenant, live_server: LiveServer
) -> None:
    page = open_context(chromium, live_server, make_person("ada", superuser=True)).new_page()
    page.goto(f"{live_server.url}/admin/")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "sp-skip"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"
    menu = page.locator("[aria-controls=user-menu]")
    menu.focus()
    page.keyboard.press("Enter")
    page.locator("#user-menu").wait_for(state="visible")
    assert menu.get_attribute("aria-expanded") == "true"
    page.keyboard.press("Escape")
    page.locator("#user-menu").wait_for(state="hidden")
    assert menu.evaluate("each => each === document.activeElement")
    page.keyboard.press("?")
    page.locator("#keys").wait_for(state="visible")
    page.keyboard.press("Escape")
    page.locator("#keys").wait_for(state="hidden")
    page.keyboard.press("g")
    page.keyboard.press("j")
    page.wait_for_url(f"**{list_of(SyncJob)}")
    page.set_viewport_size(PHONE)
    drawer, opener = page.locator("#nav-sidebar"), page.locator("#open-sidebar")
    opener.focus()
    page.keyboard.press("Enter")
    drawer.wait_for(state="visible")
    page.wait_for_function(
        "document.querySelector('#nav-sidebar').contains(document.activeElement)"
    )
    page.keyboard.press("Escape")
    drawer.wait_for(state="hidden")
    assert opener.evaluate("each => each === document.activeElement")


HIDE = """(hidden) => {
    Object.defineProperty(document, 'hidden', { value: hidden, configurable: true });
    document.dispatchEvent(new Event('visibilitychange'));
}"""


def test_a_hidden_page_asks_nothing_and_asks_once_when_it_is_seen(
    chromium: Browser, tenant: Tenant, live_server: LiveServer
) -> None:
    page = open_context(chromium, live_server, make_person("ada", superuser=True)).new_page()
    page.clock.install()
    page.goto(f"{live_server.url}/admin/")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url.partition("/dashboard/")[2]))
    with page.expect_response("**/dashboard/"):
        page.clock.run_for(3_500)
    page.evaluate(HIDE, arg=True)
    asked.clear()
    page.clock.run_for(70_000)
    assert asked == []
    with page.expect_response("**/dashboard/charts/"):
        page.evaluate(HIDE, arg=False)
    assert sorted(asked) == ["", "beside/", "charts/"]


def test_a_lost_server_is_said_and_a_change_of_state_is_read_aloud(
    chromium: Browser, tenant: Tenant, live_server: LiveServer
) -> None:
    page = open_context(chromium, live_server, make_person("ada", superuser=True)).new_page()
    page.clock.install()
    page.goto(f"{live_server.url}/admin/")
    stale = page.locator("#stale")
    page.route("**/dashboard/**", lambda route: route.abort())
    page.clock.run_for(3_500)
    stale.get_by_text("No answer from the server since").wait_for()
    page.unroute("**/dashboard/**")
    link = page.locator("#decide-1")
    link.focus()
    SyncRecord.objects.filter(state=State.RUNNING).update(percentage=77)
    page.clock.run_for(3_500)
    page.get_by_text("77 %").wait_for()
    stale.wait_for(state="hidden")
    assert page.inner_text("#said") == ""  # a figure is not read aloud
    assert (
        page.evaluate("document.activeElement.id") == "decide-1"
    )  # and takes the focus from nobody
    SyncRecord.objects.filter(state=State.HELD).update(
        state=State.CANCELLED, finished_at=timezone.now()
    )
    page.clock.run_for(3_500)
    page.locator("#said").get_by_text("0 decisions").wait_for()
