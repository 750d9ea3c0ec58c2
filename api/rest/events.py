"""`…/sync-records/{record_id}/events`: what happened to a record, as a list or as it happens."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from http import HTTPStatus
from typing import Annotated, Any

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from ninja import Header, Router

from api.rest.callers import VIEWER, Caller, caller_of
from api.rest.finding import WorkspaceIn
from api.rest.numbered import NumberedIn, take_numbered
from api.rest.records import get_record
from api.rest.streams import EVENT_STREAM, KEEP_ALIVE, message, stream, take_place
from api.shapes.answers import Problem
from api.shapes.events import EventPage, tell_event
from api.shapes.records import SHOWN, RecordOut, tell_record
from events.models import SyncEvent
from syncjobs.models import SyncRecord
from syncjobs.queries.records import syncs_and_plans_of
from workspaces.models import Workspace

LOOK_S = 1.0
KEEP_ALIVE_S = 5.0  # so long it may take until a client's going is noticed
RETRY_MS = 3_000
EVENTS_AT_ONCE = 200

router = Router(tags=["sync records"])


_STREAMED = {
    "responses": {
        200: {
            "content": {
                EVENT_STREAM: {
                    "schema": {
                        "type": "string",
                        "description": "With `Accept: text/event-stream`. `event` has an id and the data"
                        " of an EventOut; `progress` and, last of all, `end` have those of a RecordOut.",
                    }
                }
            }
        }
    }
}
LastEventId = Annotated[
    str,
    Header(
        alias="Last-Event-ID",
        max_length=18,
        pattern=r"^[0-9]{0,18}$",
        description="Of a stream: the last event that came; what was after it comes first.",
    ),
]


@router.get(
    "/{record_id}/events",
    response={
        200: EventPage,
        204: None,
        frozenset({400, 401, 403, 404, 429, 503}): Problem,
    },
    auth=VIEWER,
    openapi_extra=_STREAMED,
)
def list_events(
    request: HttpRequest,
    workspace: WorkspaceIn,
    record_id: uuid.UUID,
    query: NumberedIn,
    last_event_id: LastEventId = "",
) -> EventPage | HttpResponseBase:
    """The oldest first. With `Accept: text/event-stream` a stream of server-sent events: those so far, those to
    come, and how far the record is, once a second while that changes. It ends with the record, or after ten
    minutes: a client then asks again, with Last-Event-ID, and is told 204 where nothing can come any more."""
    record = get_record(request, record_id)
    if EVENT_STREAM in request.headers.get("Accept", ""):
        return _open_stream(request, record, int(last_event_id or query.cursor or 0))
    found, following = take_numbered(SyncEvent.objects.filter(record=record), query, "id")
    return EventPage(items=[tell_event(event) for event in found], next=following)


def _open_stream(request: HttpRequest, record: SyncRecord, last: int) -> HttpResponseBase:
    caller = caller_of(request)
    if last and record.is_final and not record.events.filter(pk__gt=last).exists():
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    holders = take_place(caller.workspace.pk, caller.name)
    return stream(_follow(caller, record.pk, last), holders)


def _follow(caller: Caller, record_id: uuid.UUID, last: int) -> Iterator[bytes]:
    """Holds no session of the database while it waits. It ends at the next look after its caller's token was
    revoked or has expired, or the person has logged out or left the workspace."""
    ends_at = time.monotonic() + settings.SYNC.sse_max_s
    yield f"retry: {RETRY_MS}\n\n".encode()
    said: dict[str, Any] | None = None
    said_at = time.monotonic()
    while time.monotonic() < ends_at:
        try:
            if not caller.is_still_let_in():
                return
            record, events = _look(caller.workspace, record_id, last)
        except (OperationalError, InterfaceError):  # the client comes again
            return
        finally:
            connection.close()
        if record is None:
            return
        for event in events:
            last = event.pk
            yield message("event", tell_event(event).model_dump(), number=last)
        if len(events) == EVENTS_AT_ONCE:
            continue
        now_says = RecordOut(**tell_record(record)).model_dump()
        if record.is_final:
            yield message("end", now_says)
            return
        if now_says != said or events:
            said, said_at = now_says, time.monotonic()
            yield message("progress", said)
        elif time.monotonic() - said_at >= KEEP_ALIVE_S:
            said_at = time.monotonic()
            yield KEEP_ALIVE
        time.sleep(LOOK_S)


def _look(
    workspace: Workspace, record_id: uuid.UUID, last: int
) -> tuple[SyncRecord | None, list[SyncEvent]]:
    """The record before its events: one that has ended has all of them by then."""
    record = syncs_and_plans_of(workspace, SHOWN).filter(pk=record_id).first()
    events = SyncEvent.objects.filter(record_id=record_id, pk__gt=last).order_by("pk")
    return record, list(events[:EVENTS_AT_ONCE])
