"""`/api/workspaces/{workspace}/datasets`: what is held, version by version, and the way back to an older one."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Router

from api.rest.answers import CONFLICTS, GONE, REFUSALS, Refused, not_found
from api.rest.callers import ADMIN, VIEWER, caller_of
from api.rest.conflicts import conflict, conflict_with
from api.rest.finding import WorkspaceIn, need_row
from api.rest.numbered import NumberedIn, take_numbered
from api.rest.pages import BY_NAME, PageIn
from api.shapes.answers import Problem
from api.shapes.datasets import (
    DatasetOut,
    DatasetPage,
    RollbackIn,
    VersionOut,
    VersionPage,
    tell_dataset,
    tell_version,
)
from api.shapes.keeping import DeletedDatasetOut, RetentionOut, tell_deleted, tell_retention
from datasets.models import Dataset, DatasetKind, Version
from datasets.reading import NoSuchVersion, VersionExpired, get_version, refuse_expired
from datasets.tables.columns import TableGone
from datasets.tables.going_back import CannotGoBack
from syncjobs.configuration.dataset_deletion import DatasetInUse, delete_dataset
from syncjobs.queries.datasets import described_datasets
from syncjobs.queries.records import reread
from syncjobs.upkeep.retention import plan_retention
from syncjobs.upkeep.rollback import DatasetBusy, NothingToRollBack, VersionMissing, roll_back
from syncjobs.upkeep.rollback_elsewhere import AFTERWARDS, DestinationAway

router = Router(tags=["datasets"])
_INSTEAD = {
    DatasetKind.FILES: "tables and no files: its rows are at …/rows, and what differs at …/diff",
    DatasetKind.TABLE: "files and no tables: they are at …/versions/{number}/entries",
}
DatasetIn = Annotated[str, Path(description="The dataset's id or name.")]


@router.get("", response={200: DatasetPage, **REFUSALS}, auth=VIEWER)
def list_datasets(request: HttpRequest, workspace: WorkspaceIn, query: PageIn) -> dict[str, Any]:
    """Lists datasets by name."""
    found, following = BY_NAME.take(described_datasets(caller_of(request).workspace), query)
    return {"items": [tell_dataset(dataset) for dataset in found], "next": following}


@router.get("/{dataset}", response={200: DatasetOut, **REFUSALS}, auth=VIEWER)
def read_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> dict[str, Any]:
    return tell_dataset(get_dataset(request, dataset))


@router.delete("/{dataset}", response={200: DeletedDatasetOut, **CONFLICTS}, auth=ADMIN)
def remove_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> dict[str, Any]:
    """Deletes all versions of a dataset, its tables in the home database and its index; its job has to be switched off
    before. The job and its records stay. Tables in the database of a connector stay too, and are told."""
    found = get_dataset(request, dataset)
    try:
        return tell_deleted(found, delete_dataset(found))
    except DatasetInUse as exc:
        words = f"Dataset {found.name} was not deleted: {exc}."
        raise conflict(words, exc.record and reread(exc.record)) from None


@router.get("/{dataset}/retention", response={200: RetentionOut, **REFUSALS}, auth=VIEWER)
def read_retention(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> dict[str, Any]:
    """Tells which rule keeps the versions, and which ones the next pass removes."""
    return tell_retention(plan_retention(get_dataset(request, dataset)))


@router.get("/{dataset}/versions", response={200: VersionPage, **REFUSALS}, auth=VIEWER)
def list_versions(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, query: NumberedIn
) -> dict[str, Any]:
    """The newest first."""
    rows = get_dataset(request, dataset).versions.all()
    found, following = take_numbered(rows, query, "number", descending=True)
    return {"items": [tell_version(version) for version in found], "next": following}


@router.post(
    "/{dataset}/rollback",
    response={200: VersionOut, **CONFLICTS, **GONE, 503: Problem},
    auth=ADMIN,
)
def roll_back_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, body: RollbackIn
) -> dict[str, Any]:
    """Publishes what an older version holds as the next one, which is told. The next sync brings what the source has
    by then: to stay at the older state, switch the job off first."""
    found = get_dataset(request, dataset)
    try:
        version = roll_back(found.pk, body.version, by=caller_of(request).name)
    except VersionMissing:
        refuse_expired_version(found, body.version)
        raise not_found("version") from None
    except NothingToRollBack as exc:
        raise Refused(HTTPStatus.CONFLICT, f"Nothing to do: {exc}.") from None
    except DestinationAway as exc:
        words = f"The database of its tables cannot be worked with: {exc}. {AFTERWARDS}."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None
    except (CannotGoBack, TableGone) as exc:
        raise Refused(HTTPStatus.CONFLICT, f"Nothing was changed: {exc}.") from None
    except DatasetBusy as exc:
        raise conflict_with(str(exc), exc.record) from None
    return tell_version(version)


def get_dataset(request: HttpRequest, text: str) -> Any:
    """Raises Refused."""
    owner = caller_of(request).workspace
    return need_row(described_datasets(owner), owner, text, "dataset")


def need_kind(dataset: Dataset, kind: DatasetKind) -> None:
    """Raises Refused where the route is one for datasets of another kind."""
    if dataset.kind != kind:
        words = _INSTEAD[kind]
        raise Refused(HTTPStatus.CONFLICT, f"Dataset {dataset.name} holds {words}.")


def need_version(dataset: Dataset, number: int | None) -> Version:
    """Returns the named version, or the current one. Raises Refused."""
    try:
        return get_version(dataset, number)
    except VersionExpired as exc:
        raise _gone(exc) from None
    except NoSuchVersion:
        raise not_found("version") from None


def refuse_expired_version(dataset: Dataset, number: int) -> None:
    """Raises Refused for a version that is kept no longer."""
    try:
        refuse_expired(dataset, number)
    except VersionExpired as exc:
        raise _gone(exc) from None


def _gone(exc: VersionExpired) -> Refused:
    words = str(exc)
    return Refused(HTTPStatus.GONE, f"{words[0].upper()}{words[1:]}.")
