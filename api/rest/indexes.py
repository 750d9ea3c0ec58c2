"""`…/datasets/{dataset}/index`: how the search index of a dataset stands, what it lacks and why, and making it again."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Status

from api.rest.answers import CONFLICTS, REFUSALS, Refused
from api.rest.callers import OPERATOR, VIEWER
from api.rest.datasets import DatasetIn, get_dataset
from api.rest.finding import WorkspaceIn
from api.rest.keyed import KeyedQuery, no_such_page, pack_key, unpack_key
from api.shapes.indexes import (
    DatasetIndexOut,
    IndexTroublePage,
    tell_index,
    tell_trouble,
)
from datasets.models import Dataset
from search.indexing.asking import IndexIsOff, NothingToIndex, read_index, remake_index
from search.indexing.troubles import TroubleSource, list_troubles
from search.querying.states import read_state

router = Router(tags=["search"])
_ID_DIGITS = 18  # of the numbers of rows


@router.get("/{dataset}/index", response={200: DatasetIndexOut, **REFUSALS}, auth=VIEWER)
def read_dataset_index(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> dict[str, Any]:
    return _tell(get_dataset(request, dataset))


@router.get("/{dataset}/index/troubles", response={200: IndexTroublePage, **REFUSALS}, auth=VIEWER)
def list_index_troubles(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[KeyedQuery, Query()],
) -> dict[str, Any]:
    """Lists files without a text, then parts of files without a vector."""
    found = get_dataset(request, dataset)
    source, after = TroubleSource.TEXT, 0
    if query.cursor is not None:
        source, after = _read_place(query.cursor)
    rows = list_troubles(found.pk, source=source, after=after, most=query.limit + 1)
    page = rows[: query.limit]
    following = None
    if len(rows) > query.limit:
        following = pack_key([page[-1].source, str(page[-1].id)])
    return {"items": [tell_trouble(row) for row in page], "next": following}


@router.post("/{dataset}/reindex", response={202: DatasetIndexOut, **CONFLICTS}, auth=OPERATOR)
def reindex_dataset(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn
) -> Status[dict[str, Any]]:
    """Has every text made again from the files that are held. What is there serves until then, and no text that a model
    knows is sent to it again."""
    found = get_dataset(request, dataset)
    try:
        remake_index(found)
    except (IndexIsOff, NothingToIndex) as exc:
        words = f"Dataset {found.name} has no index: {exc}."
        raise Refused(HTTPStatus.CONFLICT, words) from None
    return Status(202, _tell(found))


def _tell(dataset: Dataset) -> dict[str, Any]:
    return tell_index(read_index(dataset), read_state(dataset.workspace_id, [dataset.pk]))


def _read_place(cursor: str) -> tuple[TroubleSource, int]:
    """Raises Refused."""
    (source, *_), (after, *_) = unpack_key(cursor, 1)
    if source not in list(TroubleSource) or not (after.isascii() and after.isdigit()):
        raise no_such_page()
    if len(after) > _ID_DIGITS:
        raise no_such_page()
    return TroubleSource(source), int(after)
