"""What is said to a client system beside batches: heartbeats, and the download of its configuration."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from connectors.opening import make_context, make_target
from database.rows import fetch_rows
from events.writing import NewEvent, write_events
from farends.client.system import AnswerCut, ClientReply, ClientSystem
from farends.errors import TransportError
from farends.masking import make_target_mask
from outbox.core.configuration import VERSIONS_KEPT, read_configuration
from outbox.figures import read_status
from outbox.models import ClientConfiguration, Stream, StreamContact

ERROR_MAX = 500
CONFIGURED, REFUSED = "configuration_changed", "configuration_refused"

_TAKE_DUE = """
WITH due AS (
    SELECT c.stream_id, c.heartbeat_due_at <= now() AND s.heartbeat_interval_s > 0 AS heartbeat,
           c.configuration_due_at <= now() AND s.configuration_interval_s > 0 AS configuration
      FROM outbox_streamcontact c
      JOIN outbox_stream s ON s.id = c.stream_id
      JOIN connectors_connector k ON k.id = s.client_id
     WHERE s.state = 'running' AND k.status = 'active'
       AND ((c.heartbeat_due_at <= now() AND s.heartbeat_interval_s > 0)
            OR (c.configuration_due_at <= now() AND s.configuration_interval_s > 0))
     LIMIT %s FOR UPDATE OF c SKIP LOCKED)
UPDATE outbox_streamcontact c
   SET heartbeat_due_at = CASE WHEN due.heartbeat THEN now() + make_interval(secs => s.heartbeat_interval_s)
                               ELSE c.heartbeat_due_at END,
       configuration_due_at = CASE WHEN due.configuration THEN now() + make_interval(secs => s.configuration_interval_s)
                                   ELSE c.configuration_due_at END
  FROM due JOIN outbox_stream s ON s.id = due.stream_id
 WHERE c.stream_id = due.stream_id
RETURNING c.stream_id, due.heartbeat, due.configuration
"""


@dataclass(frozen=True, slots=True)
class DueContact:
    stream_id: uuid.UUID
    heartbeat: bool
    configuration: bool


@dataclass(frozen=True, slots=True)
class Beat:
    """A heartbeat that was sent. `status` is None where no answer came."""

    sent_at: datetime
    status: int | None
    error: str | None


def take_due_contacts(most: int = 100) -> list[DueContact]:
    """Streams whose heartbeat or download is due; whoever takes them sees to it."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_DUE, [most])
        return fetch_rows(cursor, DueContact)


def send_heartbeat(stream: Stream, *, check: Callable[[], None] = lambda: None) -> Beat:
    now = timezone.now()
    told = heartbeat_of(stream)
    reply, error = _ask(stream, lambda system: system.send_heartbeat(told), check)
    status = reply.status if reply is not None else None
    if error is None and status is not None and not 200 <= status < 300:
        error = f"the client system answered {status}"
    StreamContact.objects.filter(pk=stream.pk).update(
        heartbeat_at=now, heartbeat_status=status, heartbeat_error=error or ""
    )
    return Beat(now, status, error)


def heartbeat_of(stream: Stream) -> dict[str, Any]:
    status = read_status(stream)
    current = ClientConfiguration.objects.filter(stream=stream, is_current=True).first()
    synced_at = status.last_sync_at
    return {
        "stream": stream.name,
        "status": stream.state,
        "queue_size": status.queue_size,
        "oldest_reading_age_s": status.oldest_reading_age_s,
        "total_synced": status.total_synced,
        "dead_letters": status.dead_letters,
        "last_sync_time": synced_at.isoformat() if synced_at else None,
        "version": current.number if current else None,
    }


def download_configuration(
    stream: Stream, *, check: Callable[[], None] = lambda: None
) -> StreamContact:
    """Looks for a new version. What the last look came to stands in the contact's row."""
    contact = StreamContact.objects.get(pk=stream.pk)
    reply, error = _ask(stream, lambda system: system.configuration(contact.etag), check)
    if reply is not None and reply.status == 200:
        _keep(stream, reply)
    elif reply is not None and reply.status != 304:
        error = f"the client system answered {reply.status}"
    StreamContact.objects.filter(pk=stream.pk).update(
        checked_at=timezone.now(), check_error=(error or "")[:ERROR_MAX]
    )
    contact.refresh_from_db()
    return contact


@transaction.atomic
def _keep(stream: Stream, reply: ClientReply) -> None:
    """One transaction: the version, what it changes of the stream, and the event."""
    locked = Stream.objects.select_for_update().get(pk=stream.pk)
    etag = reply.fields.get("etag", "")[:512]
    read = read_configuration(reply.body, locked.configuration_schema)
    current = ClientConfiguration.objects.filter(stream=locked, is_current=True).first()
    StreamContact.objects.filter(pk=locked.pk).update(etag=etag)
    if not read.refusal and current is not None and current.content == read.configuration:
        return
    newest = ClientConfiguration.objects.filter(stream=locked).order_by("-number").first()
    if (
        read.refusal
        and newest is not None
        and newest.refusal
        and newest.content == read.configuration
    ):
        return
    number = (
        ClientConfiguration.objects.filter(stream=locked).aggregate(n=Max("number"))["n"] or 0
    ) + 1
    if not read.refusal:
        ClientConfiguration.objects.filter(stream=locked, is_current=True).update(is_current=False)
    made = ClientConfiguration.objects.create(
        stream=locked, number=number, etag=etag, content=read.configuration,
        refusal=read.refusal, is_current=not read.refusal,
    )  # fmt: skip
    changed = _change(locked, read.changes)
    event = REFUSED if read.refusal else CONFIGURED
    data = {"version": made.number, "changed": changed}
    write_events([
        NewEvent(
            event=event, workspace_id=locked.workspace_id, stream_id=locked.pk, reason=read.refusal, data=data
        )
    ])  # fmt: skip
    old = ClientConfiguration.objects.filter(stream=locked, is_current=False).order_by("-number")
    ClientConfiguration.objects.filter(
        pk__in=list(old.values_list("pk", flat=True)[VERSIONS_KEPT - 1 :])
    ).delete()


def _change(stream: Stream, changes: Mapping[str, int]) -> dict[str, list[int]]:
    """What is other than before."""
    changed = {
        name: [getattr(stream, name), value]
        for name, value in changes.items()
        if getattr(stream, name) != value
    }
    if changed:
        Stream.objects.filter(pk=stream.pk).update(
            **{name: after for name, (_, after) in changed.items()}
        )
    return changed


def _ask(
    stream: Stream, ask: Callable[[ClientSystem], ClientReply], check: Callable[[], None]
) -> tuple[ClientReply | None, str | None]:
    """The reply, or why there is none."""
    mask = None
    try:
        target = make_target(stream.client)
        mask = make_target_mask(target)
        with closing(ClientSystem(target, make_context(check))) as system:
            return ask(system), None
    except (TransportError, AnswerCut) as exc:
        words = str(exc)[:ERROR_MAX]
        return None, words if mask is None else mask(words)


def current_configuration(stream: Stream) -> ClientConfiguration | None:
    return ClientConfiguration.objects.filter(stream=stream, is_current=True).first()
