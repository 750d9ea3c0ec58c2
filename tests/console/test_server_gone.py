"""A page whose server is gone says so, within one interval, and takes it back when the server answers again."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from syncjobs.core.states import State
from tests.console import test_browser
from tests.console.conftest import Tenant, make_person, make_record
from tests.console.urls import page_of
from tests.proxy import Weather, proxying

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
tenant = test_browser.tenant  # a fixture
WITHIN_MS = 60_000  # the first page of a test run has much to read


def test_item_04_a_page_whose_server_is_gone_says_so(
    page: Page, tenant: Tenant, live_server: LiveServer
) -> None:
    page.set_default_timeout(WITHIN_MS)
    record = make_record(tenant.job, State.RUNNING, current_file_index=5, total_files=20)
    person = make_person("ada", superuser=True)
    with proxying(urlsplit(live_server.url).port or 0) as proxy:
        site = f"http://localhost:{proxy.port}"
        page.goto(f"{site}/admin/")
        page.fill("input[name=username]", person.username)
        page.fill("input[name=password]", "pass-ada")
        page.click("button[type=submit]")
        page.get_by_role("heading", name="Overview").wait_for()
        page.goto(site + page_of(record))
        page.get_by_text("file 5 of 20").wait_for()
        assert page.locator("#stale").is_hidden()
        failed: list[str] = []
        page.on("requestfailed", lambda request: failed.append(request.url))
        proxy.weather = Weather(refusing=True)
        proxy.cut()
        page.locator("#stale").wait_for(state="visible")
        assert (
            len(failed) <= 2
        )  # the first that has no answer says so: it is not asked for again and again
        assert "No answer from the server since" in page.inner_text("#stale")
        proxy.weather = Weather()
        page.locator("#stale").wait_for(state="hidden")
