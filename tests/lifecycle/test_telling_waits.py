"""A record that no bell is rung for says what it waits for, and until when."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from connectors.models import Connector, HostBudget
from syncjobs.claims.telling import tell_what_they_wait_for
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.rows import at_work, fresh, make_connector, make_job
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def connector(sshd: Sshd, source: Any) -> Connector:
    return make_connector(sshd.target(source))


def queue(connector: Connector, count: int = 1) -> list[SyncRecord]:
    return [enqueue(make_job(connector), trigger=Trigger.MANUAL) for _ in range(count)]


def words(records: list[SyncRecord]) -> set[str]:
    return {fresh(record).waiting_for for record in records}


def test_item_03_a_full_workspace_is_named(connector: Connector) -> None:
    Workspace.objects.update(max_running=1)
    with at_work(make_job(connector)):
        waiting = queue(connector, 3)
        assert words(waiting) == {"a worker"}
        assert tell_what_they_wait_for() == 3
        assert words(waiting) == {"a free place in this workspace (1 of 1 run)"}
        assert tell_what_they_wait_for() == 0  # nothing new


def test_item_03_the_running_record_of_the_job_is_named(connector: Connector) -> None:
    job = make_job(connector)
    with at_work(job):
        waiting = enqueue(job, trigger=Trigger.MANUAL)
        tell_what_they_wait_for()
        assert fresh(waiting).waiting_for == "the running record of the same job"


def test_item_03_a_circuit_is_told_with_its_time_in_place_of_the_last_error(
    connector: Connector,
) -> None:
    [record] = queue(connector)
    SyncRecord.objects.update(
        waiting_for="its next attempt, after: no answer",
        not_before=timezone.now() - timedelta(seconds=1),
        address=connector.address,
        dialled=connector.dialled,
    )
    until = timezone.now() + timedelta(minutes=9)
    HostBudget.objects.create(
        workspace=connector.workspace, address=connector.address, failures=9, opened_until=until
    )
    assert tell_what_they_wait_for() == 1
    told = fresh(record)
    assert told.waiting_for.startswith(
        f"{connector.address} to be back: 9 calls in a row failed; until 2"
    )
    assert told.not_before == until


def test_item_03_a_limit_of_one_connector_is_not_told_of_another(
    connector: Connector, sshd: Sshd, source: Any
) -> None:
    other = make_connector(sshd.target(source))
    Connector.objects.filter(pk=connector.pk).update(max_running=1)
    with at_work(make_job(connector)):
        stopped, free = queue(connector, 2), queue(other, 2)
        assert tell_what_they_wait_for() == 2
        assert words(stopped) == {"a free place of this connector (1 of 1 run)"}
        assert words(free) == {"a worker"}
