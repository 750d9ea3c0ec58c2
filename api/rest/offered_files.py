"""`…/datasets/{dataset}/entities`: files of a dataset as tables, before a job is made that reads them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router
from pydantic import Field

from api.rest.answers import Refused, not_found
from api.rest.callers import OPERATOR
from api.rest.calling import CALLED, calling
from api.rest.datasets import DatasetIn, get_dataset, need_kind, need_version
from api.rest.finding import WorkspaceIn
from api.rest.offers import OfferQuery, PreviewQuery, check_entity, read_name, write_name
from api.shapes.offers import OfferedEntityPage, PreviewIn, PreviewOut, tell_offer, tell_preview
from datasets.models import Dataset, DatasetKind, Version
from farends.errors import RootMissing, UnsafeName
from farends.tabular.entity import FileFormat
from store.errors import StoreError
from syncjobs.queries.offered_files import list_offered_files, name_file, preview_files

router = Router(tags=["datasets"])
_FORMAT = Field(None, description="Of the files. Left out: what the end of each name says.")


class FileOfferQuery(OfferQuery):
    format: FileFormat | None = _FORMAT


class FilePreviewQuery(PreviewQuery):
    format: FileFormat | None = _FORMAT


@router.get("/{dataset}/entities", response={200: OfferedEntityPage, **CALLED}, auth=OPERATOR)
def list_file_entities(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[FileOfferQuery, Query()],
) -> dict[str, Any]:
    """Lists files of the current version that can be read as tables, by path, each with the columns that it would
    have."""
    found = get_dataset(request, dataset)
    after = None if query.cursor is None else read_name(query.cursor)
    version = _need_files(found)
    with _looking(found):
        offers, has_more = list_offered_files(
            version, query.format, query.prefix, after=after, most=query.limit
        )
    following = write_name(offers[-1].name) if has_more else None
    return {"items": [tell_offer(offer) for offer in offers], "next": following}


@router.get(
    "/{dataset}/entities/{path:entity}/preview",
    response={200: PreviewOut, **CALLED},
    auth=OPERATOR,
)
def preview_file_entity(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    entity: Annotated[str, Path(description="The path of a file, percent-encoded.")],
    query: Annotated[FilePreviewQuery, Query()],
) -> dict[str, Any]:
    """The first rows of a file, and the types that its columns would get. Nothing of them is stored."""
    found = get_dataset(request, dataset)
    version = _need_files(found)
    with _looking(found):
        spec = name_file(entity, query.format)
        return tell_preview(preview_files(version, spec, query.limit))


@router.post("/{dataset}/preview", response={200: PreviewOut, **CALLED}, auth=OPERATOR)
def preview_unsaved_files(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, body: PreviewIn
) -> dict[str, Any]:
    """The same of what a job's `entity` could be: all files that a pattern matches, read as it says."""
    found = get_dataset(request, dataset)
    version = _need_files(found)
    check_entity(found, body.entity)
    with _looking(found):
        return tell_preview(preview_files(version, body.entity, body.limit))


def _need_files(dataset: Dataset) -> Version:
    """Raises Refused."""
    need_kind(dataset, DatasetKind.FILES)
    return need_version(dataset, None)


@contextmanager
def _looking(dataset: Dataset) -> Iterator[None]:
    """While files are read as tables: so many looks at once as far ends are called. Raises Refused."""
    try:
        with calling(dataset.workspace):
            yield
    except (UnsafeName, RootMissing):
        raise not_found("entity") from None
    except (StoreError, OSError) as exc:
        words = f"A file cannot be read: {exc}."
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, words) from None
