"""Every page renders, in few queries, with everything escaped and no secret in it."""

from __future__ import annotations

import base64
import re
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django_celery_beat.models import CrontabSchedule, IntervalSchedule, PeriodicTask
from pytest_django import DjangoAssertNumQueries

from outbox.models import Stream
from outbox.streams import save_stream
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.console.conftest import CANARY, NASTY, Tenant, make_record
from tests.console.urls import add_to, list_of, models, page_of
from workspaces.invitations import make_invitation
from workspaces.models import AuditEntry, Invitation, Role

QUERIES_MAX = 16


@pytest.fixture
def pages(acme: Tenant, lab: Tenant, root: Client) -> list[str]:
    return all_pages(acme, get_user_model().objects.get(username="root"))


def all_pages(acme: Tenant, person: Any) -> list[str]:
    """The list, the add page and one row's page of every model, and the other pages there are."""
    invitation, token = make_invitation(acme.workspace, "guest", Role.VIEWER)
    rows = {type(row): row for row in acme.rows()}
    pace = IntervalSchedule.objects.create(every=5, period="seconds")
    rows |= {
        IntervalSchedule: pace,
        CrontabSchedule: CrontabSchedule.objects.create(),
        PeriodicTask: PeriodicTask.objects.create(name="tick", task="tasks.x", interval=pace),
        Group: Group.objects.get_or_create(name="group")[0],
        AuditEntry: AuditEntry.objects.filter(kind="sync job")[0],
        Invitation: invitation,
        get_user_model(): person,
    }
    found = ["/admin/"]
    for model in models():
        found += [list_of(model), add_to(model), page_of(rows[model])]
    record = page_of(acme.record).removesuffix("change/")
    dataset = page_of(acme.dataset)
    stream = page_of(acme.stream).removesuffix("change/")
    return [
        *found,
        f"{record}live/",
        f"{record}files/",
        f"{record}files/?action=added",
        *(
            f"{stream}{name}/"
            for name in ("live", "deliveries", "configurations", "dead-letters", "delete")
        ),
        f"{page_of(acme.connector).removesuffix('change/')}connectivity/",
        f"{dataset}?version=1",
        f"{dataset}?folder={quote(NASTY)}",
        f"{dataset}?preview={acme.entry.pk}",
        f"{dataset.removesuffix('change/')}versions/",
        f"{dataset.removesuffix('change/')}keeping/",
        f"{dataset.removesuffix('change/')}delete/",
        "/admin/syncjobs/syncrecord/dashboard/",
        "/admin/syncjobs/syncrecord/dashboard/beside/",
        "/admin/syncjobs/syncrecord/dashboard/charts/",
        "/admin/alerts/alert/?state=resolved",
        "/admin/alerts/alert/live/firing/",
        "/admin/workspaces/workspace/choose/",
        "/admin/search/",
        f"/admin/search/?q={quote(NASTY)}+a.txt",
        f"/invitations/{token}",
        f"{page_of(acme.workspace).removesuffix('change/')}search/",
        f"{page_of(acme.connector).removesuffix('change/')}history/",
        f"{page_of(acme.job).removesuffix('change/')}delete/",
        f"{page_of(acme.connector).removesuffix('change/')}delete/",
        f"{page_of(acme.workspace).removesuffix('change/')}delete/",
    ]


def test_every_page_renders_escaped_and_without_secrets(
    pages: list[str], root: Client, acme: Tenant
) -> None:
    forms = [CANARY, quote(CANARY), base64.b64encode(CANARY.encode()).decode(), acme.raw_token]
    statuses = {}
    for page in pages:
        response = root.get(page, follow=True)
        text = response.content.decode()
        statuses[page] = response.status_code
        for form in (*forms, acme.connector.sealed_secret, acme.token.digest):
            assert form not in text, page
        assert NASTY not in text, page
        assert not re.search(r'(?:src|href)="https?:', text), page
    refused = {page: status for page, status in statuses.items() if status != 200}
    # What the work itself writes is not added by hand.
    assert set(refused.values()) <= {403}
    assert {page.split("/")[3] for page in refused} == {
        "syncrecord",
        "dataset",
        "version",
        "periodictask",
        "auditentry",
        "alert",
    }


@pytest.mark.parametrize(
    "model",
    [
        "syncjob",
        "syncrecord",
        "dataset",
        "connector",
        "version",
        "auditentry",
        "stream",
        "alert",
        "alertrule",
        "alertchannel",
    ],
)
def test_a_list_costs_the_same_queries_for_many_rows(
    model: str,
    acme: Tenant,
    root: Client,
    django_assert_max_num_queries: DjangoAssertNumQueries,
) -> None:
    for number in range(12):
        job = SyncJob(workspace=acme.workspace, connector=acme.connector, name=f"job-{number}")
        save_job(job)
        make_record(job, State.SUCCEEDED)
        make_record(job, State.RUNNING)
        make_record(job, State.QUEUED)
        save_stream(
            Stream(workspace=acme.workspace, client=acme.stream.client, name=f"stream-{number}")
        )
        rule = make_rule(f"rule-{number}", workspace=acme.workspace, job=acme.job)
        make_alert(rule)
        make_channel(f"channel-{number}", workspace=acme.workspace)
    page = list_of(next(each for each in models() if each._meta.model_name == model))
    with django_assert_max_num_queries(QUERIES_MAX):
        assert root.get(page).status_code == 200


def test_the_dashboard_and_a_record_page_cost_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    states = (State.RUNNING, State.QUEUED, State.HELD, State.FAILED)
    records = [make_record(acme.job, state) for state in states]
    with django_assert_max_num_queries(15):
        root.get("/admin/")
    for record in (acme.record, *records):
        with django_assert_max_num_queries(21 if record.state == State.QUEUED else 18):
            root.get(page_of(record))


def test_a_streams_page_costs_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    page = page_of(acme.stream)
    root.get(page)
    with django_assert_max_num_queries(18):
        root.get(page)
    with django_assert_max_num_queries(13):
        root.get(page.replace("change", "live"))
    page = page_of(acme.stream.client)
    with django_assert_max_num_queries(18):
        root.get(page)


def test_the_list_of_records_never_counts_them(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_max_num_queries(QUERIES_MAX) as captured:
        root.get(list_of(SyncRecord))
    assert not [query for query in captured.captured_queries if "COUNT(" in query["sql"].upper()]


def test_records_can_be_paged_filtered_and_bad_filters_find_nothing(
    acme: Tenant, root: Client
) -> None:
    make_record(acme.job, State.FAILED, error="boom-7")
    page = list_of(SyncRecord)
    assert "boom-7" in root.get(page, {"state__exact": "failed"}).content.decode()
    assert "boom-7" not in root.get(page, {"state__exact": "succeeded"}).content.decode()
    assert "boom-7" in root.get(page, {"job": str(acme.job.pk), "since": "24h"}).content.decode()
    assert "boom-7" not in root.get(page, {"job": "no-uuid"}).content.decode()
    assert root.get(page, {"p": "99"}, follow=True).status_code == 200


def test_the_start_page_leads_to_the_log_in(client: Client, db: None) -> None:
    assert client.get("/admin/")["Location"].startswith("/admin/login/")
    assert client.get("/admin/login/").status_code == 200
