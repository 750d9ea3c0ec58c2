"""`…/datasets/{dataset}/versions/{number}/entries` and `…/diff`: which files a version holds, and what differs between two."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router, Schema
from pydantic import Field

from api.answers import not_found
from api.callers import VIEWER
from api.datasets import (
    NUMBER_MAX,
    REFUSALS,
    DatasetIn,
    WorkspaceIn,
    get_dataset,
    need_version,
)
from api.numbered import NumberedQuery
from datasets.diffs import Difference, EntryChange, Side, list_differences
from datasets.models import Dataset, Entry
from datasets.reading import one_moment, page_of_entries
from farends.names import PATH_BYTES_MAX

router = Router(tags=["datasets"])
NumberIn = Annotated[int, Path(ge=1, le=NUMBER_MAX)]
PATH = "Below the root. A byte 0xNN that is no UTF-8 stands as the character U+F00NN."


class EntryOut(Schema):
    """A file of a version."""

    path: str = Field(description=PATH)
    size_bytes: int
    modified_at: datetime | None = Field(description="As the source told it.")
    sha256: str = Field(description="In hexadecimal.")
    since: int = Field(description="The version in which it came to be as it is.")


class EntryPage(Schema):
    items: list[EntryOut]
    next: str | None


class SideOut(Schema):
    size_bytes: int
    modified_at: datetime | None
    sha256: str


class DifferenceOut(Schema):
    path: str = Field(description=PATH)
    change: EntryChange
    before: SideOut | None = Field(description="As the version `from` holds it.")
    after: SideOut | None = Field(description="As the version `to` holds it.")


class DifferencePage(Schema):
    items: list[DifferenceOut]
    next: str | None


class EntryQuery(NumberedQuery):
    prefix: str = Field(
        "",
        max_length=PATH_BYTES_MAX,
        pattern=r"^[^\x00]*$",
        description="Only files whose path begins so, such as `reports/2026/`.",
    )


class DiffQuery(NumberedQuery):
    from_: int = Field(alias="from", ge=1, le=NUMBER_MAX, description="A version's number.")
    to: int | None = Field(
        None, ge=1, le=NUMBER_MAX, description="Another's; the current one where left out."
    )


@router.get(
    "/{dataset}/versions/{number}/entries", response={200: EntryPage, **REFUSALS}, auth=VIEWER
)
def list_entries(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    number: NumberIn,
    query: Annotated[EntryQuery, Query()],
) -> dict[str, Any]:
    """By path, bytewise."""
    held = get_dataset(request, dataset)
    with one_moment():
        version = need_version(held, number)
        last = _path_at(held, query)
        found = page_of_entries(version, prefix=query.prefix, last=last, limit=query.limit + 1)
    shown = found[: query.limit]
    return {
        "items": [_tell(entry) for entry in shown],
        "next": str(shown[-1].pk) if len(found) > query.limit else None,
    }


@router.get("/{dataset}/diff", response={200: DifferencePage, **REFUSALS}, auth=VIEWER)
def list_diff(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[DiffQuery, Query()],
) -> dict[str, Any]:
    """By path, bytewise. A page can be shorter than `limit` and have a `next` all the same."""
    held = get_dataset(request, dataset)
    before, after = need_version(held, query.from_), need_version(held, query.to)
    found, following = list_differences(
        held.pk, before.number, after.number, last=_path_at(held, query), limit=query.limit
    )
    return {
        "items": [_tell_difference(each) for each in found],
        "next": None if following is None else str(following),
    }


def _path_at(dataset: Dataset, query: NumberedQuery) -> str:
    """Paths are too long for an address; the cursor is an entry's id. Raises Refused."""
    if query.cursor is None:
        return ""
    entry = dataset.entries.filter(pk=int(query.cursor)).only("path").first()
    if entry is None:
        raise not_found("page: give `next` of the page before as it came")
    return entry.path


def _tell(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size_bytes": entry.size_bytes,
        "modified_at": _moment(entry.modified_ns),
        "sha256": bytes(entry.sha256).hex(),
        "since": entry.since,
    }


def _tell_difference(each: Difference) -> dict[str, Any]:
    return {
        "path": each.path,
        "change": each.change,
        "before": _tell_side(each.before),
        "after": _tell_side(each.after),
    }


def _tell_side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "size_bytes": side.size_bytes,
        "modified_at": _moment(side.modified_ns),
        "sha256": side.sha256.hex(),
    }


def _moment(modified_ns: int | None) -> datetime | None:
    """None also for times that no calendar holds: a far end may claim anything."""
    if modified_ns is None:
        return None
    try:
        return datetime.fromtimestamp(modified_ns / 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
