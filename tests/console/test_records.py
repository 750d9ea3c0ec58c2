"""A record's page: what it says, that it asks again until the end, and what its buttons do."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from console.record_page import FILES_PAGE
from syncjobs.core.states import State
from syncjobs.models import SyncItem, SyncRecord
from tests.console.conftest import Tenant, make_record
from tests.console.urls import list_of, page_of, press


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
        assert "processing files" in text


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
    assert page_of(acme.job) in text
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
    root.post(press(first, "release"))
    root.post(press(second, "discard"))
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
