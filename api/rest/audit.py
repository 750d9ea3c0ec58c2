"""`/api/workspaces/{workspace}/audit`: who changed what."""

from __future__ import annotations

from typing import Annotated

from django.db.models import Q
from django.http import HttpRequest
from ninja import Query, Router
from pydantic import Field

from api.rest.answers import REFUSALS
from api.rest.callers import ADMIN, caller_of
from api.rest.finding import WorkspaceIn
from api.rest.numbered import NumberedQuery, take_numbered
from api.shapes.audit import AuditPage, tell_audit_entry
from api.shapes.fields import Moment
from workspaces.models import AuditEntry

router = Router(tags=["audit"])
Word = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class AuditQuery(NumberedQuery):
    actor: Word | None = None
    action: Word | None = None
    kind: Word | None = None
    object: Word | None = Field(None, description="The object's id or name.")
    since: Moment | None = None
    until: Moment | None = None


@router.get("", response={200: AuditPage, **REFUSALS}, auth=ADMIN)
def list_audit(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[AuditQuery, Query()]
) -> AuditPage:
    """The newest first. What is done with sync records stands in their events."""
    rows = AuditEntry.objects.filter(workspace=caller_of(request).workspace)
    for name in ("actor", "action", "kind"):
        if (word := getattr(query, name)) is not None:
            rows = rows.filter(**{name: word})
    if query.object is not None:
        rows = rows.filter(Q(object_id=query.object) | Q(object_name=query.object))
    if query.since is not None:
        rows = rows.filter(at__gte=query.since)
    if query.until is not None:
        rows = rows.filter(at__lt=query.until)
    found, following = take_numbered(rows, query, "id", descending=True)
    return AuditPage(items=[tell_audit_entry(row) for row in found], next=following)
