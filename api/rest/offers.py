"""`…/connectors/{connector}/entities`: what a source of rows offers, before a job is made for it."""

from __future__ import annotations

import base64
import binascii
from http import HTTPStatus
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.rest.answers import Refused, not_found
from api.rest.callers import OPERATOR
from api.rest.calling import CALLED, calling
from api.rest.connectors import ConnectorIn, get_connector
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
from datasets.models import Dataset
from farends.errors import RootMissing, UnsafeName
from syncjobs.models import SyncJob, SyncMode
from syncjobs.models.jobs import find_row_conflicts
from syncjobs.order.job import OPTIONS
from syncjobs.order.structures import Misfit

router = Router(tags=["connectors"])


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


@router.get("/{connector}/entities", response={200: OfferedEntityPage, **CALLED}, auth=OPERATOR)
def list_entities(
    request: HttpRequest,
    workspace: WorkspaceIn,
    connector: ConnectorIn,
    query: Annotated[OfferQuery, Query()],
) -> dict[str, Any]:
    """Lists tables by name, each with the key and the cursors that it could be synced with. The far end is called."""
    found = get_connector(request, connector)
    after = None if query.cursor is None else read_name(query.cursor)
    try:
        with calling(found.workspace):
            offers, has_more = list_offers(found, query.prefix, after=after, most=query.limit)
    except OffersNoRows as exc:
        raise Refused(HTTPStatus.CONFLICT, f"{exc}.") from None
    following = write_name(offers[-1].name) if has_more else None
    return {"items": [tell_offer(offer) for offer in offers], "next": following}


@router.get(
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


@router.post("/{connector}/preview", response={200: PreviewOut, **CALLED}, auth=OPERATOR)
def preview_unsaved_entity(
    request: HttpRequest, workspace: WorkspaceIn, connector: ConnectorIn, body: PreviewIn
) -> dict[str, Any]:
    """The same of what a job's `entity` could be."""
    found = get_connector(request, connector)
    if offers_rows(found):  # else the shape of what is asked for is enough
        check_entity(found, body.entity)
    return _preview(found, body.entity, body.limit)


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


def write_name(name: str) -> str:
    """The cursor of a page that ends with this name."""
    return base64.urlsafe_b64encode(name.encode()).decode().rstrip("=")


def read_name(cursor: str) -> str:
    """Raises Refused."""
    try:
        return base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (binascii.Error, UnicodeError):
        words = "This list has no such page: give `next` of the page before as it came."
        raise Refused(HTTPStatus.NOT_FOUND, words) from None
