"""The routes of sync jobs and their records, asked in camelCase as older callers do."""

from __future__ import annotations

import json
import uuid
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from connectors.models import Connector
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord
from tests.api.asking import Asker, asker
from tests.api.test_access import send
from tests.console.conftest import make_record
from tests.rows import make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def connector() -> Connector:
    return make_connector(TARGET)


def example(connector: Connector, **other: Any) -> dict[str, Any]:
    """The document's own, with its places filled in."""
    return {
        "name": "Hourly Stripe Sync",
        "dataSourceId": str(connector.pk),
        "destinationDatabaseId": str(uuid.uuid4()),
        "schedule": {"cron": "0 * * * *", "timezone": "America/New_York"},
        "syncMode": "incremental",
        "enabled": True,
        **other,
    }


def create(admin: Asker, connector: Connector, **other: Any) -> dict[str, Any]:
    answer = send(admin, "POST", "sync-jobs", example(connector, **other))
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def test_create_as_the_document_does(admin: Asker, connector: Connector) -> None:
    made = create(admin, connector)
    assert (made["name"], made["connector_id"]) == ("Hourly Stripe Sync", str(connector.pk))
    assert made["schedule"] == {"cron": "0 * * * *", "timezone": "America/New_York"}
    assert (made["sync_mode"], made["enabled"], made["dataset"]) == (
        "incremental",
        True,
        made["name"],
    )
    due = datetime.fromisoformat(made["next_run_at"]).astimezone(ZoneInfo("America/New_York"))
    assert (due.minute, due.second) == (0, 0)
    assert timedelta(0) < due - timezone.now() <= timedelta(hours=1)
    assert made["next_fires"][0] == made["next_run_at"]
    assert "America/New_York" in made["schedule_words"]


def test_list(admin: Asker, connector: Connector) -> None:
    made = create(admin, connector)
    other = create(admin, connector, name="another", enabled=False)
    assert [item["id"] for item in admin.items("sync-jobs")] == [made["id"], other["id"]]
    assert [item["name"] for item in admin.items("sync-jobs", enabled="true")] == [made["name"]]
    assert len(admin.items("sync-jobs", connector=connector.name, limit=1)) == 2


@pytest.mark.parametrize("key", ["id", "name"])
def test_update_and_delete_by_id_and_by_name(admin: Asker, connector: Connector, key: str) -> None:
    made = create(admin, connector, include=["*.csv"])
    path = f"sync-jobs/{made[key].replace(' ', '%20')}"
    body = example(connector, schedule={"cron": "*/5 * * * *"}, syncMode="full")
    changed = send(admin, "PUT", path, body)
    assert changed.status_code == 200, changed.content
    told = changed.json()
    assert (told["sync_mode"], told["schedule"]) == ("full", {"cron": "*/5 * * * *"})
    assert told["include"] == []  # a PUT that does not name a field gives it its default
    patched = send(admin, "PATCH", path, {"enabled": False}).json()
    assert (patched["enabled"], patched["next_run_at"], patched["sync_mode"]) == (
        False,
        None,
        "full",
    )
    assert send(admin, "DELETE", path).status_code == 204
    assert send(admin, "DELETE", path).status_code == 404
    assert not SyncJob.objects.exists()


def test_toggle(admin: Asker, connector: Connector) -> None:
    made = create(admin, connector)
    path = f"sync-jobs/{made['id']}/toggle"
    assert [send(admin, "POST", path).json()["enabled"] for _ in range(2)] == [False, True]
    SyncJob.objects.update(paused_at=timezone.now(), paused_reason="5 failures", next_run_at=None)
    resumed = send(admin, "POST", path).json()
    assert (resumed["enabled"], resumed["paused_at"]) == (True, None)
    assert resumed["next_run_at"] is not None


def test_run_answers_with_the_record(admin: Asker, connector: Connector) -> None:
    made = create(admin, connector)
    answer = send(admin, "POST", f"sync-jobs/{made['id']}/run")
    assert answer.status_code == 202
    told = answer.json()
    assert (told["state"], told["trigger"], told["job"]) == ("queued", "manual", made["name"])
    again = send(admin, "POST", f"sync-jobs/{made['id']}/run")
    assert (again.status_code, again.json()["id"]) == (202, told["id"])
    assert SyncRecord.objects.count() == 1


def test_run_beside_a_running_record_is_answered_with_its_progress(
    admin: Asker, connector: Connector
) -> None:
    job = make_job(connector, name="nightly", overlap="skip")
    record = make_record(
        job, State.RUNNING, percentage=41.5, current_file_index=83, total_files=200
    )
    answer = send(admin, "POST", "sync-jobs/nightly/run")
    assert answer.status_code == 409
    told = answer.json()["record"]
    assert (told["id"], told["percentage"]) == (str(record.pk), 41.5)
    assert (told["current_file_index"], told["total_files"]) == (83, 200)
    assert SyncRecord.objects.count() == 1


def test_status(admin: Asker, connector: Connector) -> None:
    job = make_job(connector, name="nightly", schedule={"cron": "0 2 * * *"})
    status = admin.get("sync-jobs/nightly/status").json()
    assert (status["running"], status["current"], status["latest"]) == (False, None, None)
    done = make_record(job, State.SUCCEEDED, files_added=3)
    running = make_record(job, State.RUNNING, percentage=10.0)
    status = admin.get("sync-jobs/nightly/status").json()
    assert (status["running"], status["current"]["id"]) == (True, str(running.pk))
    assert status["current"]["percentage"] == 10.0
    assert status["average_duration_s"] == 7.0
    assert status["next_run_at"] is not None
    assert status["latest"]["id"] in {str(done.pk), str(running.pk)}


def test_plan_is_a_dry_run(admin: Asker, connector: Connector) -> None:
    make_job(connector, name="nightly")
    answer = send(admin, "POST", "sync-jobs/nightly/plan")
    assert answer.status_code == 202
    assert SyncRecord.plans.get().dry_run


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": " blank first"}, "name"),
        ({"name": "blank last "}, "name"),
        ({"name": "a\nb"}, "name"),
        ({"dataSourceId": "none"}, "connector"),
        ({"dataSourceId": None}, "dataSourceId"),
        ({"dataSourceId": 3}, "dataSourceId"),
        ({"dataSourceId": ["a"]}, "dataSourceId"),
        ({"schedule": {"cron": "61 * * * *"}}, "schedule"),
        ({"schedule": {"cron": "0 0 31 2 *"}}, "schedule"),
        ({"schedule": {"cron": "0 * * * *", "timezone": "America/NewYork"}}, "schedule"),
        ({"schedule": {"corn": "0 * * * *"}}, "schedule.corn"),
        ({"syncMode": "partial"}, "syncMode"),
        ({"enabled": "yes"}, "enabled"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_what_does_not_fit_is_named_by_field(
    admin: Asker, connector: Connector, other: dict[str, Any], field: str
) -> None:
    answer = send(admin, "POST", "sync-jobs", example(connector, **other))
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert not SyncJob.objects.exists()


@pytest.mark.parametrize("change", ["PUT", "PATCH"])
@pytest.mark.parametrize(
    ("source", "field"),
    [
        (None, "connector"),
        (3, "connector"),
        ([], "connector"),
        ("a\0b", "connector"),
        ("\ud800", "connector"),
        ({"dataset": 3}, "connector.dataset"),
        ({"dataset": None}, "connector.dataset"),
        ({"dataset": "a\0b"}, "connector.dataset"),
    ],
)
def test_what_is_no_source_is_refused_in_a_change_too(
    admin: Asker, connector: Connector, change: str, source: Any, field: str
) -> None:
    make_job(connector, name="nightly")
    body = {"name": "nightly", "connector": source} if change == "PUT" else {"connector": source}
    answer = send(admin, change, "sync-jobs/nightly", body)
    assert answer.status_code == 400
    assert list(answer.json()["errors"]) == [field]
    assert SyncJob.objects.get().connector == connector


def test_a_name_is_taken_once(admin: Asker, connector: Connector) -> None:
    create(admin, connector)
    answer = send(admin, "POST", "sync-jobs", example(connector))
    assert answer.status_code == 409
    assert list(answer.json()["errors"]) == ["name"]


def test_edits_by_several_lose_nothing_of_each_other(admin: Asker, connector: Connector) -> None:
    """PATCH writes what it names."""
    create(admin, connector, name="nightly")
    stale = SyncJob.objects.get()
    send(admin, "PATCH", "sync-jobs/nightly", {"include": ["*.csv"]})
    send(admin, "PATCH", "sync-jobs/nightly", {"max_attempts": 7})
    job = SyncJob.objects.get()
    assert (job.include, job.max_attempts, stale.include) == (["*.csv"], 7, [])


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("*/5 * * * *", "Every fifth minute"),
        ("0 * * * *", "hour"),
        ("0 0 * * *", "00:00"),
        ("0 0 * * 0", "Sunday"),
        ("0 0 1 * *", "first day of every month"),
    ],
)
def test_the_documents_cron_examples_read_as_it_says(
    admin: Asker, connector: Connector, cron: str, words: str
) -> None:
    assert words in create(admin, connector, schedule={"cron": cron})["schedule_words"]


def test_blanks_in_names_are_no_matter_to_addresses(admin: Asker, connector: Connector) -> None:
    create(admin, connector)
    path = "/api/workspaces/acme/sync-jobs/Hourly%20Stripe%20Sync"
    headers = {"Authorization": f"Bearer {admin.token}"}
    assert Client().get(path, headers=headers).status_code == 200
    renamed = Client().patch(
        path, json.dumps({"name": "Hourly"}), content_type="application/json", headers=headers
    )
    assert renamed.json()["dataset"] == "Hourly"
    assert Client().get(path, headers=headers).status_code == 404
