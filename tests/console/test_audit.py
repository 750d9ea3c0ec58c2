"""The audit trail in the console: for admins, of their own workspaces."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.test import Client

from tests.console.conftest import Tenant
from workspaces.acting import Door
from workspaces.models import AuditEntry, Role, Workspace

pytestmark = pytest.mark.django_db(transaction=True)
Browser = Callable[[User], Client]
PAGE = "/admin/workspaces/auditentry/"


def test_a_change_in_the_console_is_the_persons(acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    form = {
        "workspace": str(acme.workspace.pk),
        "name": "second",
        "kind": "sftp",
        "host": "h",
        "port": "22",
    }
    assert browser.post("/admin/connectors/connector/add/", form).status_code == 302
    entry = AuditEntry.objects.get(object_name="second")
    assert (entry.actor, entry.door, entry.action) == ("acme-admin", Door.CONSOLE, "created")
    page = browser.get(PAGE).content.decode()
    assert "second" in page
    assert "<b>host</b>: – → h" in page  # noqa: RUF001 — what a table shows for nothing
    assert browser.get(f"{PAGE}{entry.pk}/change/").status_code == 200


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_the_trail_is_for_admins(role: Role, acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[role])
    assert browser.get(PAGE).status_code == 403
    assert "Audit trail" not in browser.get("/admin/").content.decode()


def test_p12_an_admin_sees_the_trail_of_their_own_workspace(
    acme: Tenant, lab: Tenant, browser_of: Browser, root: Client
) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    text = browser.get(PAGE).content.decode()
    assert "acme-job" in text
    assert "lab-job" not in text
    theirs = AuditEntry.objects.filter(workspace=lab.workspace).first()
    assert theirs is not None
    assert browser.get(f"{PAGE}{theirs.pk}/change/").status_code == 302
    assert "lab-job" in root.get(PAGE).content.decode()


def test_a_trail_outlives_its_workspace(acme: Tenant, root: Client) -> None:
    empty = Workspace.objects.create(name="empty")
    address = f"/admin/workspaces/workspace/{empty.pk}/delete/"
    assert root.post(address, {"post": "yes"}).status_code == 302
    entry = AuditEntry.objects.get(object_id=str(empty.pk))
    assert (entry.action, entry.workspace, entry.object_name) == ("deleted", None, "empty")
    assert root.get(f"{PAGE}{entry.pk}/change/").status_code == 200
