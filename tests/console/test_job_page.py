"""A job's page: how it stands, its last records as a strip, what comes next, who is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from alerts.models import AlertChannel, AlertRule
from console.job_page import RECORDS_PAGE
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.console.conftest import NASTY, Tenant, make_record
from tests.console.urls import list_of, page_of, press, status_of
from workspaces.models import Role

QUERIES_MAX = 15


def _records(acme: Tenant) -> str:
    return reverse("admin:syncjobs_syncjob_records", args=[acme.job.pk])


def _history(acme: Tenant, count: int) -> list[SyncRecord]:
    now = timezone.now()
    records = []
    for number in range(count, 0, -1):
        at = now - timedelta(hours=number)
        state = State.FAILED if number == 3 else State.SUCCEEDED
        record = make_record(
            acme.job, state, started_at=at, finished_at=at + timedelta(seconds=100 + number)
        )
        SyncRecord.objects.filter(pk=record.pk).update(queued_at=at)
        records.append(record)
    return records


def test_the_strip_has_the_last_30_syncs_as_links_and_no_plans(acme: Tenant, root: Client) -> None:
    records = _history(acme, 40)
    plan = make_record(acme.job, dry_run=True)
    text = root.get(status_of(acme.job)).content.decode()
    strip = text[text.index('class="sp-strip"') :].split("</svg>")[0]
    assert strip.count("<a ") == 30
    assert page_of(records[-1]) in strip
    assert page_of(records[0]) not in strip
    assert page_of(plan) not in strip
    assert "Failed, " in strip
    assert 'role="group"' in strip


def test_a_record_that_looks_suspect_is_told_as_such(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job, verdict="suspect")
    for url in (status_of(acme.job), page_of(record), _records(acme)):
        assert "suspect" in root.get(url).content.decode()


def test_the_page_tells_success_next_run_usual_time_and_dataset(acme: Tenant, root: Client) -> None:
    _history(acme, 9)
    AlertRule.objects.all().delete()
    text = root.get(status_of(acme.job)).content.decode()
    assert "90 %" in text  # of ten records
    assert "19 of 20 within" in text
    assert "At 02:00 every day (Europe/Berlin)" in text
    assert ">v1<" in text
    assert "Nobody: no alert rule looks at this job" in text


def test_a_job_that_never_ran_says_what_will_stand_here(acme: Tenant, root: Client) -> None:
    SyncRecord.objects.all().delete()
    text = root.get(status_of(acme.job)).content.decode()
    assert "There is none yet" in text
    assert "not known yet" in text


def test_who_is_told_follows_rules_and_channels(acme: Tenant, lab: Tenant, root: Client) -> None:
    AlertRule.objects.all().delete()  # the default ones
    told = AlertChannel.objects.create(
        workspace=acme.workspace, name="ops-chat", sealed_secret="x", scheme="json"
    )
    AlertChannel.objects.create(
        workspace=acme.workspace, name="off", sealed_secret="x", scheme="json", enabled=False
    )
    AlertRule.objects.create(workspace=acme.workspace, name="any", kind="failure")
    own = AlertRule.objects.create(
        workspace=acme.workspace, name="own", kind="overdue", job=acme.job, params={"factor": 4}
    )
    own.channels.add(told)
    AlertRule.objects.create(workspace=acme.workspace, name="disk", kind="disk")
    AlertRule.objects.create(workspace=lab.workspace, name="theirs", kind="held")
    text = root.get(status_of(acme.job)).content.decode()
    assert "Runs longer than 4 times the usual" in text
    assert "<span>Fails</span>" in text
    assert text.count("ops-chat") == 2
    assert "Is held for a person" not in text


def test_the_records_are_paged_by_key_and_chosen(acme: Tenant, root: Client) -> None:
    _history(acme, RECORDS_PAGE + 5)
    first = root.get(_records(acme))
    assert len(first.context["records"]) == RECORDS_PAGE
    second = root.get(_records(acme), {"before": first.context["following"]})
    assert len(second.context["records"]) == 6  # with the one that the tenant has
    assert second.context["following"] is None
    shown = {record.pk for record, _ in (*first.context["records"], *second.context["records"])}
    assert len(shown) == RECORDS_PAGE + 6
    assert len(root.get(_records(acme), {"show": "failed"}).context["records"]) == 1
    assert len(root.get(_records(acme), {"show": "look"}).context["records"]) == 1
    assert len(root.get(_records(acme), {"show": "plans"}).context["records"]) == 0
    assert root.get(_records(acme), {"before": "nonsense~x"}).status_code == 200


def test_each_tab_is_an_address_and_the_list_leads_to_the_first(acme: Tenant, root: Client) -> None:
    tabs = (status_of(acme.job), _records(acme), page_of(acme.job))
    for url in tabs:
        text = root.get(url).content.decode()
        assert all(f'href="{other}"' in text for other in tabs)
        assert f'href="{url}" aria-current="page"' in text
    assert status_of(acme.job) in root.get(list_of(type(acme.job))).content.decode()


def test_buttons_are_those_of_the_role_and_stand_at_the_foot_of_a_phone(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    operator = browser_of(acme.people[Role.OPERATOR])
    text = operator.get(status_of(acme.job)).content.decode()
    foot = text[text.index('class="sp-bottom') :]
    assert press(acme.job, "sync") in foot
    assert press(acme.job, "disable") not in text
    viewer = browser_of(acme.people[Role.VIEWER]).get(status_of(acme.job)).content.decode()
    assert "/press/" not in viewer
    assert "sp-bottom" not in viewer
    stranger = browser_of(lab.people[Role.ADMIN])
    for name in ("status", "records", "state", "figures"):
        url = reverse(f"admin:syncjobs_syncjob_{name}", args=[acme.job.pk])
        assert stranger.get(url).status_code == 404


@pytest.mark.parametrize("count", [1, 40])
def test_the_pages_of_a_job_cost_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries, count: int
) -> None:
    _history(acme, count)
    AlertChannel.objects.create(
        workspace=acme.workspace, name="ops-chat", sealed_secret="x", scheme="json"
    )
    for number in range(count):
        AlertRule.objects.create(workspace=acme.workspace, name=f"r{number}", kind="failure")
    for url in (status_of(acme.job), _records(acme)):
        root.get(url)
        with django_assert_max_num_queries(QUERIES_MAX):
            root.get(url)


def test_what_others_wrote_is_shown_as_text(acme: Tenant, root: Client) -> None:
    make_record(acme.job, State.FAILED, error=NASTY + "\u202egpj.exe")
    for url in (status_of(acme.job), _records(acme)):
        text = root.get(url).content.decode()
        assert NASTY not in text
        assert "\u202e" not in text
