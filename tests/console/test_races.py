"""Eight people who save one name at the same moment: one gets it, the others have their form back, told why."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.test import Client

from connectors.models import Connector
from tests.console.conftest import make_person
from tests.racing import locked_by_another, race
from tests.rows import make_workspace
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)
RACERS = 8
PASSWORD = "a long password that nobody has"


def answers_to(path: str, form: dict[str, Any], *, table: str) -> list[Any]:
    browsers = [Client(raise_request_exception=False) for _ in range(RACERS)]
    person = make_person("root", superuser=True)
    for browser in browsers:
        browser.force_login(person)
    runners = [partial(browser.post, path, form) for browser in browsers]
    return race(runners, table=table)


@pytest.mark.parametrize(
    ("page", "form", "named", "table"),
    [
        (
            "workspaces/workspace",
            {"name": "new"},
            Workspace.objects.filter(name="new"),
            "workspaces_workspace",
        ),
        (
            "auth/user",
            {
                "username": "new",
                "password1": PASSWORD,
                "password2": PASSWORD,
                "usable_password": "true",
            },
            get_user_model().objects.filter(username="new"),
            "auth_user",
        ),
    ],
)
def test_forms_of_one_name(page: str, form: dict[str, Any], named: Any, table: str) -> None:
    answers = answers_to(f"/admin/{page}/add/", form, table=table)
    assert sorted(answer.status_code for answer in answers) == [200] * (RACERS - 1) + [302]
    for answer in answers:
        if answer.status_code == 200:
            assert "already exists" in answer.content.decode()
    assert named.all().count() == 1


def test_files_that_are_applied_together(tmp_path: Path) -> None:
    """Each says what it found: who comes second changes what the first has made."""
    make_workspace()
    file = tmp_path / "acme.yaml"
    file.write_text(
        "workspaces:\n"
        "  - name: acme\n"
        "    connectors:\n"
        "      - {name: files, kind: sftp, host: files.example.com, options: {username: sync}}\n"
    )
    runners = [partial(call_command, "apply", file)] * 4
    race(runners, table="connectors_connector")
    assert Connector.objects.count() == 1


def test_a_row_that_another_has_for_too_long_is_told_on_the_page() -> None:
    workspace = make_workspace()
    browser = Client(raise_request_exception=False)
    browser.force_login(make_person("root", superuser=True))
    with locked_by_another(
        "SELECT FROM workspaces_workspace WHERE id = %s FOR UPDATE", [workspace.pk]
    ):
        page = browser.post(
            f"/admin/workspaces/workspace/{workspace.pk}/change/", {"name": "renamed"}
        )
    assert (page.status_code, page.headers["Retry-After"]) == (503, "1")
    assert "Others are changing the same things just now" in page.content.decode()
