"""`/api/workspaces/{workspace}/connectors`: the far ends, whether they answer, and what lies there."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import Field as Column
from django.http import HttpRequest
from ninja import Path, Query, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import ADMIN, OPERATOR, VIEWER, caller_of
from api.rest.calling import CALLED, calling
from api.rest.finding import WorkspaceIn, need_row
from api.rest.numbered import NumberedIn, take_numbered
from api.rest.pages import BY_NAME, PageQuery
from api.shapes.connectors import (
    ConnectorChange,
    ConnectorNew,
    ConnectorOut,
    ConnectorPage,
    ConnectorReplacement,
    Kind,
    tell_connector,
    tell_connectors,
)
from api.shapes.events import EventPage, tell_event
from api.shapes.folders import FolderOut, tell_browsed
from api.shapes.reaching import (
    ConnectivityOut,
    HostKeyIn,
    TestOut,
    WatchIn,
    tell_connectivity_of,
    tell_test,
)
from connectors.folders import look_into
from connectors.models import Connector, ConnectorStatus
from connectors.monitoring import check_now
from connectors.opening import test_connector
from connectors.pinning import pin
from connectors.reachability import CHANGED, EVENTS, switch_watching
from events.models import SyncEvent
from farends.errors import RootMissing, UnsafeName
from syncjobs.configuration.connectors import (
    FIELDS,
    InUse,
    InvalidConnector,
    NameTaken,
    delete_connector,
    write_connector,
)

router = Router(tags=["connectors"])
# What PUT gives to fields that it does not name. A secret never comes out, and so it stays.
_DEFAULTS: dict[str, Any] = {
    field.name: field.get_default()
    for field in Connector._meta.get_fields()
    if field.name in FIELDS and isinstance(field, Column) and field.has_default()
} | {"port": None, "max_running": None}

ConnectorIn = Annotated[str, Path(description="The connector's id or name.")]


class ConnectorQuery(PageQuery):
    kind: Kind | None = None
    status: ConnectorStatus | None = None


@router.get("", response={200: ConnectorPage, **REFUSALS}, auth=VIEWER)
def list_connectors(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[ConnectorQuery, Query()]
) -> dict[str, Any]:
    """Lists connectors by name."""
    rows = Connector.objects.filter(workspace=caller_of(request).workspace)
    if query.kind is not None:
        rows = rows.filter(kind=query.kind)
    if query.status is not None:
        rows = rows.filter(status=query.status)
    found, following = BY_NAME.take(rows, query)
    return {"items": tell_connectors(found), "next": following}


@router.post("", response={201: ConnectorOut, **CONFLICTS}, auth=ADMIN)
def create_connector(
    request: HttpRequest, workspace: WorkspaceIn, body: ConnectorNew
) -> Status[dict[str, Any]]:
    """Without a port: the kind's own."""
    owner = caller_of(request).workspace
    return Status(201, _write(Connector(workspace=owner), body.written()))


@router.get("/{connector}", response={200: ConnectorOut, **REFUSALS}, auth=VIEWER)
def read_connector(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn
) -> dict[str, Any]:
    return tell_connector(get_connector(request, connector))


@router.put("/{connector}", response={200: ConnectorOut, **CONFLICTS}, auth=ADMIN)
def replace_connector(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: ConnectorReplacement
) -> dict[str, Any]:
    """What is left out gets its default; a secret that is left out stays, where the far end does."""
    found, given = get_connector(request, connector), body.written()
    if given.get("status", "") is None:  # it was read while a sync ran
        given["status"] = found.status
    return _write(found, _DEFAULTS | given)


@router.patch("/{connector}", response={200: ConnectorOut, **CONFLICTS}, auth=ADMIN)
def change_connector(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: ConnectorChange
) -> dict[str, Any]:
    """What is left out stays, each option and each part of the secret for itself. A secret goes nowhere but to
    the far end that it was stored for: whoever changes kind, host, port or the way there gives it again."""
    return _write(get_connector(request, connector), body.written(), merge=True)


@router.delete("/{connector}", response={204: None, **CONFLICTS}, auth=ADMIN)
def remove_connector(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn
) -> Status[None]:
    """Only one that no sync job uses and no sync record tells of. The job that auto_sync made goes with it, where it
    has no records."""
    try:
        delete_connector(get_connector(request, connector))
    except InUse as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return Status(204, None)


@router.post("/{connector}/test", response={200: TestOut, **CALLED}, auth=OPERATOR)
def test_connection(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn
) -> dict[str, Any]:
    """Stage by stage, with what to do where one fails: that is an answer too."""
    found = get_connector(request, connector)
    with calling(found.workspace):
        results = test_connector(found)
    return tell_test(found, results)


@router.get("/{connector}/browse", response={200: FolderOut, **CALLED}, auth=OPERATOR)
def browse(
    request: HttpRequest,
    workspace: WorkspaceIn,
    connector: ConnectorIn,
    path: Annotated[
        str,
        Query(max_length=4_000, pattern=r"^[^\x00]*$", description="From the connector's root."),
    ] = "",
) -> dict[str, Any]:
    """What lies in a folder of the far end, before a job is made for it. Folders without files are not seen."""
    found = get_connector(request, connector)
    try:
        with calling(found.workspace):
            folder = look_into(found, path)
    except (UnsafeName, RootMissing):
        raise Refused(HTTPStatus.NOT_FOUND, "The far end has no such folder.") from None
    rows = sorted(folder.rows.values(), key=lambda row: (not row.is_folder, row.name))
    items = [tell_browsed(row) for row in rows]
    return {"path": path.strip("/"), "items": items, "complete": folder.complete}


@router.get("/{connector}/connectivity", response={200: ConnectivityOut, **REFUSALS}, auth=VIEWER)
def read_connectivity(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn
) -> dict[str, Any]:
    """What checks, syncs, deliveries and tests have shown of the host. It is not called for this."""
    return tell_connectivity_of(get_connector(request, connector))


@router.patch("/{connector}/connectivity", response={200: ConnectivityOut, **REFUSALS}, auth=ADMIN)
def watch_connectivity(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: WatchIn
) -> dict[str, Any]:
    """Whether it is checked by itself. Work goes on to tell of it."""
    found = get_connector(request, connector)
    switch_watching(found, on=body.watch)
    return tell_connectivity_of(found)


@router.post(
    "/{connector}/connectivity/check", response={200: ConnectivityOut, **CALLED}, auth=OPERATOR
)
def check_connectivity(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn
) -> dict[str, Any]:
    """Looks now whether the host can be reached, without a log-in; that it cannot is an answer too."""
    found = get_connector(request, connector)
    with calling(found.workspace):
        check_now(found)
    return tell_connectivity_of(found)


@router.get("/{connector}/connectivity/events", response={200: EventPage, **REFUSALS}, auth=VIEWER)
def list_connectivity_events(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, page: NumberedIn
) -> EventPage:
    """`connected`, `disconnected` and, with each of them, `state-change`; the oldest first."""
    found = get_connector(request, connector)
    rows = SyncEvent.objects.filter(connector=found, event__in=[*EVENTS.values(), CHANGED])
    events, following = take_numbered(rows, page, "id")
    return EventPage(items=[tell_event(event) for event in events], next=following)


@router.post("/{connector}/approve-host-key", response={200: ConnectorOut, **CONFLICTS}, auth=ADMIN)
def approve_host_key(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: HostKeyIn
) -> dict[str, Any]:
    """Pins the key that the last connection test was offered; only that very one."""
    found = get_connector(request, connector)
    if pin(found, body.fingerprint) is None:
        raise Refused(
            HTTPStatus.CONFLICT,
            "This is not the key that the last test was offered, or it is pinned already: test again.",
        )
    return tell_connector(get_connector(request, connector))


def get_connector(request: HttpRequest, text: str) -> Connector:
    """Raises Refused."""
    rows = Connector.objects.select_related("workspace")
    return need_row(rows, caller_of(request).workspace, text, "connector")


def _write(connector: Connector, fields: dict[str, Any], *, merge: bool = False) -> dict[str, Any]:
    try:
        return tell_connector(write_connector(connector, fields, merge=merge).connector)
    except InvalidConnector as exc:
        errors: dict[str, list[str]] = {}
        for path, message in exc.problems:
            errors.setdefault(".".join(path), []).append(message)
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=errors) from None
    except NameTaken as exc:
        raise Refused(
            HTTPStatus.CONFLICT, f"{exc}.", errors={"name": ["This name is taken."]}
        ) from None
