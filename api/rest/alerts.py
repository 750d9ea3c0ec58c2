"""`/api/workspaces/{workspace}/alerts`: what is wrong, what was, and silence about it."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from alerts.configuration.refusals import InvalidAlerting
from alerts.configuration.silences import silence_alert
from alerts.core.words import AlertState, Severity
from alerts.links import make_alert_url
from alerts.models import Alert, AlertRule
from alerts.queries.alerts import alerts_of
from api.rest.answers import REFUSALS, Refused
from api.rest.callers import OPERATOR, VIEWER, caller_of
from api.rest.finding import WorkspaceIn, need_id
from api.rest.pages import PageOrder, PageQuery
from api.shapes.alerts import AlertOut, AlertPage, SilenceIn, tell_alert
from api.shapes.fields import Called
from workspaces.lookup import find_ids

router = Router(tags=["alerts"])
LAST_OPENED_FIRST: PageOrder[Alert] = PageOrder(
    "opened_at", descending=True, read=datetime.fromisoformat
)


class AlertQuery(PageQuery):
    state: AlertState | None = None
    severity: Severity | None = None
    rule: Called | None = Field(None, description="A rule's id or name.")


@router.get("", response={200: AlertPage, **REFUSALS}, auth=VIEWER)
def list_alerts(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[AlertQuery, Query()]
) -> dict[str, Any]:
    """The newest first: each subject stands once under each rule, as it opened last."""
    owner = caller_of(request).workspace
    rows = alerts_of(owner.pk, query.state)
    if query.severity is not None:
        rows = rows.filter(severity=query.severity)
    if query.rule is not None:
        rows = rows.filter(rule__in=find_ids(AlertRule.objects.all(), owner, query.rule))
    found, following = LAST_OPENED_FIRST.take(rows, query)
    return {"items": [_tell(row) for row in found], "next": following}


@router.get("/{alert_id}", response={200: AlertOut, **REFUSALS}, auth=VIEWER)
def read_alert(request: HttpRequest, workspace: WorkspaceIn, alert_id: uuid.UUID) -> dict[str, Any]:
    return _tell(_get_alert(request, alert_id))


@router.post("/{alert_id}/silence", response={200: AlertOut, **REFUSALS}, auth=OPERATOR)
def silence(
    request: HttpRequest, workspace: WorkspaceIn, alert_id: uuid.UUID, body: SilenceIn
) -> dict[str, Any]:
    """It tells nothing until then; if it still fires then, it is told once."""
    found = _get_alert(request, alert_id)
    try:
        silence_alert(found, body.until, body.reason, by=caller_of(request).name)
    except InvalidAlerting as exc:
        raise Refused(HTTPStatus.BAD_REQUEST, f"{exc}.", errors=exc.errors) from None
    return _tell(_get_alert(request, alert_id))


def _get_alert(request: HttpRequest, alert_id: uuid.UUID) -> Alert:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_id(alerts_of(owner.pk), owner, alert_id, "alert")


def _tell(alert: Alert) -> dict[str, Any]:
    return tell_alert(alert, make_alert_url(alert))
