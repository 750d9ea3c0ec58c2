"""One writer for every subject, and every subject in one log."""

from __future__ import annotations

import uuid
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from connectors.models import Connector
from datasets.models import Dataset
from events.cursors import EventCursor, Span
from events.models import SyncEvent
from events.writing import NewEvent, write_events
from tests.rows import make_workspace
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def make_connector(workspace: Workspace) -> Connector:
    return Connector.objects.create(
        workspace=workspace, name="far", kind="sftp", host="far.example", port=22
    )


def test_one_cursor_reads_the_events_of_all_subjects(workspace: Workspace) -> None:
    connector = make_connector(workspace)
    dataset = Dataset.objects.create(workspace=workspace, name="reports")
    stream = uuid.uuid4()
    write_events(
        [NewEvent(event="disconnected", workspace_id=workspace.pk, connector_id=connector.pk)]
    )
    write_events([NewEvent(event="index_behind", workspace_id=workspace.pk, dataset_id=dataset.pk)])
    write_events([NewEvent(event="paused", workspace_id=workspace.pk, stream_id=stream)])
    write_events([NewEvent(event="disk_full", data={"free_bytes": 3})])
    seen: list[SyncEvent] = []

    def take(span: Span) -> None:
        seen.extend(span.events())

    EventCursor("test").read_all(take)
    assert [event.event for event in seen] == [
        "disconnected",
        "index_behind",
        "paused",
        "disk_full",
    ]
    of_connector, of_dataset, of_stream, of_installation = seen
    assert (of_connector.connector, of_connector.workspace) == (connector, workspace)
    assert of_dataset.dataset == dataset
    assert of_stream.stream_id == stream
    assert (of_installation.workspace, of_installation.data) == (None, {"free_bytes": 3})
    assert list(connector.events.all()) == [of_connector]


@pytest.mark.parametrize("count", [1, 3])
def test_one_event_is_written_as_many_are(workspace: Workspace, count: int) -> None:
    connector = make_connector(workspace)
    event = NewEvent(
        event="disconnected",
        workspace_id=workspace.pk,
        connector_id=connector.pk,
        from_state="up",
        to_state="down",
        token=7,
        reason="no\0answer\udcff",
        data={"at": uuid.UUID(int=1)},
    )
    write_events([event] * count)
    rows: list[dict[str, Any]] = [dict(row) for row in SyncEvent.objects.values()]
    assert len(rows) == count
    for row in rows:
        assert "\0" not in row.pop("reason")
        del row["id"], row["at"]
        assert row == {
            "workspace_id": workspace.pk,
            "record_id": None,
            "connector_id": connector.pk,
            "dataset_id": None,
            "stream_id": None,
            "event": "disconnected",
            "from_state": "up",
            "to_state": "down",
            "token": 7,
            "data": {"at": str(uuid.UUID(int=1))},
        }


def test_nothing_is_written_for_no_event() -> None:
    write_events([])
    assert not SyncEvent.objects.exists()


@pytest.mark.parametrize("subjects", [(), ("connector_id", "dataset_id")])
def test_an_event_of_a_workspace_has_one_subject(
    workspace: Workspace, subjects: tuple[str, ...]
) -> None:
    event = replace(
        NewEvent(event="odd", workspace_id=workspace.pk),
        **{name: uuid.uuid4() for name in subjects},  # type: ignore[arg-type]  # names of its ids
    )
    with pytest.raises(IntegrityError, match="event_has_one_subject"), transaction.atomic():
        write_events([event])


def test_an_event_of_a_subject_names_its_workspace() -> None:
    with pytest.raises(IntegrityError, match="event_has_one_subject"), transaction.atomic():
        write_events([NewEvent(event="odd", stream_id=uuid.uuid4())])


def test_events_go_with_their_subject(workspace: Workspace) -> None:
    connector = make_connector(workspace)
    write_events([NewEvent(event="x", workspace_id=workspace.pk, connector_id=connector.pk)])
    connector.delete()
    assert not SyncEvent.objects.exists()
