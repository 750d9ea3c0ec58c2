"""Words that surfaces use for connectors and records are true at the moment at which they are read."""

from __future__ import annotations

from io import StringIO
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.core.management import CommandError, call_command
from django.test import Client

from api.shapes.configuration import SECRET, SHOWN
from connectors.models import Connector
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.core.states import Event, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.records.transition import move
from tests.api.asking import Asker, asker
from tests.architecture.test_house import documented
from tests.rows import fresh, make_connector, make_job
from workspaces.models import AuditEntry, Role

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
SEED_001 = "/api/connectors/sync"


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def host() -> Connector:
    return make_connector(TARGET)


def signed(asking: Asker) -> dict[str, str]:
    return {"Authorization": f"Bearer {asking.token}"}


def cron() -> dict[str, str]:
    return {"Authorization": f"Bearer {django_settings.CRON_SECRET}"}


def begin(job: SyncJob, **asked: Any) -> SyncRecord:
    """A record that a worker has claimed."""
    record = enqueue(job, trigger=Trigger.MANUAL, **asked)
    assert claim(record.pk, "worker") is not None
    return record


def end(record: SyncRecord, event: Event, **changes: Any) -> None:
    move(record.pk, event, changes=changes)


def put_auto_sync(admin: Asker, host: Connector, *, on: bool = True) -> SyncJob:
    assert admin.patch(f"connectors/{host.name}", {"auto_sync": on}).status_code == 200
    return SyncJob.objects.get(connector=host, is_default=True)


def test_item_08_a_connector_shows_syncing_while_one_of_its_syncs_runs(
    admin: Asker, host: Connector, client: Client
) -> None:
    put_auto_sync(admin, host)
    record = begin(make_job(host))

    def shown() -> list[str]:
        (listed,) = admin.items("connectors", status="active")
        (connection,) = client.get("/connections", headers=signed(admin)).json()["items"]
        (due,) = client.get(SEED_001, headers=cron()).json()["items"]
        one = admin.get(f"connectors/{host.name}").json()
        return [listed["status"], one["status"], connection["status"], due["status"]]

    assert shown() == ["syncing", "syncing", "syncing", "SYNCING"]
    assert fresh(host).status == "active"  # filters and the due rule go by this
    end(record, Event.SUCCEEDED)
    Connector.objects.update(last_sync_at=None)
    assert shown() == ["active", "active", "active", "ACTIVE"]


def test_item_08_a_dry_run_makes_no_connector_sync(admin: Asker, host: Connector) -> None:
    begin(make_job(host), dry_run=True)
    assert admin.get(f"connectors/{host.name}").json()["status"] == "active"


def test_item_08_what_is_read_during_a_sync_can_be_put_back(admin: Asker, host: Connector) -> None:
    begin(make_job(host))
    for stored in ("active", "paused"):
        Connector.objects.update(status=stored)
        read = admin.get(f"connectors/{host.name}").json()
        assert read["status"] == "syncing"
        answer = admin._send("PUT", f"connectors/{host.name}", read, {})
        assert (answer.status_code, answer.json()["status"]) == (200, "syncing")
        assert fresh(host).status == stored
    assert admin.patch(f"connectors/{host.name}", {"status": "syncing"}).status_code == 400


def test_item_08_the_last_attempt_and_the_last_success_are_two_fields(
    admin: Asker, host: Connector, client: Client
) -> None:
    job = make_job(host)
    end(begin(job), Event.SUCCEEDED)
    first = admin.get(f"connectors/{host.name}").json()
    assert first["last_attempt_at"] == first["last_sync_at"] is not None
    end(begin(job), Event.FAILED, error="no such folder")
    then = admin.get(f"connectors/{host.name}").json()
    assert then["last_sync_at"] == first["last_sync_at"]
    assert then["last_attempt_at"] > first["last_attempt_at"]
    assert (then["last_sync_status"], then["last_sync_error"]) == ("failed", "no such folder")
    told = admin.get(f"sync-jobs/{job.name}").json()
    assert told["last_success_at"] < told["last_run_at"]
    (connection,) = client.get("/connections", headers=signed(admin)).json()["items"]
    assert connection["last_sync_at"] < connection["last_attempt_at"]


def test_item_08_a_record_of_the_cron_hook_says_so(
    admin: Asker, host: Connector, client: Client
) -> None:
    job = put_auto_sync(admin, host)
    assert (
        client.post(SEED_001, {}, content_type="application/json", headers=cron()).json()["queued"]
        == 1
    )
    (told,) = admin.items("sync-records", job=job.name)
    assert told["trigger"] == "cron_hook"


def test_item_08_auto_sync_off_rests_its_job_and_keeps_what_there_is(
    admin: Asker, host: Connector
) -> None:
    job = put_auto_sync(admin, host)
    end(begin(job), Event.SUCCEEDED)
    put_auto_sync(admin, host, on=False)
    told = admin.get(f"sync-jobs/{job.name}").json()
    assert (told["enabled"], told["next_run_at"]) == (False, None)
    assert len(admin.items("sync-records", job=job.name)) == 1
    assert admin.get(f"datasets/{told['dataset']}").status_code == 200


def test_item_08_a_job_that_a_person_switched_off_stays_off(admin: Asker, host: Connector) -> None:
    """What is changed at its connector beside auto_sync leaves the job alone."""
    job = put_auto_sync(admin, host)
    assert admin.post(f"sync-jobs/{job.name}/toggle").json()["enabled"] is False
    schedule = {"cron": "0 2 * * *", "timezone": "UTC"}
    assert admin.patch(f"sync-jobs/{job.name}", {"schedule": schedule}).status_code == 200
    assert admin.patch(f"connectors/{host.name}", {"max_running": 2}).status_code == 200
    told = admin.get(f"sync-jobs/{job.name}").json()
    assert (told["enabled"], told["schedule"]) == (False, schedule)
    assert admin.patch(f"connectors/{host.name}", {"sync_interval_s": 900}).status_code == 200
    assert admin.get(f"sync-jobs/{job.name}").json()["schedule"] == {"every_s": 900}


def test_item_08_deleting_a_connector_takes_the_job_that_auto_sync_made(
    admin: Asker, host: Connector
) -> None:
    job = put_auto_sync(admin, host)
    assert admin.delete(f"connectors/{host.name}").status_code == 204
    assert not SyncJob.objects.filter(pk=job.pk).exists()
    other = make_connector(TARGET)
    job = put_auto_sync(admin, other)
    end(begin(job), Event.SUCCEEDED)
    answer = admin.delete(f"connectors/{other.name}")
    assert answer.status_code == 409
    assert f"dataset {job.dataset.name}" in answer.json()["detail"]
    assert SyncJob.objects.filter(pk=job.pk).exists()


def test_item_08_deleting_a_connector_leaves_jobs_that_people_made(
    admin: Asker, host: Connector
) -> None:
    put_auto_sync(admin, host)
    make_job(host, name="by-hand")
    answer = admin.delete(f"connectors/{host.name}")
    assert (answer.status_code, "by-hand" in answer.json()["detail"]) == (409, True)
    assert SyncJob.objects.count() == 2


def test_item_08_a_paused_connector_answers_alike_at_every_door(
    admin: Asker, host: Connector, client: Client
) -> None:
    job = make_job(host)
    failed = begin(job)
    end(failed, Event.FAILED, error="no such folder")
    Connector.objects.update(status="paused")
    words = f"connector {host.name} is paused: make it active first"
    for path in ("run", "plan"):
        answer = admin.post(f"sync-jobs/{job.name}/{path}")
        assert (answer.status_code, answer.json()["detail"].lower()) == (409, f"{words}.")
    assert admin.post(f"sync-records/{failed.pk}/retry").status_code == 409
    answer = client.post(f"/sync/connection/{host.name}", headers=signed(admin))
    assert answer.status_code == 409
    assert words in answer.json()["detail"].lower()
    triggered = client.post(
        "/api/v1/sync/trigger", {}, content_type="application/json", headers=signed(admin)
    )
    assert triggered.status_code == 409
    with pytest.raises(CommandError, match="is paused"):
        call_command("sync", job.name, workspace="acme", stderr=StringIO())
    assert not SyncRecord.either.filter(state=State.QUEUED).exists()


def test_item_08_a_connector_without_an_enabled_job_says_what_to_do(
    admin: Asker, host: Connector, client: Client
) -> None:
    def ask() -> str:
        answer = client.post(f"/sync/connection/{host.name}", headers=signed(admin))
        assert answer.status_code == 409
        return str(answer.json()["detail"])

    assert "auto_sync" in ask()
    make_job(host, name="resting", enabled=False)
    assert "enable one of resting" in ask()


def test_item_08_force_says_what_it_did(admin: Asker, host: Connector, client: Client) -> None:
    works, waits = make_job(host, name="works"), make_job(host, name="waits")
    old = {job.name: record for job, record in ((works, begin(works)),)}
    old["waits"] = enqueue(waits, trigger=Trigger.MANUAL)
    told = client.post("/sync/force", headers=signed(admin)).json()
    new = {one["job"]: one["id"] for one in told["queued"]}
    assert {
        one["job"]: (one["id"], one["state"], one["replaced_by"])
        for one in told["cancelled_records"]
    } == {
        "works": (str(old["works"].pk), "running", new["works"]),
        "waits": (str(old["waits"].pk), "queued", new["waits"]),
    }
    assert set(told["cancelled"]) == {str(record.pk) for record in old.values()}
    assert told["detail"].startswith("Cancelled 2 records: 1 running, 1 queued. Queued 2 new")


def test_item_08_what_people_ask_of_records_is_audited(
    admin: Asker, host: Connector, client: Client
) -> None:
    job = make_job(host)
    AuditEntry.objects.all().delete()
    ran = admin.post(f"sync-jobs/{job.name}/run").json()["id"]
    admin.post(f"sync-records/{ran}/cancel")
    again = admin.post(f"sync-records/{ran}/retry").json()["id"]
    assert claim(SyncRecord.objects.get(pk=again).pk, "worker") is not None
    end(
        SyncRecord.objects.get(pk=again),
        Event.GUARD_STOPPED,
        hold={"rule": "empty_source", "files": 3},
        verdict="guard.empty_source",
    )
    admin.post(f"sync-records/{again}/release")
    admin.post(f"sync-records/{again}/cancel")
    admin.post(f"sync-records/{again}/cancel")  # it has ended: nothing is done
    forced = client.post("/sync", headers=signed(admin)).json()["queued"][0]["id"]
    told = [
        (item["action"], item["object_id"], item["actor"], item["door"])
        for item in reversed(admin.items("audit"))
    ]
    who = ("token ci", "api")
    assert told == [
        ("run", str(job.pk), *who),
        ("cancelled", ran, *who),
        ("retried", ran, *who),
        ("released", again, *who),
        ("cancelled", again, *who),
        ("run", str(job.pk), *who),
    ]
    (latest,) = [
        item for item in admin.items("audit") if item["changes"] == {"record": [None, forced]}
    ]
    assert latest["action"] == "run"


def test_item_08_status_shows_every_setting_that_is_no_secret(admin: Asker, client: Client) -> None:
    told = client.get("/status", headers=signed(admin)).json()["configuration"]
    assert set(told) == set(SHOWN)
    assert documented() - set(told) == SECRET
    assert not SECRET & set(told)
    assert (told["SYNC_STALL_SECONDS"], told["CONNECTIVITY_CHECK_INTERVAL_MS"]) == (600, 60_000)
