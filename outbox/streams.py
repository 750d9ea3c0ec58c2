"""Streams are made, changed, started, stopped, hurried and deleted here."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.exceptions import ValidationError
from django.db import connection, transaction

from events.writing import NewEvent, write_events
from outbox.core.configuration import check_schema
from outbox.models import Stream, StreamContact, StreamHead, StreamState, StreamTail
from workspaces import auditing

CLIENT_KIND = "client"
STARTED, STOPPED, PAUSED, HURRIED = (
    "stream_started",
    "stream_stopped",
    "stream_paused",
    "stream_hurried",
)

EDITABLE = (
    "name",
    "client",
    "batch_size",
    "sync_interval_s",
    "max_queued",
    "heartbeat_interval_s",
    "configuration_interval_s",
    "configuration_schema",
)

_START = """
UPDATE outbox_streamtail SET not_before = NULL, waiting_for = '', refused_alone = 0, rung_at = NULL
 WHERE stream_id = %s
"""
_HURRY = "UPDATE outbox_streamtail SET not_before = NULL, rung_at = NULL WHERE stream_id = %s"


class StreamPaused(Exception):
    """A person must start the stream first; the reason of the pause says what to see to."""


@dataclass
class UnsentReadings(Exception):
    """The stream still holds readings that nobody has."""

    count: int

    def __str__(self) -> str:
        return f"{self.count} readings were not sent yet: send them first, or give discard=true"


@transaction.atomic
def save_stream(stream: Stream) -> Stream:
    """Raises ValidationError."""
    if stream.client.kind != CLIENT_KIND:
        raise ValidationError({"client": f"give a connector of kind {CLIENT_KIND}"})
    if stream.client.workspace_id != stream.workspace_id:
        raise ValidationError({"client": "give a connector of this workspace"})
    if stream.configuration_schema is not None and (
        wrong := check_schema(stream.configuration_schema)
    ):
        raise ValidationError({"configuration_schema": wrong})
    stored = Stream.objects.select_for_update(no_key=True).filter(pk=stream.pk).first()
    stream.full_clean()
    # A delivery may write state, reason and batch_bytes meanwhile: a person's change leaves them alone.
    stream.save(update_fields=None if stored is None else EDITABLE)
    if stored is None:
        stream.refresh_from_db(fields=["number"])
        StreamHead.objects.create(stream=stream)
        StreamTail.objects.create(stream=stream)
        StreamContact.objects.create(stream=stream)
    auditing.note_saved(stream, stored)
    return stream


@transaction.atomic
def delete_stream(stream: Stream, *, discard: bool = False, counted: int | None = None) -> None:
    """Deletes a stream. Its readings go with the slots that they lie in: its number is never given again. Raises
    UnsentReadings unless `discard`, or where other readings than `counted` are unsent by now."""
    head = StreamHead.objects.select_for_update().get(pk=stream.pk)
    tail = StreamTail.objects.select_for_update().get(pk=stream.pk)
    unsent = head.next_seq - 1 - tail.done_seq
    if (unsent and not discard) or (counted is not None and counted != unsent):
        raise UnsentReadings(unsent)
    # After its tail, as a delivery does; before what hangs on it, as a contact does.
    Stream.objects.select_for_update().filter(pk=stream.pk).first()
    auditing.note_deleted(stream)
    stream.delete()


@transaction.atomic
def start_stream(stream: Stream) -> None:
    """From stopped or paused; what paused it is taken for seen to. Its next try begins at once."""
    with connection.cursor() as cursor:
        cursor.execute(_START, [stream.pk])  # first, as a delivery does: its tail, then the stream
    moved = Stream.objects.filter(pk=stream.pk).exclude(state=StreamState.RUNNING)
    if moved.update(state=StreamState.RUNNING, reason=""):
        _tell(stream, STARTED)
    stream.refresh_from_db()


@transaction.atomic
def stop_stream(stream: Stream) -> None:
    """What is under way is finished, and nothing follows. Readings go on to be taken in."""
    moved = Stream.objects.filter(pk=stream.pk).exclude(state=StreamState.STOPPED)
    if moved.update(state=StreamState.STOPPED, reason=""):
        _tell(stream, STOPPED)
    stream.refresh_from_db()


def hurry_stream(stream: Stream) -> None:
    """Starts the stream's next try at once, whatever it waits for. Raises StreamPaused."""
    stream.refresh_from_db()
    if stream.state != StreamState.RUNNING:
        words = stream.reason or "a person stopped it"
        raise StreamPaused(f"stream {stream.name} is {stream.state}: {words}; start it first")
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_HURRY, [stream.pk])


def _tell(stream: Stream, event: str) -> None:
    write_events([NewEvent(event=event, workspace_id=stream.workspace_id, stream_id=stream.pk)])
    auditing.note(stream, event.removeprefix("stream_"))
