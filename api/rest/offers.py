"""`…/connectors/{connector}/entities` and `…/datasets/{dataset}/entities`: what a source of rows offers, and which files of a
dataset can be read as tables, before a job is made for them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.rest.answers import Refused, not_found
from api.rest.callers import OPERATOR
from api.rest.calling import CALLED, calling
from api.rest.connectors import ConnectorIn, get_connector
from api.rest.datasets import DatasetIn, get_dataset, need_kind, need_version
from api.rest.finding import WorkspaceIn
from api.rest.pages import LIMIT_MAX
from api.shapes.offers import (
    PREVIEW_MAX,
    OfferedEntityPage,
    PreviewIn,
    PreviewOut,
    tell_offer,
    tell_preview,
)
from connectors.models import Connector
from connectors.offers import OffersNoRows, list_offers, offers_rows, preview_offer
from datasets.models import Dataset, DatasetKind, Version
from farends.errors import RootMissing, UnsafeName
from farends.rows.contract import Entity
from farends.tabular.entity import FileFormat
from store.errors import StoreError
from syncjobs.models import SyncJob, SyncMode
from syncjobs.models.jobs import find_row_conflicts
from syncjobs.order.job import OPTIONS
from syncjobs.order.structures import Misfit
from syncjobs.queries.offered_files import list_offered_files, name_file, preview_files

connector_router = Router(tags=["connectors"])
dataset_router = Router(tags=["datasets"])
_FORMAT = Field(None, description="Of the files. Left out: what the end of each name says.")


class OfferQuery(Schema):
    prefix: str = Field("", max_length=1000, pattern=r"^[^\x00]*$", description="Of their names.")
    limit: int = Field(50, ge=1, le=LIMIT_MAX, description="How many at most.")
    cursor: str | None = Field(
        None,
        max_length=8_000,
        pattern=r"^[A-Za-z0-9_-]{2,8000}$",
        description="`next` of the page before; without: the first page.",
    )


class PreviewQuery(Schema):
    limit: int = Field(20, ge=1, le=PREVIEW_MAX, description="How many rows at most.")


class FileOfferQuery(OfferQuery):
    format: FileFormat | None = _FORMAT


class FilePreviewQuery(PreviewQuery):
    format: FileFormat | None = _FORMAT


@connector_router.get(
    "/{connector}/entities", response={200: OfferedEntityPage, **CALLED}, auth=OPERATOR
)
def list_entities(
    request: HttpRequest,
    workspace: WorkspaceIn,
    connector: ConnectorIn,
    query: Annotated[OfferQuery, Query()],
) -> dict[str, Any]:
    """Lists tables by name, each with the key and the cursors that it could be synced with. The far end is called."""
    found = get_connector(request, connector)
    after = None if query.cursor is None else _read_name(query.cursor)
    try:
        with calling(found.workspace):
            offers, has_more = list_offers(found, query.prefix, after=after, most=query.limit)
    except OffersNoRows as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    return _tell_page(offers, has_more)


@connector_router.get(
    "/{connector}/entities/{path:entity}/preview",
    response={200: PreviewOut, **CALLED},
    auth=OPERATOR,
)
def preview_entity(
    request: HttpRequest,
    workspace: WorkspaceIn,
    connector: ConnectorIn,
    entity: Annotated[str, Path(description="Its name, percent-encoded.")],
    query: Annotated[PreviewQuery, Query()],
) -> dict[str, Any]:
    """The first rows, and the types that their columns would get. Nothing of them is stored."""
    found = get_connector(request, connector)
    if not offers_rows(found):
        raise not_found("entity")
    return _preview(found, entity, query.limit)


@connector_router.post("/{connector}/preview", response={200: PreviewOut, **CALLED}, auth=OPERATOR)
def preview_unsaved_entity(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: PreviewIn
) -> dict[str, Any]:
    """The same of what a job's `entity` could be."""
    found = get_connector(request, connector)
    if offers_rows(found):  # else the shape of what is asked for is enough
        check_entity(found, body.entity)
    return _preview(found, body.entity, body.limit)


@dataset_router.get(
    "/{dataset}/entities", response={200: OfferedEntityPage, **CALLED}, auth=OPERATOR
)
def list_file_entities(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[FileOfferQuery, Query()],
) -> dict[str, Any]:
    """Lists files of the current version that can be read as tables, by path, each with the columns that it would
    have."""
    found = get_dataset(request, dataset)
    after = None if query.cursor is None else _read_name(query.cursor)
    version = _need_files(found)
    with _looking(found):
        offers, has_more = list_offered_files(
            version, query.format, query.prefix, after=after, most=query.limit
        )
    return _tell_page(offers, has_more)


@dataset_router.get(
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


@dataset_router.post("/{dataset}/preview", response={200: PreviewOut, **CALLED}, auth=OPERATOR)
def preview_unsaved_files(
    request: HttpRequest, workspace: WorkspaceIn, dataset: DatasetIn, body: PreviewIn
) -> dict[str, Any]:
    """The same of what a job's `entity` could be: all files that a pattern matches, read as it says."""
    found = get_dataset(request, dataset)
    version = _need_files(found)
    check_entity(found, body.entity)
    with _looking(found):
        return tell_preview(preview_files(version, body.entity, body.limit))


def check_entity(owner: Connector | Dataset, entity: Any) -> None:
    """Whether a job could name it so. Raises Refused."""
    if entity is None:
        raise _misfit(Misfit("is required"))
    try:
        OPTIONS["entity"].read(entity)
    except Misfit as exc:
        raise _misfit(exc) from None
    source = "connector" if isinstance(owner, Connector) else "source_dataset"
    job = SyncJob(entity=entity, sync_mode=SyncMode.FULL, **{source: owner})
    for place, words in find_row_conflicts(job).items():
        raise _misfit(Misfit(words, place[1:]))


def _misfit(exc: Misfit) -> Refused:
    name = ".".join(("entity", *exc.place))
    return Refused(HTTPStatus.BAD_REQUEST, f"{name}: {exc}.", errors={name: [str(exc)]})


def _preview(connector: Connector, entity: Any, limit: int) -> dict[str, Any]:
    """Raises Refused."""
    try:
        with calling(connector.workspace):
            return tell_preview(preview_offer(connector, entity, limit))
    except OffersNoRows as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    except (UnsafeName, RootMissing):
        raise not_found("entity") from None


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


def _tell_page(offers: Sequence[Entity], has_more: bool) -> dict[str, Any]:
    following = _write_name(offers[-1].name) if has_more else None
    return {"items": [tell_offer(offer) for offer in offers], "next": following}


def _write_name(name: str) -> str:
    """The cursor of a page that ends with this name."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def _read_name(cursor: str) -> str:
    """Raises Refused."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError):
        words = "This list has no such page: give `next` of the page before as it came."
        raise Refused(HTTPStatus.NOT_FOUND, words) from None
