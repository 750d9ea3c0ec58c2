"""A person of several workspaces: nothing breaks by the second, and the session says which one is meant."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.models import Connector
from console.admin.scoped import SEALED
from syncjobs.models import SyncRecord
from tests.console.conftest import Tenant
from tests.console.urls import list_of, models, page_of
from workspaces.models import Member, Role

Browser = Callable[[User], Client]
pytestmark = pytest.mark.django_db
CHOOSE = "/admin/workspaces/workspace/choose/"
STATUS = "/api/sync/status"


@pytest.fixture
def ada(acme: Tenant, lab: Tenant) -> User:
    """An admin of acme who has joined lab too."""
    person = acme.people[Role.ADMIN]
    Member.objects.create(workspace=lab.workspace, user=person, role=Role.VIEWER)
    return person


def syncs_in(browser: Client, **query: str) -> tuple[int, str]:
    """The jobs that `POST /sync/force` of this session means."""
    answer = browser.post("/sync/force" + ("?workspace=" + query["workspace"] if query else ""))
    jobs = [one["job"] for one in answer.json().get("queued", [])]
    return answer.status_code, ",".join(jobs)


def test_who_joins_a_second_workspace_works_on_in_the_first(ada: User, browser_of: Browser) -> None:
    assert syncs_in(browser_of(ada)) == (202, "acme-job")


def test_the_session_chooses_and_every_request_checks(
    ada: User, acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(ada)
    Member.objects.filter(user=ada).update(role=Role.ADMIN)
    assert browser.post(CHOOSE, {"workspace": "lab"}).status_code == 302
    assert syncs_in(browser) == (202, "lab-job")
    assert syncs_in(browser, workspace="acme") == (202, "acme-job")
    Member.objects.filter(user=ada, workspace=lab.workspace).delete()
    assert syncs_in(browser) == (202, "acme-job")
    assert browser.post(CHOOSE, {"workspace": "lab"}).status_code == 404
    assert browser.post(CHOOSE, {"workspace": "no\0ne"}).status_code == 404


def test_lists_show_the_chosen_one_and_pages_of_the_other_open(
    ada: User, acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(ada)
    both = browser.get(list_of(Connector)).text
    assert "acme-host" in both
    assert "lab-host" in both
    assert "All workspaces" in both
    browser.post(CHOOSE, {"workspace": "lab"})
    for model, name in ((Connector, "host"), (SyncRecord, "job")):
        text = browser.get(list_of(model)).text
        assert f"lab-{name}" in text
        assert f"acme-{name}</a>" not in text
        assert "Workspace: lab" in text
    assert "acme-job" not in browser.get("/admin/").text
    assert browser.get(page_of(acme.connector)).status_code == 200
    browser.post(CHOOSE, {"workspace": ""})
    assert "acme-host" in browser.get(list_of(Connector)).text


def test_a_choice_gives_no_rights(acme: Tenant, lab: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    session = browser.session
    session["workspace"] = str(lab.workspace.pk)
    session.save()
    assert "lab-" not in browser.get(list_of(Connector)).text
    assert syncs_in(browser) == (202, "acme-job")
    assert "All workspaces" not in browser.get("/admin/").text
    for odd in ("no uuid", None, 3, {"a": 1}):
        session["workspace"] = odd
        session.save()
        assert browser.get(list_of(Connector)).status_code == 200


def test_an_admin_of_a_workspace_invites_and_adds_nobody(acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    given = {"workspace": acme.workspace.pk, "username": "root", "role": "admin"}
    assert browser.post(reverse("admin:workspaces_member_add"), given).status_code == 403
    made = browser.post(
        reverse("admin:workspaces_invitation_add"),
        {"workspace": acme.workspace.pk, "name": "nobody-here", "role": "viewer"},
        follow=True,
    )
    assert made.status_code == 200
    assert "/invitations/" in made.text
    assert "/invitations/" not in browser.get("/admin/workspaces/invitation/").text
    operator = browser_of(acme.people[Role.OPERATOR])
    assert operator.get("/admin/workspaces/invitation/").status_code == 403


def test_no_list_is_filtered_by_what_is_sealed(root: Client, acme: Tenant) -> None:
    """Of every model that has a list, by its own fields and by those of whatever it leads to."""
    tried = 0
    for model in models():
        for lookup in (*_sealed_below(model), "sealed_secret", "connector__sealed_secret"):
            for kind in ("__startswith", "__regex", "", "__gt"):
                tried += 1
                answer = root.get(list_of(model), {f"{lookup}{kind}": "p"})
                if answer.status_code == 200:  # a page of its own, which no such word filters
                    assert "cl" not in (answer.context or {}), (model, lookup)
                    continue
                # Told as a filter that does not exist is.
                assert answer.status_code in (302, 400), (model, lookup)
                if answer.status_code == 302:
                    assert answer["Location"].endswith("?e=1")
    assert tried > 50


def _sealed_below(model: type) -> list[str]:
    found = [field.name for field in model._meta.get_fields() if field.name in SEALED]  # type: ignore[attr-defined]
    for field in model._meta.get_fields():  # type: ignore[attr-defined]
        if field.is_relation and field.related_model:
            names = [far.name for far in field.related_model._meta.get_fields()]
            found += [f"{field.name}__{name}" for name in names if name in SEALED]
    return found


def test_every_field_that_holds_a_secret_is_known_as_sealed() -> None:
    """A new one does not come to a list by being forgotten."""
    for label in ("workspaces", "connectors", "datasets", "syncjobs", "auth", "sessions"):
        for model in apps.get_app_config(label).get_models():
            for field in model._meta.concrete_fields:
                words = set(field.name.split("_"))
                if words & {"secret", "password", "digest", "hash", "token", "key", "data"}:
                    assert field.name in SEALED | NO_SECRETS, (model, field.name)


# The number of an attempt, facts that events tell, what names a session without opening it alone, and the columns
# that tell a table's rows apart.
NO_SECRETS = {"token", "fencing_token", "data", "session_key", "key", "in_key"}
