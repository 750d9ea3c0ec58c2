"""`/api/workspaces/{workspace}/streams`: queues of readings for client systems, and how each of them does."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused, Responses, not_found
from api.rest.bodies import parse_json, read_large_body, takes_up_to
from api.rest.callers import ADMIN, OPERATOR, VIEWER, caller_of
from api.rest.finding import WorkspaceIn, need_row
from api.rest.numbered import NumberedIn, take_numbered
from api.rest.pages import BY_NAME, PageIn
from api.shapes.answers import Problem
from api.shapes.fields import Moment
from api.shapes.outbox import (
    BULK_BODY,
    ClientConfigurationOut,
    DeadLetterPage,
    DeliveryPage,
    DigestOut,
    HeartbeatOut,
    ReconciledOut,
    RedriveIn,
    RedrivenOut,
    StatsOut,
    StreamChange,
    StreamNew,
    StreamOut,
    StreamPage,
    StreamReplacement,
    StreamStatusOut,
    TakenOut,
    tell_delivery,
    tell_hour,
    tell_stream,
)
from farends.errors import TransportError
from outbox.contacts import download_configuration, send_heartbeat
from outbox.core.readings import Bulk, ReadingsRefused, encode_bulk, read_plain
from outbox.dead_letters import LetterToSend, NoSuchLetter, redrive, waiting_letters
from outbox.intake import BulkResult, QueueFull, StreamGone, take_bulk
from outbox.models import Delivery, Stream
from outbox.reconciling import NoDigests, read_hours, reconcile
from outbox.streams import (
    StreamPaused,
    UnsentReadings,
    delete_stream,
    hurry_stream,
    start_stream,
    stop_stream,
)
from outbox.telling import (
    tell_beat,
    tell_client_configuration,
    tell_letter,
    tell_stats,
    tell_status,
)
from outbox.writing import FIELDS, InvalidStream, StreamNameTaken, write_stream

router = Router(tags=["streams"])
BULK_BYTES_MAX = 32 << 20
FULL: Responses = {**REFUSALS, 429: Problem}
CALLED: Responses = {**CONFLICTS, 502: Problem}

StreamIn = Annotated[str, Path(description="The stream's id or name.")]
Instant = Annotated[Moment | None, Query()]


@router.get("", response={200: StreamPage, **REFUSALS}, auth=VIEWER)
def list_streams(request: HttpRequest, workspace: WorkspaceIn, page: PageIn) -> dict[str, Any]:
    """By name."""
    rows = Stream.objects.select_related("client").filter(workspace=caller_of(request).workspace)
    found, following = BY_NAME.take(rows, page)
    return {"items": [tell_stream(row) for row in found], "next": following}


@router.post("", response={201: StreamOut, **CONFLICTS}, auth=ADMIN)
def create_stream(
    request: HttpRequest, workspace: WorkspaceIn, body: StreamNew
) -> Status[dict[str, Any]]:
    """It runs at once."""
    return Status(201, _write(Stream(workspace=caller_of(request).workspace), body.written()))


@router.get("/{stream}", response={200: StreamOut, **REFUSALS}, auth=VIEWER)
def read_stream(request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn) -> dict[str, Any]:
    return tell_stream(_get_stream(request, stream))


@router.put("/{stream}", response={200: StreamOut, **CONFLICTS}, auth=ADMIN)
def replace_stream(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, body: StreamReplacement
) -> dict[str, Any]:
    """What is left out gets its default."""
    return _write(_get_stream(request, stream), dict.fromkeys(FIELDS) | body.written())


@router.patch("/{stream}", response={200: StreamOut, **CONFLICTS}, auth=ADMIN)
def change_stream(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, body: StreamChange
) -> dict[str, Any]:
    """What is left out stays."""
    return _write(_get_stream(request, stream), body.written())


@router.delete("/{stream}", response={204: None, **CONFLICTS}, auth=ADMIN)
def remove_stream(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, discard: bool = False
) -> Status[None]:
    """Only one without unsent readings, unless they may be discarded."""
    try:
        delete_stream(_get_stream(request, stream), discard=discard)
    except UnsentReadings as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(204, None)


@router.post(
    "/{stream}/readings", response={202: TakenOut, **FULL}, auth=OPERATOR, openapi_extra=BULK_BODY
)
@takes_up_to(BULK_BYTES_MAX)
def take_readings(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> Status[dict[str, Any]]:
    """All of a bulk of 1 to 10,000 readings, or nothing; they are on disk when this is answered. Sent again, they are
    duplicates."""
    found = _get_stream(request, stream)
    body = read_large_body(request, BULK_BYTES_MAX)
    bulk = read_plain(body) or _read_closely(body)
    taken = _take(found, bulk, within="Idempotency-Key" in request.headers)
    return Status(
        202,
        {
            "accepted": taken.accepted,
            "duplicates": taken.duplicates,
            "conflicts": taken.conflicts,
        },
    )


@router.get("/{stream}/status", response={200: StreamStatusOut, **REFUSALS}, auth=VIEWER)
def read_stream_status(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> dict[str, Any]:
    """From counters: it costs the same at any length of the queue."""
    return tell_status(_get_stream(request, stream))


@router.get("/{stream}/stats", response={200: StatsOut, **REFUSALS}, auth=VIEWER)
def read_stream_stats(
    request: HttpRequest,
    workspace: WorkspaceIn,
    stream: StreamIn,
    hours: Annotated[int, Query(ge=1, le=87_600)] = 24,
) -> dict[str, Any]:
    """Tries of batches, and the readings that were delivered, of the last hours."""
    return tell_stats(_get_stream(request, stream), hours)


@router.post("/{stream}/start", response={202: StreamStatusOut, **REFUSALS}, auth=OPERATOR)
def start_delivery(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> Status[dict[str, Any]]:
    """From stopped or paused. The next try begins at once."""
    found = _get_stream(request, stream)
    start_stream(found)
    return Status(202, tell_status(found))


@router.post("/{stream}/stop", response={202: StreamStatusOut, **REFUSALS}, auth=OPERATOR)
def stop_delivery(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> Status[dict[str, Any]]:
    """Nothing more is sent; readings go on to be taken in."""
    found = _get_stream(request, stream)
    stop_stream(found)
    return Status(202, tell_status(found))


@router.post("/{stream}/sync", response={202: StreamStatusOut, **CONFLICTS}, auth=OPERATOR)
def sync_now(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> Status[dict[str, Any]]:
    """The next try begins at once, whatever it waits for. 409 while paused or stopped."""
    found = _get_stream(request, stream)
    try:
        hurry_stream(found)
    except StreamPaused as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(202, tell_status(found))


@router.post("/{stream}/heartbeat", response={202: HeartbeatOut, **REFUSALS}, auth=OPERATOR)
def beat_now(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> Status[dict[str, Any]]:
    """Sends one now. That the client system does not answer is an answer too."""
    return Status(202, tell_beat(send_heartbeat(_get_stream(request, stream))))


@router.get(
    "/{stream}/configuration", response={200: ClientConfigurationOut, **REFUSALS}, auth=VIEWER
)
def read_client_configuration(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn
) -> dict[str, Any]:
    """The version that is in use."""
    return tell_client_configuration(_get_stream(request, stream))


@router.post(
    "/{stream}/configuration", response={200: ClientConfigurationOut, **REFUSALS}, auth=OPERATOR
)
def download_now(request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn) -> dict[str, Any]:
    """Asks the client system now. `error` says why the old one stays, where it does."""
    found = _get_stream(request, stream)
    download_configuration(found)
    return tell_client_configuration(found)


@router.get("/{stream}/deliveries", response={200: DeliveryPage, **REFUSALS}, auth=VIEWER)
def list_deliveries(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, page: NumberedIn
) -> dict[str, Any]:
    """Each try to send a batch, the latest first; they are kept for 30 days."""
    rows = Delivery.objects.filter(stream=_get_stream(request, stream))
    found, following = take_numbered(rows, page, "id", descending=True)
    return {"items": [tell_delivery(row) for row in found], "next": following}


@router.get("/{stream}/dead-letters", response={200: DeadLetterPage, **REFUSALS}, auth=VIEWER)
def list_dead_letters(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, page: NumberedIn
) -> dict[str, Any]:
    """Readings that the client system refused and that were not sent again, the oldest first."""
    rows = waiting_letters(_get_stream(request, stream))
    found, following = take_numbered(rows, page, "id")
    return {"items": [tell_letter(row) for row in found], "next": following}


@router.post(
    "/{stream}/dead-letters/redrive", response={202: RedrivenOut, **REFUSALS}, auth=OPERATOR
)
def redrive_dead_letters(
    request: HttpRequest, workspace: WorkspaceIn, stream: StreamIn, body: RedriveIn
) -> Status[dict[str, int]]:
    """All of them, or these, each with another payload where one is given; all of these, or none. They get new
    numbers and keep their keys."""
    found = _get_stream(request, stream)
    if body.all is (body.items is not None):
        words = 'give {"all": true} or {"items": [{"id"}]}'
        raise Refused(HTTPStatus.BAD_REQUEST, f"{words}.", errors={"items": [words]})
    wanted = [LetterToSend(item.id, item.payload) for item in body.items or ()]
    try:
        count = redrive(found, None if body.all else wanted)
    except NoSuchLetter as exc:
        raise Refused(HTTPStatus.NOT_FOUND, f"{exc}.") from None
    except ReadingsRefused as exc:
        raise _refusal_of(exc) from None
    return Status(202, {"redriven": count})


@router.get("/{stream}/digest", response={200: DigestOut, **REFUSALS}, auth=VIEWER)
def read_hour_digests(
    request: HttpRequest,
    workspace: WorkspaceIn,
    stream: StreamIn,
    since: Instant = None,
    until: Instant = None,
) -> dict[str, Any]:
    """What came in, hour by hour: a count and a sum of the keys, as a client system may compare it. Without `since`:
    of the last seven days."""
    hours = read_hours(_get_stream(request, stream), since, until)
    return {"items": [tell_hour(hour) for hour in hours]}


@router.post("/{stream}/reconcile", response={202: ReconciledOut, **CALLED}, auth=OPERATOR)
def reconcile_stream(
    request: HttpRequest,
    workspace: WorkspaceIn,
    stream: StreamIn,
    since: Instant = None,
    until: Instant = None,
) -> Status[dict[str, int]]:
    """Compares the digests with those of the client system, and sends again what it lacks. Without `since`: of the
    last seven days."""
    found = _get_stream(request, stream)
    try:
        done = reconcile(found, since, until)
    except NoDigests as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    except TransportError as exc:
        raise Refused(HTTPStatus.BAD_GATEWAY, f"{exc}.", more={"code": exc.code}) from None
    return Status(202, {"hours": done.hours, "differing": done.differing, "resent": done.resent})


def _get_stream(request: HttpRequest, text: str) -> Stream:
    """Raises Refused."""
    rows = Stream.objects.select_related("client", "workspace")
    return need_row(rows, caller_of(request).workspace, text, "stream")


def _write(stream: Stream, fields: dict[str, Any]) -> dict[str, Any]:
    try:
        return tell_stream(write_stream(stream, fields).stream)
    except InvalidStream as exc:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=exc.errors) from None
    except StreamNameTaken as exc:
        raise Refused(
            HTTPStatus.CONFLICT, f"{exc}.", errors={"name": ["This name is taken."]}
        ) from None


def _read_closely(body: bytes) -> Bulk:
    """Says what is wrong. Raises Refused."""
    said = parse_json(body)
    if not isinstance(said, dict) or said.keys() != {"readings"}:
        words = 'give an object with one field: {"readings": [{"key", "payload"}]}'
        raise Refused(
            HTTPStatus.BAD_REQUEST, f"The request does not fit: {words}.", errors={"readings": [words]}
        )  # fmt: skip
    try:
        return encode_bulk(said["readings"])
    except ReadingsRefused as exc:
        raise _refusal_of(exc) from None


def _take(stream: Stream, bulk: Bulk, *, within: bool) -> BulkResult:
    try:
        return take_bulk(stream, bulk, within=within)
    except QueueFull as exc:
        raise Refused(HTTPStatus.TOO_MANY_REQUESTS, f"{exc}.", retry_after_s=exc.wait_s) from None
    except StreamGone:
        raise not_found("stream") from None


def _refusal_of(exc: ReadingsRefused) -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, f"Nothing was taken. {exc}.", errors=exc.errors)
