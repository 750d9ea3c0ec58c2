"""`/api/workspaces/{workspace}/datasets`: what is held, version by version, and the way back to an older one."""

from __future__ import annotations

import uuid
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any

from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from ninja import Path, Router, Schema
from pydantic import ConfigDict, Field

from api.answers import Problem, Refused, not_found
from api.callers import ADMIN, VIEWER, caller_of
from api.finding import need_row
from api.numbered import NumberedIn, take_numbered
from api.numbers import Whole
from api.pages import BY_NAME, PageIn
from api.records import conflict
from datasets.models import Dataset, DatasetKind, Version
from datasets.reading import NoSuchVersion, get_version
from syncjobs.upkeep.rollback import DatasetBusy, NothingToRollBack, VersionMissing, roll_back
from workspaces.models import Workspace

NUMBER_MAX = 2_147_483_647

router = Router(tags=["datasets"])
REFUSALS = {frozenset({400, 401, 403, 404}): Problem}
CONFLICTS = {frozenset({400, 401, 403, 404, 409}): Problem}
WorkspaceIn = Annotated[str, Path(description="The workspace's id or name.")]
DatasetIn = Annotated[str, Path(description="The dataset's id or name.")]


class DatasetOut(Schema):
    """A named collection of files, or a table, in numbered versions."""

    id: uuid.UUID
    name: str
    kind: DatasetKind = Field(description="What it holds: files, or the rows of a table.")
    job: str | None = Field(description="The job that keeps it current; none where that is gone.")
    job_id: uuid.UUID | None
    current_version: int | None = Field(description="None before the first sync.")
    file_count: int | None
    size_bytes: int | None
    published_at: datetime | None
    created_at: datetime


class DatasetPage(Schema):
    items: list[DatasetOut]
    next: str | None


class VersionOut(Schema):
    """A state of the dataset that never changes."""

    number: int
    is_current: bool
    record_id: uuid.UUID | None = Field(description="The sync record that published it.")
    restores: int | None = Field(description="The version that somebody went back to with it.")
    restored_by: str
    file_count: int
    size_bytes: int
    files_added: int = Field(description="Against the version before, as the next two.")
    files_changed: int
    files_removed: int
    published_at: datetime


class VersionPage(Schema):
    items: list[VersionOut]
    next: str | None


class RollbackIn(Schema):
    model_config = ConfigDict(extra="forbid")

    version: Whole = Field(ge=1, le=NUMBER_MAX, description="The one to go back to.")


@router.get("", response={200: DatasetPage, **REFUSALS}, auth=VIEWER)
def list_datasets(request: HttpRequest, workspace: WorkspaceIn, query: PageIn) -> dict[str, Any]:
    """By name."""
    found, following = BY_NAME.take(_described(caller_of(request).workspace), query)
    return {"items": [_tell(dataset) for dataset in found], "next": following}


@router.get("/{dataset}", response={200: DatasetOut, **REFUSALS}, auth=VIEWER)
def read_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> dict[str, Any]:
    return _tell(get_dataset(request, dataset))


@router.get("/{dataset}/versions", response={200: VersionPage, **REFUSALS}, auth=VIEWER)
def list_versions(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, query: NumberedIn
) -> dict[str, Any]:
    """The newest first."""
    rows = get_dataset(request, dataset).versions.all()
    found, following = take_numbered(rows, query, "number", descending=True)
    return {"items": [_tell_version(version) for version in found], "next": following}


@router.post("/{dataset}/rollback", response={200: VersionOut, **CONFLICTS}, auth=ADMIN)
def roll_back_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, body: RollbackIn
) -> dict[str, Any]:
    """Publishes what an older version holds as the next one, which is told. The next sync brings what the source has
    by then: to stay at the older state, switch the job off first."""
    found = get_dataset(request, dataset)
    try:
        version = roll_back(found.pk, body.version, by=caller_of(request).name)
    except VersionMissing:
        raise not_found("version") from None
    except NothingToRollBack as exc:
        raise Refused(HTTPStatus.CONFLICT, f"Nothing to do: {exc}.") from None
    except DatasetBusy as exc:
        raise conflict(str(exc), exc.record) from None
    return _tell_version(version)


def get_dataset(request: HttpRequest, text: str) -> Any:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_row(_described(owner), owner, text, "dataset")


def need_version(dataset: Dataset, number: int | None) -> Version:
    """That one, or the current one. Raises Refused."""
    try:
        return get_version(dataset, number)
    except NoSuchVersion:
        raise not_found("version") from None


def _described(workspace: Workspace) -> QuerySet[Any]:
    current = Version.objects.filter(dataset=OuterRef("pk"), is_current=True)
    return (
        Dataset.objects.filter(workspace=workspace)
        .select_related("job")
        .only("name", "kind", "workspace_id", "created_at", "job__name")
        .annotate(
            current_version=Subquery(current.values("number")),
            file_count=Subquery(current.values("file_count")),
            size_bytes=Subquery(current.values("size_bytes")),
            published_at=Subquery(current.values("created_at")),
        )
    )


def _tell(dataset: Any) -> dict[str, Any]:
    job = getattr(dataset, "job", None)
    apart = ("job", "job_id")
    plain = [name for name in DatasetOut.model_fields if name not in apart]
    return {name: getattr(dataset, name) for name in plain} | {
        "job": job.name if job else None,
        "job_id": job.pk if job else None,
    }


def _tell_version(version: Version) -> dict[str, Any]:
    plain = [name for name in VersionOut.model_fields if name != "published_at"]
    return {name: getattr(version, name) for name in plain} | {"published_at": version.created_at}
