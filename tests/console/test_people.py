"""How a person comes in, in a browser: the link of an invitation, a password, and what their role shows."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.utils import timezone
from playwright.sync_api import Page
from pytest_django.live_server_helper import LiveServer

from tests.console import test_browser
from tests.console.conftest import Tenant, make_tenant
from tests.console.urls import list_of
from workspaces.invitations import find_invitation
from workspaces.models import Invitation, Member, Role

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
tenant = test_browser.tenant  # a fixture
WITHIN_MS = 60_000  # the first page of a test run has much to read
PASSWORD = "a long one that is not common"


def log_in(page: Page, server: LiveServer) -> None:
    page.set_default_timeout(WITHIN_MS)
    test_browser._log_in(page, server)


def invite_in_console(page: Page, server: LiveServer, name: str, role: str) -> str:
    """The link that the page shows, once."""
    page.goto(server.url + list_of(Invitation) + "add/")
    if page.locator("select[name=workspace]").count():
        page.select_option("select[name=workspace]", label="acme")
    page.fill("input[name=name]", name)
    page.select_option("select[name=role]", role)
    page.click("input[name=_save], button[name=_save]")
    told = page.get_by_text("it is shown only once").inner_text()
    found = re.search(r"http://\S+/invitations/\S+", told)
    assert found is not None, told
    page.goto(server.url + list_of(Invitation))
    assert found[0].rpartition("/")[2] not in page.content()
    return found[0]


def as_somebody_else(page: Page) -> Page:
    browser = page.context.browser
    assert browser is not None
    other = browser.new_context().new_page()
    other.set_default_timeout(WITHIN_MS)
    return other


def test_item_13_a_new_person_sets_a_password_and_is_in(
    page: Page,
    tenant: Tenant,
    live_server: LiveServer,
) -> None:
    make_tenant("lab")
    log_in(page, live_server)
    link = invite_in_console(page, live_server, "grace", "operator")
    row = find_invitation(link.rpartition("/")[2])
    assert row is not None
    assert row.expires_at - timezone.now() > timedelta(days=6, hours=23)
    guest = as_somebody_else(page)
    guest.goto(link)
    assert guest.input_value("input[name=username]") == "grace"
    guest.fill("input[name=password]", PASSWORD)
    guest.fill("input[name=again]", PASSWORD)
    guest.get_by_role("button", name="Sign up and accept").click()
    guest.get_by_role("heading", name="Overview").wait_for()
    assert Member.objects.get(user__username="grace").role == Role.OPERATOR
    guest.goto(live_server.url + list_of(type(tenant.job)))
    shown = guest.inner_text("#result_list")
    assert "acme-job" in shown
    assert "lab-job" not in shown
    again = as_somebody_else(page)
    again.goto(link)
    again.get_by_text("This link opens nothing").wait_for()
    again.goto(f"{live_server.url}/admin/")
    again.fill("input[name=username]", "grace")
    again.fill("input[name=password]", PASSWORD)
    again.click("button[type=submit]")
    again.get_by_role("heading", name="Overview").wait_for()


def test_item_13_who_has_an_account_accepts_with_it(
    page: Page,
    tenant: Tenant,
    live_server: LiveServer,
) -> None:
    """Made by a superuser under Users, who fills in nothing but a name and a password."""
    log_in(page, live_server)
    page.goto(live_server.url + list_of(get_user_model()) + "add/")
    page.fill("input[name=username]", "grace")
    page.fill("input[name=password1]", PASSWORD)
    page.fill("input[name=password2]", PASSWORD)
    page.click("input[name=_save], button[name=_save]")
    page.get_by_text("was added successfully").wait_for()
    link = invite_in_console(page, live_server, "grace", "viewer")
    page.goto(link)  # the admin, who is somebody else
    page.get_by_role("button", name="Log out").click()
    page.get_by_role("link", name="Log in as grace").click()
    page.fill("input[name=username]", "grace")
    page.fill("input[name=password]", PASSWORD)
    page.click("button[type=submit]")
    page.get_by_role("button", name="Accept").click()
    page.get_by_role("heading", name="Overview").wait_for()
    assert Member.objects.get(user__username="grace").role == Role.VIEWER
    assert "acme" in page.content()


def test_item_13_the_page_of_people_shows_what_the_command_prints(
    tenant: Tenant,
    capsys: pytest.CaptureFixture[str],
) -> None:
    call_command("invite", "acme", "grace", "--role", "operator")
    path = capsys.readouterr().out.strip()
    assert re.fullmatch(r"/invitations/[\w-]{43}", path)
    assert find_invitation(path.rpartition("/")[2]) is not None
