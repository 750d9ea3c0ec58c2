"""The first page, its live part, the sidebar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.console.conftest import Tenant, make_record
from tests.console.urls import page_of
from workspaces.models import Role

LIVE = "/admin/syncjobs/syncrecord/dashboard/"


def test_it_tells_what_runs_waits_failed_and_asks(acme: Tenant, root: Client) -> None:
    running = make_record(
        acme.job, State.RUNNING, percentage=45.2, current_file_index=5, total_files=20
    )
    queued = make_record(acme.job, State.QUEUED)
    held = make_record(acme.job, State.HELD, error="removes 1,204 files")
    failed = make_record(acme.job, State.FAILED, error="went silent")
    for url in ("/admin/", LIVE):
        text = root.get(url).content.decode()
        for record in (running, queued, held, failed):
            assert page_of(record) in text
        for words in ("file 5 of 20", "45 %", "1,204 files", "went silent", "worker:1", "+1"):
            assert words in text, words
        assert f'hx-get="{LIVE}"' in text
        assert "At 02:00 every day (Europe/Berlin)" in text


def test_a_worker_whose_heart_is_late_is_marked(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job, State.RUNNING)
    assert 'sp-dot-late"></span><code>' not in root.get(LIVE).content.decode()
    late = timezone.now() - timedelta(seconds=40)
    SyncRecord.objects.filter(pk=record.pk).update(heartbeat_at=late)
    assert 'sp-dot-late"></span><code>' in root.get(LIVE).content.decode()


def test_the_live_part_needs_a_session(client: Client, db: None) -> None:
    assert client.get(LIVE)["HX-Refresh"] == "true"
    assert client.get(LIVE).status_code == 403


def test_flower_is_linked_for_superusers_where_it_runs(
    acme: Tenant, root: Client, browser_of: Callable[[User], Client], settings: Settings
) -> None:
    settings.FLOWER_URL = ""
    assert "Flower" not in root.get("/admin/").content.decode()
    settings.FLOWER_URL = "http://127.0.0.1:5555/flower"
    assert "http://127.0.0.1:5555/flower" in root.get("/admin/").content.decode()
    member = browser_of(acme.people[Role.ADMIN])
    assert "Flower" not in member.get("/admin/").content.decode()


def test_an_empty_installation_says_where_to_begin(root: Client) -> None:
    assert "add a connector" in root.get("/admin/").content.decode()


CLEANUP = "/admin/syncjobs/syncrecord/cleanup/"


def test_stuck_syncs_are_cleaned_up_by_a_button_where_one_may_operate(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client], root: Client
) -> None:
    dead, elsewhere = make_record(acme.job, State.RUNNING), make_record(lab.job, State.RUNNING)
    past = timezone.now() - timedelta(hours=1)  # also of the transaction that the test is
    SyncRecord.objects.filter(state=State.RUNNING).update(lease_expires_at=past)
    viewer = browser_of(acme.people[Role.VIEWER])
    assert CLEANUP not in viewer.get(LIVE).content.decode()
    assert viewer.post(CLEANUP).status_code == 403
    operator = browser_of(acme.people[Role.OPERATOR])
    assert f'action="{CLEANUP}"' in operator.get(LIVE).content.decode()
    assert operator.get(CLEANUP).status_code == 405
    said = operator.post(CLEANUP, follow=True).content.decode()
    assert "1 stuck sync cleaned up: 1 lease.expired" in said
    dead.refresh_from_db()
    elsewhere.refresh_from_db()
    assert (dead.state, elsewhere.state) == (State.QUEUED, State.RUNNING)
    event = dead.events.get(event="lease_expired")
    assert event.data["by"] == str(acme.people[Role.OPERATOR])
    assert "1 lease.expired" in root.post(CLEANUP, follow=True).content.decode()
    assert "No sync is stuck" in root.post(CLEANUP, follow=True).content.decode()
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(acme.people[Role.OPERATOR])
    assert strict.post(CLEANUP).status_code == 403
