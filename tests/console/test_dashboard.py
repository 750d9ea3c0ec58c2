"""The first page, its live part, the sidebar."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from django.utils.html import strip_tags
from pytest_django import Settings

from alerts.models import Alert, AlertChannel, AlertRule
from connectors.models import FarEndWatch, HostBudget
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import HourTotal, SyncJob, SyncRecord
from tests.console.conftest import NASTY, Tenant, make_record
from tests.console.urls import page_of
from workspaces.models import Role

LIVE = "/admin/syncjobs/syncrecord/dashboard/"
BESIDE = f"{LIVE}beside/"
CHARTS = f"{LIVE}charts/"


@pytest.fixture(autouse=True)
def _long_ago(request: pytest.FixtureRequest) -> None:
    """What the tenants come with was yesterday."""
    if "acme" in request.fixturenames:
        request.getfixturevalue("acme")
        SyncRecord.objects.update(queued_at=timezone.now() - timedelta(days=1))


def fail(job: SyncJob, state: State = State.FAILED, **fields: Any) -> SyncRecord:
    """As the lifecycle leaves the job too."""
    record = make_record(job, state, **{"error": "went silent"} | fields)
    SyncJob.objects.filter(pk=job.pk).update(last_error=record.error)
    return record


def move_back(record: SyncRecord, minutes: float) -> SyncRecord:
    at = timezone.now() - timedelta(minutes=minutes)
    SyncRecord.objects.filter(pk=record.pk).update(queued_at=at)
    return record


def make_another(tenant: Tenant, name: str) -> SyncJob:
    job = SyncJob(workspace=tenant.workspace, connector=tenant.connector, name=name)
    save_job(job)
    return job


def read(client: Client, url: str = "/admin/") -> str:
    """The page's words, between its tags."""
    return re.sub(r"\s+", " ", strip_tags(client.get(url).content.decode().replace("<", " <")))


def test_it_tells_what_runs_with_bytes_speed_and_time_left(acme: Tenant, root: Client) -> None:
    record = make_record(
        acme.job,
        State.RUNNING,
        percentage=45.2,
        current_file_index=1_478,
        total_files=2_310,
        total_bytes=10 * 1024**3,
        bytes_done=5 * 1024**3,
        bytes_per_s=80 * 1024**2,
        bytes_transferred=5 * 1024**3,
        claimed_at=timezone.now() - timedelta(seconds=100),
        expected_duration_s=80,
    )
    for url in ("/admin/", LIVE):
        text = read(root, url)
        for words in (
            *("45 %", "file 1,478 of 2,310", "5.0 GiB of 10.0 GiB", "processing files"),
            *("MiB/s", "about 1 min", "of usually 1 min 20 s"),
        ):
            assert words in text, words
        raw = root.get(url).content.decode()
        assert page_of(record) in raw
        assert 'aria-valuetext="45 %, file 1,478 of 2,310, 5.0 GiB of 10.0 GiB"' in raw
        assert 'class="sp-tick" x="99.4%"' in raw  # past its usual time
        assert f'hx-get="{LIVE}"' in raw


def test_a_bar_says_what_is_not_known(acme: Tenant, root: Client) -> None:
    make_record(acme.job, State.RUNNING, bytes_transferred=1024)
    text = read(root, LIVE)
    assert "usual time not known yet" in text
    assert " left" not in text


def test_a_job_asks_once_however_often_it_was_held(acme: Tenant, root: Client) -> None:
    held = [
        move_back(make_record(acme.job, State.HELD, error=f"removes {n} files"), 40 - n)
        for n in range(7)
    ]
    text = read(root, LIVE)
    assert "Needs a decision 1 " in text
    assert "removes 6 files" in text
    assert "removes 5 files" not in text
    assert page_of(held[-1]) in root.get(LIVE).content.decode()
    fail(acme.job)  # says nothing of what is held
    assert "removes 6 files" in read(root, LIVE)
    make_record(acme.job, State.SUCCEEDED)
    assert "Needs a decision" not in read(root, LIVE)


def test_what_moved_much_less_than_usual_asks_until_a_later_sync(
    acme: Tenant, root: Client
) -> None:
    suspect = move_back(
        make_record(acme.job, State.SUCCEEDED, verdict="suspect", dataset_version=7), 30
    )
    text = read(root, LIVE)
    assert "suspect acme-job" in text
    assert "Version 7 was published all the same" in text
    assert page_of(suspect) in root.get(LIVE).content.decode()
    make_record(acme.job, State.SUCCEEDED, dry_run=True)  # a plan is no sync
    assert "suspect acme-job" in read(root, LIVE)
    make_record(acme.job, State.SUCCEEDED)
    assert "suspect acme-job" not in read(root, LIVE)


def test_a_job_fails_now_while_its_last_sync_did_not_succeed(acme: Tenant, root: Client) -> None:
    other = make_another(acme, "other-job")
    for minutes in (30, 20, 10):
        move_back(fail(other, State.TIMED_OUT, error="out of time"), minutes)
    make_record(other, State.CANCELLED)  # says nothing
    text = read(root, LIVE)
    assert "Failing now 1 of 2 jobs" in text
    assert "timed out other-job" in text
    assert "out of time. 3 in a row" in text
    assert "last 4 records, 0 succeeded" in root.get(LIVE).content.decode()
    make_record(other, State.RUNNING)
    assert "Failing now" in read(root, LIVE)
    SyncRecord.objects.filter(state=State.RUNNING).update(
        state=State.SUCCEEDED, finished_at=timezone.now(), lease_owner=None, lease_expires_at=None
    )
    assert "Failing now" not in read(root, LIVE)


def test_a_changed_host_key_asks_once_for_all_its_jobs(acme: Tenant, root: Client) -> None:
    for job in (acme.job, make_another(acme, "other-job")):
        move_back(fail(job, error="another key", error_code="host_key_changed"), 5)
    text = read(root, LIVE)
    assert "Needs a decision 1 " in text
    assert "host key changed" in text
    assert "and 1 more cannot go on" in text
    assert "Failing now" not in text
    assert f'href="{page_of(acme.connector)}"' in root.get(LIVE).content.decode()


def test_a_heartbeat_that_is_late_is_marked(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job, State.RUNNING)
    assert 'sp-bad">heartbeat' not in root.get(LIVE).content.decode()
    late = timezone.now() - timedelta(seconds=40)
    SyncRecord.objects.filter(pk=record.pk).update(heartbeat_at=late)
    assert 'sp-bad">heartbeat' in root.get(LIVE).content.decode()


def test_hosts_that_are_away_tell_since_when_and_the_next_try(acme: Tenant, root: Client) -> None:
    now = timezone.now()
    FarEndWatch.objects.update_or_create(
        connector=acme.connector,
        defaults={
            "state": "offline",
            "since": now - timedelta(minutes=20),
            "failures": 5,
            "last_error": "did not answer",
            "due_at": now + timedelta(seconds=48),
        },
    )
    make_record(acme.job, State.QUEUED)
    for url in ("/admin/", BESIDE):
        text = read(root, url)
        assert "Hosts offline 1 of 2" in text  # beside the client system
        assert "offline acme-host next try in 4" in text
        assert "did not answer · 5 failures in a row · 1 record waits" in text
        assert "Waiting 1, the longest first" in text
    HostBudget.objects.create(
        workspace=acme.workspace,
        address=acme.connector.address,
        opened_until=now + timedelta(minutes=7),
    )
    assert re.search(r"circuit open acme-host next try in [67] min", read(root, BESIDE))
    FarEndWatch.objects.update(watch=False)
    HostBudget.objects.all().delete()
    assert "not watched" in read(root, BESIDE)


def test_what_is_due_next_and_what_fires(acme: Tenant, root: Client) -> None:
    SyncJob.objects.update(next_run_at=timezone.now() + timedelta(minutes=9, seconds=30))
    rule = AlertRule.objects.create(workspace=acme.workspace, name="It failed", kind="failure")
    Alert.objects.create(
        workspace=acme.workspace,
        rule=rule,
        subject_kind="job",
        subject_id=acme.job.pk,
        subject_name=NASTY,
        firing=True,
        severity="critical",
        opened_at=timezone.now(),
        detail="3 in a row",
    )
    AlertChannel.objects.create(
        workspace=acme.workspace,
        name="ops",
        scheme="json",
        shown_url="json://x",
        sealed_secret="x",
        state="broken",
        broken_since=timezone.now(),
        last_result="refused",
    )
    text = read(root, BESIDE)
    assert "in 9 min" in text
    assert "It failed: 3 in a row" in text
    assert "Its messages do not arrive: refused" in text
    assert NASTY not in root.get(BESIDE).content.decode()


def test_charts_tell_their_figures_in_words(acme: Tenant, root: Client) -> None:
    now = timezone.now().astimezone(UTC)
    hour = now.replace(minute=0, second=0, microsecond=0)
    for state, count in (("succeeded", 8), ("suspect", 1), ("failed", 1), ("held", 2)):
        HourTotal.objects.create(
            workspace_id=acme.workspace.pk,
            hour=hour,
            state=state,
            records=count,
            files=10 * count,
            bytes_transferred=1024**2 * count,
        )
    for url in ("/admin/", CHARTS):
        raw = root.get(url).content.decode()
        assert "12 in 24 h" in raw
        assert "8 succeeded, 1 suspect, 2 held, 1 failed" in raw
        assert f"<title>{hour:%H}:00: 8 succeeded, 1 suspect" in raw
        assert "90.0 % today" in raw
        assert "12.0 MiB today" in raw
        assert "12.0 MiB, 120 files" in raw
    assert "The figures as tables" in root.get("/admin/").content.decode()


def test_nothing_of_other_workspaces_is_told(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    make_record(lab.job, State.HELD, error="lab asks")
    fail(make_another(lab, "lab-fails"), error="lab fails")
    make_record(lab.job, State.RUNNING)
    HourTotal.objects.create(
        workspace_id=lab.workspace.pk,
        hour=timezone.now().replace(minute=0, second=0, microsecond=0),
        state="failed",
        records=77,
    )
    FarEndWatch.objects.update_or_create(connector=lab.connector, defaults={"state": "offline"})
    browser = browser_of(acme.people[Role.VIEWER])
    for url in ("/admin/", LIVE, BESIDE, CHARTS):
        raw = browser.get(url).content.decode()
        assert "lab-" not in raw, url
        assert "77 failed" not in raw, url


def test_nothing_is_sent_again_where_nothing_changed(acme: Tenant, root: Client) -> None:
    make_record(acme.job, State.QUEUED)  # "how long ago" is no change
    for url in (BESIDE, CHARTS):
        first = root.get(url)
        again = root.get(url, headers={"X-Fragment-Digest": first["X-Fragment-Digest"]})
        assert (again.status_code, again.content) == (204, b"")
        assert again["X-Fragment-Digest"] == first["X-Fragment-Digest"]
    make_record(make_another(acme, "other-job"), State.QUEUED)
    digest = root.get(CHARTS)["X-Fragment-Digest"]
    assert root.get(BESIDE, headers={"X-Fragment-Digest": digest}).status_code == 200


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


def test_an_empty_installation_shows_three_steps(root: Client) -> None:
    raw = root.get("/admin/").content.decode()
    assert "Three steps to the first sync" in raw
    assert 'href="/admin/connectors/connector/add/?kind=sftp"' in raw
    assert "overview-charts" not in raw
    assert "Client system" not in raw


def test_with_a_connector_the_second_step_is_open(acme: Tenant, root: Client) -> None:
    SyncRecord.objects.all().delete()
    SyncJob.objects.all().delete()
    raw = root.get("/admin/").content.decode()
    assert "Make the first job" in raw
    assert raw.index('aria-current="step"') > raw.index("Connect a host")


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
