"""Sync jobs: the form writes schedules and patterns, the buttons queue and switch."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from console.admin.schedule_fields import read_schedule
from datasets.models import Dataset
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from tests.console.conftest import Tenant, make_record
from tests.console.urls import add_to, list_of, page_of, press
from tests.racing import count_waiting, in_a_session
from tests.waiting import until
from timing.schedules import parse_schedule
from workspaces.models import Role

SCHEDULES: list[dict[str, Any]] = [
    {},
    {"every_s": 45},
    {"every_s": 900},
    {"every_s": 7_200},
    {"every_s": 172_800},
    {"every_s": 900, "counted_from": "end"},
    {"every_s": 900, "counted_from": "start"},
    {"after": ["other", "third"]},
    {"after": ["other"], "condition": "any_finished"},
    {"cron": "*/7 1-5 * * 1", "timezone": "Europe/Berlin"},
    {"frequency": "hourly", "time": "00:10", "timezone": "UTC"},
    {"frequency": "daily", "time": "04:30", "timezone": "Asia/Kathmandu"},
    {"frequency": "weekly", "time": "23:59", "weekday": "friday", "timezone": "UTC"},
]


def _fields(**changed: Any) -> dict[str, Any]:
    return {
        "name": "new-job",
        "schedule_form": "manual",
        "sync_mode": "incremental",
        "on_delete": "keep_version",
        "after_publish": "keep",
        "max_attempts": "3",
        "enabled": "on",
    } | changed


@pytest.mark.parametrize("written", SCHEDULES)
def test_a_schedule_survives_its_form(written: dict[str, Any], acme: Tenant, root: Client) -> None:
    for name in ("other", "third"):
        save_job(SyncJob(workspace=acme.workspace, connector=acme.connector, name=name))
    fields = _fields(connector=acme.connector.pk, name=acme.job.name, **read_schedule(written))
    for _ in range(2):  # an unchanged one is left as it is written
        answer = root.post(page_of(acme.job), fields)
        assert answer.status_code == 302
        acme.job.refresh_from_db()
        assert parse_schedule(acme.job.schedule) == parse_schedule(written)
        acme.job.schedule = written
        acme.job.save()
    root.post(page_of(acme.job), fields)
    acme.job.refresh_from_db()
    assert acme.job.schedule == written


def test_a_new_job_gets_its_dataset_patterns_and_next_run(acme: Tenant, root: Client) -> None:
    root.post(
        add_to(SyncJob),
        _fields(
            workspace=acme.workspace.pk,
            connector=acme.connector.pk,
            include=" **/*.csv \r\n\r\ndocs/**",
            exclude="**/drafts/**",
            max_file_size_bytes="1.5",
            schedule_form="daily",
            at="02:00",
            timezone="Europe/Berlin",
        ),
    )
    job = SyncJob.objects.get(name="new-job")
    assert job.include == ["**/*.csv", "docs/**"]
    assert job.exclude == ["**/drafts/**"]
    assert job.max_file_size_bytes == 1_572_864
    assert job.dataset.name == "new-job"
    assert job.next_run_at is not None
    page = root.get(page_of(job)).content.decode()
    assert page.count("02:00:00 Europe/Berlin") == 5


def test_an_edited_schedule_moves_the_next_run(acme: Tenant, root: Client) -> None:
    before = acme.job.next_run_at
    fields = _fields(connector=acme.connector.pk, name=acme.job.name)
    root.post(page_of(acme.job), fields | {"schedule_form": "cron", "cron": "30 3 * * *"})
    acme.job.refresh_from_db()
    assert acme.job.next_run_at != before
    root.post(page_of(acme.job), fields)
    acme.job.refresh_from_db()
    assert acme.job.next_run_at is None


@pytest.mark.parametrize(
    ("field", "given"),
    [
        ("cron", {"schedule_form": "cron", "cron": "61 * * * *"}),
        ("cron", {"schedule_form": "cron"}),
        ("timezone", {"schedule_form": "daily", "timezone": "Mars/Olympus"}),
        ("every_count", {"schedule_form": "every"}),
        ("after_jobs", {"schedule_form": "after"}),
        ("after_jobs", {"schedule_form": "after", "after_jobs": ["acme-jab"]}),
        ("after_jobs", {"schedule_form": "after", "after_jobs": ["new-job"]}),
        ("jitter_s", {"jitter_s": "86401"}),
        ("misfire", {"misfire": "twice"}),
        ("catch_up_max", {"catch_up_max": "0"}),
        ("overlap", {"overlap": "some"}),
        ("windows", {"windows": "mno 8:00-9:00"}),
        ("blackouts", {"blackouts": "2026-12-24"}),
        ("include", {"include": "[ab"}),
        ("exclude", {"exclude": "re:(?!x).*"}),
        ("name", {"name": "-x"}),
        ("name", {"name": "acme-job"}),
    ],
)
def test_what_is_wrong_stands_beside_its_field(
    field: str, given: dict[str, str], acme: Tenant, root: Client
) -> None:
    answer = root.post(
        add_to(SyncJob),
        _fields(workspace=acme.workspace.pk, connector=acme.connector.pk) | given,
    )
    assert field in answer.context["adminform"].form.errors
    assert SyncJob.objects.count() == 1


def test_a_job_goes_on_with_the_dataset_that_a_deleted_one_left(acme: Tenant, root: Client) -> None:
    kept = Dataset.objects.create(workspace=acme.workspace, name="kept")
    fields = _fields(workspace=acme.workspace.pk, connector=acme.connector.pk, name="kept")
    assert root.post(add_to(SyncJob), fields).status_code == 302
    assert SyncJob.objects.get(name="kept").dataset == kept
    again = root.post(add_to(SyncJob), fields)
    assert "name" in again.context["adminform"].form.errors


def test_sync_now_queues_a_record_and_leads_to_it(acme: Tenant, root: Client) -> None:
    answer = root.post(press(acme.job, "sync"))
    record = SyncRecord.objects.get(state=State.QUEUED)
    assert answer["Location"] == page_of(record)
    assert (record.trigger, record.requested_by) == ("manual", "root")
    again = root.post(press(acme.job, "sync"))
    assert again["Location"] == page_of(record)
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == 1


def test_full_sync_now_asks_for_the_full_mode(acme: Tenant, root: Client) -> None:
    root.post(press(acme.job, "full"))
    assert SyncRecord.objects.get(state=State.QUEUED).mode == SyncMode.FULL


def test_actions_of_the_list(acme: Tenant, lab: Tenant, root: Client) -> None:
    both = [str(acme.job.pk), str(lab.job.pk)]
    for action in ("sync_selected", "full_sync_selected", "disable_selected"):
        root.post(list_of(SyncJob), {"action": action, "_selected_action": both})
    assert SyncRecord.objects.filter(state=State.QUEUED).count() == 2
    assert not SyncJob.objects.filter(enabled=True).exists()
    assert not SyncJob.objects.exclude(next_run_at=None).exists()
    root.post(list_of(SyncJob), {"action": "enable_selected", "_selected_action": both})
    assert SyncJob.objects.exclude(next_run_at=None).count() == 2


def test_a_job_goes_with_its_records_and_its_dataset_stays(acme: Tenant, root: Client) -> None:
    page = page_of(acme.job).replace("change", "delete")
    assert "1 sync record of its runs" in root.get(page).content.decode()
    root.post(page, {"post": "yes"})
    assert not SyncJob.objects.exists()
    assert Dataset.objects.filter(pk=acme.dataset.pk).exists()
    assert "its job was deleted" in root.get(page_of(acme.dataset)).content.decode()


def test_a_running_job_is_not_deleted(acme: Tenant, root: Client) -> None:
    make_record(acme.job, State.RUNNING)
    root.post(page_of(acme.job).replace("change", "delete"), {"post": "yes"})
    assert SyncJob.objects.filter(pk=acme.job.pk).exists()


def test_the_list_tells_the_last_run_and_how_long_runs_take(acme: Tenant, root: Client) -> None:
    make_record(acme.job, State.HELD)
    text = root.get(list_of(SyncJob)).content.decode()
    assert "held" in text
    assert "7 s" in text
    assert "v1" in text
    assert "At 02:00 every day (Europe/Berlin)" in text


def test_a_changed_selection_is_confirmed_before_it_is_saved(acme: Tenant, root: Client) -> None:
    fields = _fields(connector=acme.connector.pk, name=acme.job.name, include="**/*.txt")
    answer = root.post(page_of(acme.job), fields)
    assert answer.status_code == 200
    preview = answer.context["preview"]
    assert (preview.held, preview.leaving) == (1, 1)
    text = answer.content.decode()
    assert "1 of 1 files leave the next version" in text
    assert "&lt;img src=x onerror=alert(1)&gt;/acme.csv" in text
    assert f'name="_confirmed" value="{preview.token}"' in text
    acme.job.refresh_from_db()
    assert acme.job.include == ["**/*.csv"]
    other = fields | {"include": "**/*.md", "_confirmed": preview.token}
    assert root.post(page_of(acme.job), other).status_code == 200  # another selection was confirmed
    assert root.post(page_of(acme.job), fields | {"_confirmed": preview.token}).status_code == 302
    acme.job.refresh_from_db()
    assert acme.job.include == ["**/*.txt"]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"after_publish": "delete"}, "on_delete"),
        ({"after_publish": "move", "on_delete": "ignore"}, "move_to"),
        ({"after_publish": "move", "on_delete": "ignore", "move_to": "../x"}, "move_to"),
        ({"done_pattern": "{name}"}, "done_pattern"),
    ],
)
def test_what_becomes_of_the_source_is_checked_in_the_form(
    given: dict[str, str], field: str, acme: Tenant, root: Client
) -> None:
    fields = _fields(workspace=acme.workspace.pk, connector=acme.connector.pk) | given
    answer = root.post(add_to(SyncJob), fields)
    assert field in answer.context["adminform"].form.errors
    fields |= {"after_publish": "keep", "move_to": "left over", "done_pattern": "{name}.ok"}
    assert root.post(add_to(SyncJob), fields).status_code == 302
    job = SyncJob.objects.get(name="new-job")
    assert (job.after_publish, job.move_to, job.done_pattern) == ("keep", "", "{name}.ok")


def test_the_form_tells_the_installations_defaults(
    acme: Tenant, root: Client, settings: Settings
) -> None:
    add = f"{add_to(SyncJob)}?connector={acme.connector.pk}"
    assert "installation" not in root.get(add).content.decode()
    settings.SYNC = dataclasses.replace(
        settings.SYNC, supported_extensions=(".csv",), max_file_size_mb=50, max_retries=4
    )
    text = root.get(add).content.decode()
    assert "those of the installation (.csv)" in text
    assert "50 MiB" in text
    assert 'name="max_attempts" value="5"' in text


RULES: dict[str, Any] = {
    "jitter_s": 60,
    "misfire": "catch_up",
    "catch_up_max": 7,
    "max_lateness_s": 3_600,
    "overlap": "cancel_older",
}


def test_the_rules_of_a_schedule_are_saved_and_shown(acme: Tenant, root: Client) -> None:
    given = _fields(
        connector=acme.connector.pk,
        name=acme.job.name,
        include="**/*.csv",
        schedule_form="daily",
        windows="mon-fri 22:00-06:00 Europe/Berlin\r\n\r\nsat 8:00 - 24:00",
        blackouts="2026-12-24 18:00 - 2026-12-27 06:00 Europe/Berlin  Christmas",
        **RULES,
    )
    assert root.post(page_of(acme.job), given).status_code == 302
    job = SyncJob.objects.get(pk=acme.job.pk)
    assert {name: getattr(job, name) for name in RULES} == RULES
    assert job.windows[1] == {"days": ["sat"], "from": "08:00", "to": "00:00", "timezone": "UTC"}
    assert job.blackouts == [
        {
            "since": "2026-12-24T18:00+01:00",
            "until": "2026-12-27T06:00+01:00",
            "reason": "Christmas",
        }
    ]
    text = root.get(page_of(job)).content.decode()
    assert "mon-fri 22:00-06:00 Europe/Berlin\nsat 08:00-00:00 UTC" in text
    assert "2026-12-24 18:00+01:00 - 2026-12-27 06:00+01:00  Christmas" in text
    assert "the latest 7 at most" in text
    assert "is cancelled for a new one" in text


def test_windows_that_say_the_same_are_left_as_they_are_written(acme: Tenant, root: Client) -> None:
    written = [{"from": "22:00", "to": "06:00"}]
    for row in (acme.job, acme.workspace):
        row.windows = written
        row.save()
    fields = _fields(connector=acme.connector.pk, name=acme.job.name, windows="22:00-06:00 UTC")
    assert root.post(page_of(acme.job), fields | {"include": "**/*.csv"}).status_code == 302
    fields = {"name": "acme", "windows": "22:00-06:00 UTC", "blackouts": "sun 0:00-24:00"}
    assert root.post(page_of(acme.workspace), fields).status_code == 302
    for row in (acme.job, acme.workspace):
        row.refresh_from_db()
        assert row.windows == written
    assert acme.workspace.blackouts[0]["days"] == ["sun"]
    assert "never sun 00:00 to 00:00 (UTC) in this workspace" in _preview(root, acme.job)


def test_a_circle_is_said_in_the_form(acme: Tenant, root: Client) -> None:
    save_job(
        SyncJob(
            workspace=acme.workspace,
            connector=acme.connector,
            name="later",
            schedule={"after": ["acme-job"]},
        )
    )
    given = {"schedule_form": "after", "after_jobs": ["later"], "include": "**/*.csv"}
    for name in ("acme-job", "renamed"):
        fields = _fields(connector=acme.connector.pk, name=name) | given
        errors = root.post(page_of(acme.job), fields).context["adminform"].form.errors
        assert (
            "acme-job would run after itself: after later, which runs after acme-job"
            in errors["after_jobs"]
        )


@pytest.mark.django_db(transaction=True)
def test_a_circle_that_another_closes_meanwhile_is_said_in_the_form(
    acme: Tenant, root: Client
) -> None:
    later = SyncJob(workspace=acme.workspace, connector=acme.connector, name="later")
    save_job(later)
    later.schedule = {"after": ["acme-job"]}
    given = {"schedule_form": "after", "after_jobs": ["later"]}
    fields = _fields(connector=acme.connector.pk, name="acme-job") | given

    with ThreadPoolExecutor(1) as person:
        with transaction.atomic():
            save_job(later)
            answer = person.submit(in_a_session, lambda: root.post(page_of(acme.job), fields))
            until(count_waiting, "the other did not wait")
        page = answer.result(30)
    assert (
        "acme-job would run after itself" in page.context["adminform"].form.errors["after_jobs"][0]
    )


def _preview(browser: Client, job: SyncJob | None, **given: Any) -> str:
    view = "admin:syncjobs_syncjob_preview"
    url = reverse(f"{view}_new") if job is None else reverse(view, args=[job.pk])
    answer = browser.post(url, {"schedule_form": "manual", "enabled": "on"} | given)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_preview_tells_words_and_fires_of_what_is_typed(acme: Tenant, root: Client) -> None:
    workspace = acme.workspace.pk
    cron = {"schedule_form": "cron", "cron": "30 5 * * 1-5", "timezone": "Asia/Tokyo"}
    text = _preview(root, None, workspace=workspace, **cron)
    assert "At 05:30 on Monday through Friday (Asia/Tokyo)" in text
    assert text.count("05:30:00 Asia/Tokyo") == 5
    text = _preview(root, acme.job, **cron, windows="6:00-7:00 Asia/Tokyo")
    assert text.count("waits for its window") == 5
    assert "Cron expression:" in _preview(root, None, **(cron | {"cron": "61 * * * *"}))
    assert "did you mean mon?" in _preview(root, None, windows="mno 8:00-9:00")
    save_job(SyncJob(workspace=acme.workspace, connector=acme.connector, name="later"))
    after = {"schedule_form": "after", "after_jobs": ["latr"]}
    assert "did you mean later?" in _preview(root, acme.job, **after)
    acme.job.enabled = False
    save_job(acme.job)
    view = reverse("admin:syncjobs_syncjob_preview", args=[acme.job.pk])
    off = root.post(view, cron).content.decode()
    assert "Disabled" in off
    assert "05:30:00" not in off


def test_the_preview_is_for_who_may_save(
    acme: Tenant, lab: Tenant, browser_of: Callable[[User], Client]
) -> None:
    mine = reverse("admin:syncjobs_syncjob_preview", args=[acme.job.pk])
    theirs = reverse("admin:syncjobs_syncjob_preview", args=[lab.job.pk])
    new = reverse("admin:syncjobs_syncjob_preview_new")
    assert Client().post(mine).status_code == 403
    admin = browser_of(acme.people[Role.ADMIN])
    assert admin.post(theirs).status_code == 404
    assert admin.get(mine).status_code == 405
    for url in (mine, new):
        assert browser_of(acme.people[Role.OPERATOR]).post(url).status_code == 403
        assert admin.post(url, {"schedule_form": "manual"}).status_code == 200
    # Nothing of a workspace that is not theirs is told.
    SyncJob.objects.filter(pk=lab.job.pk).update(name="secret-name")
    given = {"schedule_form": "after", "after_jobs": "secret-nam", "workspace": lab.workspace.pk}
    assert "secret-name" not in _preview(admin, None, **given)
    names = reverse("admin:syncjobs_syncjob_names")
    for query in ("", f"?workspace={lab.workspace.pk}"):
        offered = admin.get(names + query).json()["results"]
        assert offered == [{"id": "acme-job", "text": "acme-job"}]
    for term in ("none", "%00", "%ED%A0%80"):
        assert admin.get(f"{names}?term={term}&page=x").json()["results"] == []
    given = {"schedule_form": "after", "after_jobs": "\0", "workspace": acme.workspace.pk}
    assert "no sync job" in _preview(admin, None, **given)


def test_a_job_that_others_run_after_stays(acme: Tenant, root: Client) -> None:
    follower = SyncJob(
        workspace=acme.workspace,
        connector=acme.connector,
        name="later",
        schedule={"after": ["acme-job"]},
    )
    save_job(follower)
    page = page_of(acme.job).replace("change", "delete")
    assert "later runs after acme-job" in root.get(page).content.decode()
    root.post(page, {"post": "yes"})
    assert SyncJob.objects.filter(pk=acme.job.pk).exists()
    both = {"action": "delete_selected", "_selected_action": [acme.job.pk, follower.pk]}
    root.post(list_of(SyncJob), both | {"post": "yes"})
    assert not SyncJob.objects.exists()
