"""A record's page: what it says, that it asks again until the end, and what its buttons do."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from console.record_page import FILES_PAGE
from events.models import SyncEvent
from syncjobs.core.states import State
from syncjobs.models import SyncItem, SyncRecord
from tests.console.conftest import NASTY, PLAN, Tenant, make_record
from tests.console.urls import list_of, page_of, press, status_of
from workspaces.models import Role


def _live(record: SyncRecord) -> str:
    return reverse("admin:syncjobs_syncrecord_live", args=[record.pk])


def _text(browser: Client, url: str, **given: Any) -> str:
    response = browser.get(url, **given)
    assert response.status_code == 200
    text: str = response.content.decode()
    return text


def test_a_running_record_shows_its_progress_and_polls(acme: Tenant, root: Client) -> None:
    record = make_record(
        acme.job,
        State.RUNNING,
        percentage=45.2,
        current_file_index=5,
        total_files=20,
        bytes_transferred=3 << 20,
        expected_duration_s=500,
    )
    for url in (page_of(record), _live(record)):
        text = _text(root, url)
        assert f'hx-get="{_live(record)}"' in text
        assert "file 5 of 20" in text
        assert "45 %" in text
        assert "3.0 MiB" in text
        assert "8 min 20 s" in text
        assert 'aria-current="step"' in text


@pytest.mark.parametrize(
    "state", [State.SUCCEEDED, State.PARTIAL, State.FAILED, State.TIMED_OUT, State.CANCELLED]
)
def test_a_final_record_polls_no_more(state: State, acme: Tenant, root: Client) -> None:
    text = _text(root, page_of(make_record(acme.job, state)))
    assert 'id="record-live"' in text
    assert "/live/" not in text


def test_a_queued_record_says_what_it_waits_for(acme: Tenant, root: Client) -> None:
    assert "Waiting for a worker" in _text(root, page_of(make_record(acme.job, State.QUEUED)))


def test_n18_the_page_links_version_files_and_job(acme: Tenant, root: Client) -> None:
    text = _text(root, page_of(acme.record))
    assert f"{page_of(acme.dataset)}?version=1" in text
    assert status_of(acme.job) in text
    assert "&lt;img src=x onerror=alert(1)&gt;" in text


def test_a_poll_without_a_session_reloads_the_page(acme: Tenant, client: Client) -> None:
    answer = client.get(_live(acme.record))
    assert (answer.status_code, answer["HX-Refresh"]) == (403, "true")
    assert b"acme" not in answer.content


def test_a_poll_for_a_record_that_is_gone_reloads_the_page(acme: Tenant, root: Client) -> None:
    gone = _live(acme.record)
    SyncRecord.objects.all().delete()
    answer = root.get(gone)
    assert (answer.status_code, answer["HX-Refresh"]) == (404, "true")


def test_cancel_ends_a_queued_record_and_asks_a_running_one(acme: Tenant, root: Client) -> None:
    queued, running = make_record(acme.job, State.QUEUED), make_record(acme.job, State.RUNNING)
    for record in (queued, running):
        root.post(press(record, "cancel"))
        record.refresh_from_db()
    assert queued.state == State.CANCELLED
    assert running.cancel_asked_at is not None
    text = _text(root, page_of(running))
    assert "asked for its end" in text
    assert press(running, "cancel") not in text


def test_a_held_record_is_released_or_discarded(acme: Tenant, root: Client) -> None:
    first, second = make_record(acme.job, State.HELD), make_record(acme.job, State.HELD)
    assert press(first, "release") in _text(root, page_of(first))
    other = root.post(press(first, "release"), {"seen": "another plan"}, follow=True)
    assert "The plan has changed meanwhile" in other.content.decode()
    root.post(press(first, "release"), {"seen": ""})
    root.post(press(second, "discard"), {"seen": ""})
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.state, first.guards_waived) == (State.QUEUED, True)
    assert second.state == State.CANCELLED
    answer = root.post(press(second, "release"), follow=True)
    assert "not held any more" in answer.content.decode()


def test_the_lists_cancel_action(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job, State.QUEUED)
    root.post(
        list_of(SyncRecord),
        {"action": "cancel_selected", "_selected_action": [str(record.pk), str(acme.record.pk)]},
    )
    record.refresh_from_db()
    assert record.state == State.CANCELLED


def test_records_are_not_edited_or_deleted_here(acme: Tenant, root: Client) -> None:
    page = page_of(acme.record)
    assert root.post(page, {"state": "queued"}).status_code == 403
    assert root.post(page.replace("change", "delete"), {"post": "yes"}).status_code == 403


def test_the_ledger_is_paged_by_key(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job)
    SyncItem.objects.bulk_create(
        SyncItem(record=record, path=f"f{number:03}.txt", action="added")
        for number in range(FILES_PAGE + 3)
    )
    url = reverse("admin:syncjobs_syncrecord_files", args=[record.pk])
    first = root.get(url, {"action": "added"})
    assert len(first.context["files"]) == FILES_PAGE
    second = root.get(url, {"action": "added", "after": first.context["more"]})
    assert [item.path for item in second.context["files"]] == ["f100.txt", "f101.txt", "f102.txt"]
    assert second.context["more"] is None
    assert len(root.get(url, {"action": "removed"}).context["files"]) == 0
    assert len(root.get(url, {"after": "x" * 50}).context["files"]) == FILES_PAGE


def test_a_plan_is_shown_and_applied_by_an_operator(
    acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    record = make_record(acme.job, dry_run=True, verdict="dry_run", plan=PLAN)
    viewer = browser_of(acme.people[Role.VIEWER])
    assert press(record, "apply") not in _text(viewer, page_of(record))
    assert viewer.post(press(record, "apply")).status_code == 403
    operator = browser_of(acme.people[Role.OPERATOR])
    text = _text(operator, page_of(record))
    assert "3 files, 2.0 KiB, would be fetched" in text
    assert "would be held: 4 of 9 files" in text
    operator.post(press(record, "apply"))
    applying = SyncRecord.objects.get(applies_id=record.pk)
    assert (applying.state, applying.guards_waived) == (State.QUEUED, True)
    assert applying.hold == {"rule": "mass_removal", "files": 4}
    text = _text(operator, page_of(record))
    assert press(record, "apply") not in text
    assert page_of(applying) in text
    answer = operator.post(press(record, "apply"), follow=True)
    assert "approved already" in answer.content.decode()
    assert page_of(record) in _text(operator, page_of(applying))


def test_what_differs_from_an_approved_plan_is_a_table(acme: Tenant, root: Client) -> None:
    file = {
        "path": f"{NASTY}.csv",
        "what": "came",
        "action_then": None,
        "action_now": "added",
        "bytes_then": None,
        "bytes_now": 2048,
    }
    drift = {"reason": "", "came": 1, "changed": 0, "went": 0, "files": [file]}
    record = make_record(acme.job, State.FAILED, plan=PLAN, applies_id=uuid.uuid4(), drift=drift)
    text = _text(root, page_of(record))
    assert "1 came, 0 changed, 0 went" in text
    assert "added, 2.0 KiB" in text
    assert NASTY not in text


def test_the_plan_button_queues_a_dry_run(acme: Tenant, root: Client) -> None:
    answer = root.post(press(acme.job, "plan"))
    record = SyncRecord.plans.get()
    assert answer["Location"] == page_of(record)
    assert record.requested_by == "root"


def test_what_was_left_at_the_source_is_a_warning(acme: Tenant, root: Client) -> None:
    record = make_record(
        acme.job, files_cleared=7, files_left=1, warning=f"1 files could not be moved: {NASTY}"
    )
    SyncItem.objects.create(
        record=record, path="a.txt", action="left", error_code="changed_since", message="changed"
    )
    text = _text(root, page_of(record))
    assert "1 files could not be moved" in text
    assert 'title="changed_since"' in text
    assert "Left at the source" in text
    assert NASTY not in text
    assert "at the source" not in _text(root, page_of(make_record(acme.job)))


def test_the_page_says_why(acme: Tenant, root: Client) -> None:
    """The same facts as `manage.py explain`."""
    record = make_record(
        acme.job,
        State.FAILED,
        verdict="stuck.no_progress",
        error_code="stuck.no_progress",
        error="nothing moved for 700 s",
    )
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event="failed",
        from_state="running",
        to_state="failed",
        data={"rule": "stuck.no_progress", "owner": NASTY, "limit_s": 600},
    )
    for url in (page_of(record), _live(record)):
        text = _text(root, url)
        assert "Nothing moved for 700 s." in text
        assert "limit_s" not in text  # the evidence is for programs
        assert "SYNC_STALL_SECONDS" in text
        assert NASTY not in text
