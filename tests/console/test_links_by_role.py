"""No person is led to a page, or offered a button, that their role refuses: every link and form of every page is tried."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from urllib.parse import urljoin, urlsplit

import pytest
from django.contrib.auth.models import User
from django.test import Client

from syncjobs.core.states import State
from tests.console.conftest import PLAN, Tenant, make_record
from tests.console.test_held_page import make_hold
from workspaces.models import Role

pytestmark = pytest.mark.django_db
PAGES_MAX = 100


class _Offers(HTMLParser):
    """The addresses that a page leads to, and those that its forms are sent to."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self._page = page
        self.links: set[str] = set()
        self.forms: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("a", "button") and given.get("href"):
            self.links.add(self._find(given["href"]))
        if tag == "form" and given.get("method", "").lower() == "post" and "action" in given:
            self.forms.add(self._find(given["action"]))
        if given.get("formaction"):
            self.forms.add(self._find(given["formaction"]))

    def _find(self, address: str) -> str:
        parts = urlsplit(urljoin(self._page, address))
        return parts.path if not parts.netloc or parts.netloc == "testserver" else ""


def _read(browser: Client, page: str, offered_by: str) -> _Offers:
    found = _Offers(page)
    answer = browser.get(page, follow=True)
    assert answer.status_code not in (403, 404, 500), f"{page}, offered by {offered_by}"
    if answer.headers["Content-Type"].startswith("text/html") and not answer.streaming:
        found.feed(answer.content.decode())
    return found


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR, Role.ADMIN])
def test_nothing_that_is_offered_ends_in_a_refusal(
    acme: Tenant, browser_of: Callable[[User], Client], role: Role
) -> None:
    make_record(acme.job, State.RUNNING, percentage=20)
    make_record(acme.job, State.FAILED, error="away", error_code="unreachable", files_failed=2)
    make_record(acme.job, dry_run=True, plan=PLAN)
    make_hold(acme, 120)
    browser = browser_of(acme.people[role])
    seen: dict[str, str] = {}
    forms: dict[str, str] = {}
    waiting = [("/admin/", "/admin/")]
    while waiting and len(seen) < PAGES_MAX:
        page, offered_by = waiting.pop(0)
        if page in seen or not page.startswith("/admin/") or "/logout/" in page:
            continue
        seen[page] = offered_by
        found = _read(browser, page, offered_by)
        waiting += [(link, page) for link in sorted(found.links)]
        forms |= dict.fromkeys(found.forms, page) | forms
    assert len(seen) > 30
    refused = {
        action: page
        for action, page in forms.items()
        if action.startswith("/admin/")
        and "/logout/" not in action
        and browser.post(action).status_code == 403
    }
    assert refused == {}
