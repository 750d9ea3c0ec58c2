"""`…/search` and `…/datasets/{dataset}/search`: what was synced, found by words and by meaning."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import BeforeValidator, Field

from api.rest.answers import REFUSALS, Refused, not_found
from api.rest.callers import VIEWER, caller_of
from api.rest.datasets import DatasetIn, get_dataset
from api.rest.finding import WorkspaceIn
from api.shapes.fields import Called
from api.shapes.search import SearchAnswerOut, tell_answer
from farends.names import PATH_BYTES_MAX
from search.core.asking import CHARACTERS_MAX
from search.querying.question import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    InvalidQuestion,
    NoSuchDataset,
    Question,
    SearchMode,
)
from search.querying.search import AGE_MAX_S, CURSOR_PATTERN, find_datasets, search

router = Router(tags=["search"])
dataset_router = Router(tags=["search"])


def _trim(value: Any) -> Any:
    return value.strip() if isinstance(value, str) else value


Suffix = Annotated[str, Field(max_length=31, pattern=r"^\.[^/\x00]{1,30}$")]


class DatasetSearchQuery(Schema):
    q: Annotated[str, BeforeValidator(_trim)] = Field(
        min_length=1,
        max_length=CHARACTERS_MAX,
        pattern=r"^[^\x00]*[^\x00\s][^\x00]*$",
        description='Words, `"a phrase"` that a hit holds as it stands, `-word` that no hit holds.',
    )
    prefix: str = Field(
        "",
        max_length=PATH_BYTES_MAX,
        pattern=r"^[^\x00]*$",
        description="Only files whose path begins so, such as `reports/2026/`.",
    )
    type: list[Suffix] = Field([], max_length=50, description="Only such files: `.md`, `.pdf`.")
    newer_than_s: float | None = Field(
        None, ge=0, le=AGE_MAX_S, description="Only what was fetched at most so many seconds ago."
    )
    mode: SearchMode = Field(SearchMode.BOTH, description="Which lists are made.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="How many at most.")
    cursor: str | None = Field(
        None,
        max_length=3,
        pattern=CURSOR_PATTERN,
        description="`next` of the page before; without: the first page.",
    )


class SearchQuery(DatasetSearchQuery):
    dataset: list[Called] = Field(
        [], max_length=100, description="Only these datasets, by id or name."
    )


@router.get("/search", response={200: SearchAnswerOut, **REFUSALS}, auth=VIEWER)
def search_workspace(
    request: HttpRequest, workspace: WorkspaceIn, query: Annotated[SearchQuery, Query()]
) -> dict[str, Any]:
    """Searches the current files of all datasets, the best first: at most 1,000 hits deep. What was removed or changed
    is not found any more from the moment its version is published."""
    try:
        datasets = find_datasets(caller_of(request).workspace, query.dataset)
    except NoSuchDataset:
        raise not_found("dataset") from None
    return _answer(request, query, [dataset.pk for dataset in datasets])


@dataset_router.get("/{dataset}/search", response={200: SearchAnswerOut, **REFUSALS}, auth=VIEWER)
def search_dataset(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[DatasetSearchQuery, Query()],
) -> dict[str, Any]:
    """The same in one dataset."""
    found = get_dataset(request, dataset)
    return _answer(request, query, [found.pk])


def _answer(
    request: HttpRequest, query: DatasetSearchQuery, dataset_ids: Sequence[uuid.UUID]
) -> dict[str, Any]:
    question = Question(
        q=query.q,
        dataset_ids=tuple(dataset_ids),
        prefix=query.prefix,
        types=tuple(query.type),
        newer_than_s=query.newer_than_s,
        mode=query.mode,
        limit=query.limit,
        cursor=query.cursor,
    )
    try:
        return tell_answer(search(caller_of(request).workspace, question))
    except InvalidQuestion as exc:
        raise Refused(
            HTTPStatus.BAD_REQUEST,
            f"The request does not fit: {exc.field}.",
            errors={exc.field: [str(exc)]},
        ) from None
