"""What programs read of a record's progress and time."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.claims.claiming import claim
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.api.asking import Asker, asker
from tests.rows import make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)
TARGET = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())


@pytest.fixture
def operator() -> Asker:
    return asker(Role.OPERATOR)


@pytest.fixture
def job() -> SyncJob:
    return make_job(make_connector(TARGET))


def seed_003(client: Client, operator: Asker) -> Any:
    headers = {"Authorization": f"Bearer {operator.token}"}
    return client.get("/api/v1/sync/status", headers=headers).json()["latest_sync"]


def test_item_05_what_is_expected_is_null_and_the_deadline_is_a_field_of_its_own(
    client: Client, operator: Asker, job: SyncJob
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    told = operator.get(f"sync-records/{record.pk}").json()
    assert (told["expected_duration_s"], told["deadline_s"]) == (None, None)
    assert seed_003(client, operator)["expected_duration_seconds"] == 300
    assert claim(record.pk, "worker")
    SyncRecord.objects.update(total_files=20)
    assert seed_003(client, operator)["expected_duration_seconds"] == 500
    SyncRecord.objects.update(deadline_s=612.5)
    assert seed_003(client, operator)["expected_duration_seconds"] == 612.5
    told = operator.get(f"sync-records/{record.pk}").json()
    assert (told["expected_duration_s"], told["deadline_s"]) == (None, 612.5)


def test_item_05_the_calculated_timeout_is_the_jobs_own_where_it_has_one(
    client: Client, operator: Asker, job: SyncJob
) -> None:
    SyncJob.objects.update(timeout_s=42)
    enqueue(job, trigger=Trigger.MANUAL)
    assert seed_003(client, operator)["expected_duration_seconds"] == 42


def test_item_05_total_rate_and_remaining_time_are_told(operator: Asker, job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker")
    SyncRecord.objects.update(total_bytes=1000, bytes_done=400, bytes_per_s=50)
    told = operator.get(f"sync-records/{record.pk}").json()
    assert (told["total_bytes"], told["bytes_done"], told["bytes_per_s"]) == (1000, 400, 50)
    assert told["remaining_s"] == 12
    SyncRecord.objects.update(bytes_per_s=None)
    assert operator.items("sync-records")[0]["remaining_s"] is None
