"""A person sees and touches only their workspaces, by role; the rest answers like what is not there."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.models import Connector
from console.admin.buttons import ButtonsAdmin
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.console.conftest import Tenant, make_person, make_record
from tests.console.urls import add_to, list_of, models, page_of, press
from workspaces.models import ApiToken, Member, Role, Workspace

Browser = Callable[[User], Client]
SCOPED = [
    "workspace",
    "connector",
    "syncjob",
    "syncrecord",
    "dataset",
    "version",
    "apitoken",
    "member",
    "stream",
    "alertchannel",
    "alertrule",
    "alert",
]
FOR_ADMINS = ["auditentry", "invitation"]


def _names(tenant: Tenant) -> list[str]:
    own = [tenant.workspace, tenant.connector, tenant.job, tenant.token]
    return [row.name for row in own if isinstance(row, Workspace | Connector | SyncJob | ApiToken)]


@pytest.mark.parametrize("role", list(Role))
def test_lists_hold_only_the_persons_own_rows(
    role: Role, acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(acme.people[role])
    for model in models():
        if model._meta.model_name in FOR_ADMINS and role == Role.ADMIN:
            assert browser.get(list_of(model)).status_code == 200
            continue
        if model._meta.model_name not in SCOPED:
            assert browser.get(list_of(model)).status_code == 403, model
            continue
        text = browser.get(list_of(model)).content.decode()
        assert "acme" in text, model
        assert "lab-" not in text, model
        assert ">lab<" not in text, model
    dashboard = browser.get("/admin/").content.decode()
    assert "acme-job" in dashboard
    assert "lab-job" not in dashboard


@pytest.mark.parametrize("role", list(Role))
def test_pages_of_another_workspace_answer_like_missing_ones(
    role: Role, acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(acme.people[role])
    for row in lab.rows():
        page = page_of(row)
        missing = page.replace(
            str(row.pk), str(uuid4() if isinstance(row.pk, type(uuid4())) else 9**9)
        )
        answers = [browser.get(page), browser.get(missing)]
        assert [answer.status_code for answer in answers] == [302, 302], row
        assert {answer["Location"] for answer in answers} == {"/admin/"}
    for view in ("live", "files"):
        page = reverse(f"admin:syncjobs_syncrecord_{view}", args=[lab.record.pk])
        assert browser.get(page).status_code == 404
    for dataset in (lab.dataset, acme.dataset):
        page = reverse("admin:datasets_dataset_download", args=[dataset.pk, lab.entry.pk])
        assert browser.get(page).status_code == 404
    for view in ("live", "deliveries", "configurations", "dead_letters"):
        page = reverse(f"admin:outbox_stream_{view}", args=[lab.stream.pk])
        assert browser.get(page).status_code == 404
    page = reverse("admin:outbox_stream_redrive", args=[lab.stream.pk])
    assert browser.post(page).status_code == 404
    page = reverse("admin:connectors_connector_connectivity", args=[lab.connector.pk])
    assert browser.get(page).status_code == 404
    page = reverse("admin:connectors_connector_host_key", args=[lab.connector.pk])
    assert browser.get(page).status_code == 404


def _all_buttons(tenant: Tenant) -> list[tuple[object, str, Role]]:
    from django.contrib import admin

    found: list[tuple[object, str, Role]] = []
    for row in tenant.rows():
        page = admin.site._registry[type(row)]
        if isinstance(page, ButtonsAdmin):
            found += [(row, button.name, button.needs) for button in page.buttons]
    return found


def test_buttons_obey_roles_and_workspaces(acme: Tenant, lab: Tenant, browser_of: Browser) -> None:
    ranks = list(Role)
    assert len(_all_buttons(acme)) >= 8
    for role in Role:
        browser = browser_of(acme.people[role])
        for row, name, needs in _all_buttons(acme):
            assert browser.get(press(row, name)).status_code == 405
            if ranks.index(role) < ranks.index(needs):
                assert browser.post(press(row, name)).status_code == 403, (role, name)
        for row, name, _ in _all_buttons(lab):
            assert browser.post(press(row, name)).status_code == 404, (role, name)


def test_bulk_actions_reach_only_what_the_role_allows(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    operator = acme.people[Role.OPERATOR]
    Member.objects.create(workspace=lab.workspace, user=operator, role=Role.VIEWER)
    both = [str(acme.job.pk), str(lab.job.pk)]
    browser_of(operator).post(
        list_of(SyncJob), {"action": "sync_selected", "_selected_action": both}
    )
    assert [record.job for record in SyncRecord.objects.filter(state=State.QUEUED)] == [acme.job]
    answer = browser_of(operator).post(
        list_of(SyncJob), {"action": "disable_selected", "_selected_action": both}, follow=True
    )
    assert answer.status_code == 200
    assert SyncJob.objects.filter(enabled=True).count() == 2


def test_bulk_changes_reach_only_workspaces_where_the_person_is_admin(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    person = acme.people[Role.ADMIN]
    Member.objects.create(workspace=lab.workspace, user=person, role=Role.OPERATOR)
    browser = browser_of(person)
    for model, action, rows in (
        (SyncJob, "disable_selected", [acme.job, lab.job]),
        (ApiToken, "revoke_selected", [acme.token, lab.token]),
    ):
        selected = [str(row.pk) for row in rows]
        browser.post(list_of(model), {"action": action, "_selected_action": selected})
    assert list(SyncJob.objects.filter(enabled=True)) == [lab.job]
    assert list(ApiToken.objects.filter(revoked_at=None)) == [lab.token]


def test_bulk_deletion_is_refused_whole_where_one_row_is_not_theirs(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    person = acme.people[Role.ADMIN]
    Member.objects.create(workspace=lab.workspace, user=person, role=Role.OPERATOR)
    SyncRecord.objects.all().delete()
    for one, other in (
        (acme.job, lab.job),
        (acme.connector, lab.connector),
        (acme.token, lab.token),
        (acme.member, lab.member),
        (acme.workspace, lab.workspace),
    ):
        rows = type(one)
        before = rows.objects.count()
        selected = {"_selected_action": [str(one.pk), str(other.pk)], "post": "yes"}
        browser_of(person).post(list_of(rows), {"action": "delete_selected", **selected})
        assert rows.objects.count() == before, rows


def test_a_viewer_changes_nothing(acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(acme.people[Role.VIEWER])
    for row in acme.rows():
        page = page_of(row)
        assert browser.post(page, {"name": "other"}).status_code in (302, 403)
        assert browser.post(page.replace("change", "delete"), {"post": "yes"}).status_code == 403
        assert browser.get(add_to(type(row))).status_code == 403
        type(row).objects.get(pk=row.pk)
    acme.connector.refresh_from_db()
    assert acme.connector.name == "acme-host"


def test_an_admin_adds_rows_to_their_own_workspace_only(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    given = {"name": "new", "kind": "sftp", "host": "h.example.com", "port": ""}
    refused = browser.post(add_to(Connector), {**given, "workspace": str(lab.workspace.pk)})
    assert "Select a valid choice" in refused.content.decode()
    browser.post(add_to(Connector), {**given, "workspace": str(acme.workspace.pk)})
    assert Connector.objects.get(name="new").workspace == acme.workspace


def test_a_job_cannot_be_given_another_workspaces_connector(
    acme: Tenant, lab: Tenant, root: Client
) -> None:
    answer = root.post(
        add_to(SyncJob),
        {
            "workspace": str(acme.workspace.pk),
            "connector": str(lab.connector.pk),
            "name": "crossed",
            "schedule_form": "manual",
            "sync_mode": "incremental",
            "on_delete": "ignore",
            "max_attempts": "3",
        },
    )
    assert "belongs to another workspace" in answer.content.decode()
    assert not SyncJob.objects.filter(name="crossed").exists()


def test_staff_without_a_workspace_see_an_empty_console(acme: Tenant, browser_of: Browser) -> None:
    browser = browser_of(make_person("nobody"))
    assert browser.get("/admin/").status_code == 200
    assert "acme" not in browser.get("/admin/").content.decode()
    assert browser.get(list_of(SyncJob)).status_code == 403


def test_filters_name_no_row_of_another_workspace(
    acme: Tenant, lab: Tenant, browser_of: Browser
) -> None:
    browser = browser_of(acme.people[Role.VIEWER])
    text = browser.get(list_of(SyncRecord), {"job": str(lab.job.pk)}).content.decode()
    assert "lab-" not in text


def test_every_post_needs_the_csrf_token(acme: Tenant) -> None:
    browser = Client(enforce_csrf_checks=True)
    browser.force_login(make_person("csrf", superuser=True))
    for row, name, _ in _all_buttons(acme):
        assert browser.post(press(row, name)).status_code == 403, name
    page = reverse("admin:connectors_connector_host_key", args=[acme.connector.pk])
    assert browser.post(page).status_code == 403
    assert browser.post(list_of(SyncJob), {"action": "sync_selected"}).status_code == 403
    make_record(acme.job, State.QUEUED)
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == 1
