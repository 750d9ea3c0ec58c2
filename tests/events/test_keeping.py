"""Old events go when every cursor has passed them, and no dead cursor holds them for ever."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from structlog.testing import capture_logs

from connectors.models import Connector
from events.cursors import EventCursor
from events.keeping import HELD_DAYS, KEPT_DAYS, drop_old_events
from events.models import SyncEvent
from syncjobs.models import SyncJob, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.events.rows import names_of_all, write
from tests.rows import make_job, make_workspace

pytestmark = pytest.mark.django_db

READ = EventCursor("read")


def age(event: str, *, days: float) -> None:
    SyncEvent.objects.filter(event=event).update(at=timezone.now() - timedelta(days=days))


def test_events_of_no_record_go_by_their_age() -> None:
    write("old", "new")
    age("old", days=KEPT_DAYS + 0.1)
    age("new", days=KEPT_DAYS - 0.1)
    assert drop_old_events() == 1
    assert names_of_all() == ["new"]


def test_an_old_event_stays_until_every_cursor_has_passed_it() -> None:
    write("first", "second", "third")
    for name in ("first", "second", "third"):
        age(name, days=KEPT_DAYS + 0.1)
    behind = EventCursor("behind", at_once=2)
    behind.read(lambda span: None)
    READ.read(lambda span: None)
    assert drop_old_events() == 2
    assert names_of_all() == ["third"]
    behind.read(lambda span: None)
    assert drop_old_events() == 1


def test_a_dead_cursor_holds_events_for_a_week_more_and_is_named() -> None:
    EventCursor("dead").read_all(lambda span: None)
    write("old", "older")
    READ.read_all(lambda span: None)
    age("old", days=KEPT_DAYS + HELD_DAYS - 0.1)
    age("older", days=KEPT_DAYS + HELD_DAYS + 0.1)
    with capture_logs() as told:
        assert drop_old_events() == 1
    assert names_of_all() == ["old"]
    assert [(line["event"], line["cursor"]) for line in told] == [("events.missed", "dead")]


def test_events_of_a_record_stay_with_it(job: SyncJob) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncEvent.objects.create(record=record, workspace=job.workspace, event="old")
    age("old", days=10 * KEPT_DAYS)
    assert drop_old_events() == 0
    record.delete()
    assert not SyncEvent.objects.exists()


def test_a_call_drops_the_oldest_first_and_not_too_many() -> None:
    write("a", "b", "c")
    age("a", days=KEPT_DAYS + 1)
    age("b", days=KEPT_DAYS + 3)
    age("c", days=KEPT_DAYS + 2)
    assert drop_old_events(most=2) == 2
    assert names_of_all() == ["a"]


@pytest.fixture
def job(db: Any) -> SyncJob:

    connector = Connector.objects.create(
        workspace=make_workspace(), name="far", kind="sftp", host="far.example", port=22
    )
    return make_job(connector)
