"""Tools about far ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import Meta

from api.mcp.caller import McpCaller
from api.mcp.tools.tool import Arguments, Hints, Tool
from api.rest.pages import BY_NAME, PageQuery
from api.shapes.answers import Told
from api.shapes.connectors import ConnectorFacts, Kind, tell_connector
from connectors.models import Connector, ConnectorStatus
from workspaces.models import Role

if TYPE_CHECKING:
    Status = str
else:
    Status = Literal[tuple(ConnectorStatus.values)]  # msgspec knows no enum of Django's


class ConnectorLine(ConnectorFacts):
    """A connector without its options."""

    kind: str


class ConnectorLinePage(Told):
    items: list[ConnectorLine]
    next: str | None


class ListConnectorsArguments(Arguments):
    kind: Kind | None = None
    status: Status | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20
    cursor: str | None = None


def _list_connectors(caller: McpCaller, given: ListConnectorsArguments) -> dict[str, Any]:
    rows = Connector.objects.filter(workspace=caller.workspace)
    if given.kind is not None:
        rows = rows.filter(kind=given.kind)
    if given.status is not None:
        rows = rows.filter(status=given.status)
    found, following = BY_NAME.take(rows, PageQuery(limit=given.limit, cursor=given.cursor))
    items = [tell_connector(row) for row in found]
    for item in items:
        del item["options"]
    return {"items": items, "next": following}


LIST_CONNECTORS = Tool(
    name="list_connectors",
    title="List connectors",
    description="Lists the stored far ends by name: kind, address, status, and how their last sync went.",
    role=Role.VIEWER,
    hints=Hints(),
    arguments=ListConnectorsArguments,
    answer=ConnectorLinePage,
    call=_list_connectors,
)
