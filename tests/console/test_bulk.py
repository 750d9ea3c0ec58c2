"""Something is done to all that a filter takes: asked before, bounded, and told row by row where it was not done."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from html import unescape
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from connectors.models import Connector
from console.admin import bulk
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.console.conftest import NASTY, Tenant, make_record
from tests.console.urls import list_of
from workspaces.models import ApiToken, AuditEntry, Role
from workspaces.tokens import create_token

RECORDS, JOBS = list_of(SyncRecord), list_of(SyncJob)
FAILED = f"{RECORDS}?state__exact=failed"


@pytest.fixture
def failed(acme: Tenant) -> list[SyncRecord]:
    """Four jobs with a failed record each; the first job has an older one too."""
    records = []
    for number in range(4):
        job = SyncJob(workspace=acme.workspace, connector=acme.connector, name=f"job-{number}")
        save_job(job)
        records.append(make_record(job, State.FAILED, error=NASTY))
    older = make_record(records[0].job, State.FAILED)
    SyncRecord.objects.filter(pk=older.pk).update(queued_at=acme.record.queued_at)
    return records


def ask_all(browser: Client, url: str, action: str, one: Any) -> str:
    data = {"action": action, "_selected_action": str(one.pk), "select_across": "1", "index": "0"}
    answer = browser.post(url, data)
    assert answer.status_code == 200
    return answer.content.decode()


def confirm(browser: Client, url: str, page: str) -> str:
    """Presses the button of the page that asks."""
    form = re.search(
        r'<form method="post" action="([^"]+)" class="sp-in">(.*?)</form>', page, re.DOTALL
    )
    assert form
    assert unescape(form.group(1)) == url
    fields = re.findall(r'name="([^"]+)" value="([^"]*)"', form.group(2))
    data = {name: [value for each, value in fields if each == name] for name, _ in fields}
    return browser.post(url, data, follow=True).content.decode()


def queued() -> int:
    return SyncRecord.objects.filter(state=State.QUEUED).count()


def test_all_that_failed_are_retried_once_for_each_job(
    failed: list[SyncRecord], root: Client, acme: Tenant
) -> None:
    make_record(failed[3].job, State.QUEUED)
    page = ask_all(root, FAILED, "retry_selected", failed[0])
    assert queued() == 1  # nothing is done before the answer
    assert "Retry: 5 sync records" in page
    assert "A new record of each job is queued" in page
    text = confirm(root, FAILED, page)
    assert "3 of 5 queued again." in text
    assert "a newer record of its job is queued again" in text
    assert "a sync of its job is queued already" in text
    assert queued() == 4
    assert AuditEntry.objects.filter(action="retried").count() == 3


def test_the_button_acts_on_what_was_shown_and_on_nothing_that_came_later(
    failed: list[SyncRecord], root: Client, acme: Tenant
) -> None:
    page = ask_all(root, FAILED, "retry_selected", failed[0])
    make_record(acme.job, State.FAILED)
    confirm(root, FAILED, page)
    assert not SyncRecord.objects.filter(state=State.QUEUED, job=acme.job).exists()


def test_more_than_the_bound_are_left_and_the_page_says_so(
    failed: list[SyncRecord], root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "BULK_MAX", 2)
    page = ask_all(root, FAILED, "retry_selected", failed[0])
    assert "More than 2 match" in page
    assert "2 of 2 queued again." in confirm(root, FAILED, page)


def test_what_cannot_be_retried_is_named_with_the_reason(
    acme: Tenant, lab: Tenant, root: Client
) -> None:
    held = make_record(acme.job, State.HELD)
    chosen = [str(held.pk), str(lab.record.pk)]
    answer = root.post(
        RECORDS, {"action": "retry_selected", "_selected_action": chosen}, follow=True
    )
    text = answer.content.decode()
    assert "0 of 2 queued again." in text
    assert "A guard holds it: release it, or cancel it" in text
    assert "It has succeeded: run its job for a further one" in text


@pytest.mark.parametrize(("role", "count"), [(Role.VIEWER, 0), (Role.OPERATOR, 4)])
def test_only_who_may_operate_retries(
    role: Role,
    count: int,
    failed: list[SyncRecord],
    lab: Tenant,
    acme: Tenant,
    browser_of: Callable[[User], Client],
) -> None:
    foreign = make_record(lab.job, State.FAILED)
    browser = browser_of(acme.people[role])
    chosen = [str(record.pk) for record in [*failed, foreign]]
    browser.post(FAILED, {"action": "retry_selected", "_selected_action": chosen})
    assert queued() == count
    page = browser.post(
        FAILED, {"action": "retry_selected", "_selected_action": chosen[0], "select_across": "1"}
    )
    assert (b"Retry: 5" in page.content) == bool(count)


def test_a_role_that_is_too_low_in_one_workspace_is_told(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    person = acme.people[Role.OPERATOR]
    lab.workspace.members.create(user=person, role=Role.VIEWER)
    chosen = [str(make_record(each.job, State.FAILED).pk) for each in (acme, lab)]
    answer = browser_of(person).post(
        RECORDS, {"action": "retry_selected", "_selected_action": chosen}, follow=True
    )
    assert "1 of 2 queued again." in answer.content.decode()
    assert "your role there is below operator" in answer.content.decode()


def test_cancel_and_sync_and_disable_reach_all_that_match(
    failed: list[SyncRecord], root: Client, acme: Tenant
) -> None:
    named = f"{JOBS}?q=job&enabled__exact=1"
    assert "5 of 5 queued." in confirm(root, named, ask_all(root, named, "sync_selected", acme.job))
    waiting = f"{RECORDS}?state__exact=queued"
    page = ask_all(root, waiting, "cancel_selected", acme.record)
    assert "5 of 5 asked to end." in confirm(root, waiting, page)
    assert queued() == 0
    page = ask_all(root, named, "disable_selected", acme.job)
    assert "sp-button-risk" in page
    assert "5 of 5 disabled." in confirm(root, named, page)
    again = root.post(
        JOBS, {"action": "disable_selected", "_selected_action": str(acme.job.pk)}, follow=True
    )
    assert "acme-job: disabled already" in again.content.decode()


def test_all_tokens_of_a_filter_are_revoked(acme: Tenant, root: Client) -> None:
    create_token(acme.workspace, name="second", role=Role.VIEWER)
    url = f"{list_of(ApiToken)}?workspace={acme.workspace.pk}"
    page = ask_all(root, url, "revoke_selected", acme.token)
    assert "2 of 2 revoked." in confirm(root, url, page)
    assert not ApiToken.objects.filter(workspace=acme.workspace, revoked_at=None).exists()


def test_nobody_deletes_all_that_match_by_one_press(acme: Tenant, root: Client) -> None:
    data = {
        "action": "delete_selected",
        "_selected_action": str(acme.connector.pk),
        "select_across": "1",
    }
    answer = root.post(list_of(Connector), data, follow=True)
    assert "ticked rows only" in answer.content.decode()


def test_a_retry_costs_a_bounded_number_of_statements_a_row(
    failed: list[SyncRecord], root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    def count(records: Iterable[SyncRecord]) -> int:
        chosen = [str(record.pk) for record in records]
        with django_assert_max_num_queries(200) as captured:
            root.post(FAILED, {"action": "retry_selected", "_selected_action": chosen})
        return len(captured.captured_queries)

    one, three = count(failed[:1]), count(failed[1:])
    assert (three - one) / 2 <= 20


def test_the_list_offers_all_that_match_where_there_are_more(
    failed: list[SyncRecord], root: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "Select all that match" not in root.get(FAILED).content.decode()
    monkeypatch.setattr("console.admin.sync_record.SyncRecordAdmin.list_per_page", 3)
    assert "Select all that match" in root.get(FAILED).content.decode()
