"""Tools about alerts: what is wrong, and what was."""

from __future__ import annotations

from alerts.core.words import AlertState, Severity
from alerts.links import make_alert_url
from alerts.queries.alerts import alerts_of
from api.mcp.caller import McpCaller
from api.mcp.tools.arguments import Paged, list_rows_of, take_page
from api.mcp.tools.tool import ToolList
from api.rest.alerts import LAST_OPENED_FIRST
from api.shapes.alerts import tell_alert


class ListAlerts(Paged):
    """Lists alerts, the newest first: what fires now, since when and why, what a person has silenced, and what is resolved. Each
    names the job, connector, stream or dataset that it is about, and the record where there is one: explain_sync_record
    tells more of that."""

    state: AlertState | None = None
    severity: Severity | None = None

    def answer(self, caller: McpCaller) -> ToolList:
        rows = alerts_of(caller.workspace.pk, self.state)
        if self.severity is not None:
            rows = rows.filter(severity=self.severity)
        found, following = take_page(LAST_OPENED_FIRST, rows, self)
        told = [tell_alert(row, make_alert_url(row)) for row in found]
        return list_rows_of(LAST_OPENED_FIRST, found, told, following)
