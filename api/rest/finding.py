"""What a request names, looked up in the caller's workspace; what is not there is refused with 404."""

from __future__ import annotations

import uuid
from typing import Annotated, TypeVar

from django.db.models import Model, Q, QuerySet
from ninja import Path

from api.rest.answers import not_found
from connectors.models import Connector
from syncjobs.models import SyncJob
from workspaces.lookup import find_by_id, find_ids, find_row
from workspaces.models import Workspace

M = TypeVar("M", bound=Model)
WorkspaceIn = Annotated[str, Path(description="The workspace's id or name.")]
# What the typed parts of a path name. The others are texts, and their views look them up.
PATH_NOUNS = {
    "record_id": "sync record",
    "backfill_id": "backfill",
    "alert_id": "alert",
    "number": "version",
    "path": "file",
}


def need_row(rows: QuerySet[M], owner: Workspace, called: str, noun: str, *, by: str = "name") -> M:
    """Raises Refused."""
    found = find_row(rows, owner, called, by=by)
    if found is None:
        raise not_found(noun)
    return found


def need_id(rows: QuerySet[M], owner: Workspace, called: str | uuid.UUID, noun: str) -> M:
    """Raises Refused."""
    found = find_by_id(rows, owner, called)
    if found is None:
        raise not_found(noun)
    return found


def points_to(model: type[SyncJob | Connector], owner: Workspace, called: str) -> Q:
    """A condition on rows that belong to a job or a connector."""
    column = "job_id" if model is SyncJob else "connector_id"
    return Q(**{f"{column}__in": find_ids(model._default_manager.all(), owner, called)})
