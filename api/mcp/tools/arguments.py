"""What arguments of several tools share: how they are written, and the rows that they name."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from msgspec import Meta
from pydantic import TypeAdapter, ValidationError

from api.mcp.caller import McpCaller
from api.mcp.tools.tool import Arguments, ToolFailed, ToolList, bad_argument, not_there
from api.rest.answers import Refused
from api.rest.finding import need_row
from api.rest.keyed import unpack_key
from api.rest.pages import PageOrder
from api.shapes.datasets import NUMBER_MAX
from api.shapes.fields import Moment
from connectors.models import Connector
from datasets.models import Dataset, DatasetKind, Version
from datasets.reading import NoSuchVersion, VersionExpired, get_version
from outbox.models import Stream
from syncjobs.configuration.single_jobs import find_called_job
from syncjobs.models import SyncJob

NAME_MAX = 1_000  # what is longer names nothing; a dataset of tables may be called with one of them

Named = Annotated[str, Meta(max_length=NAME_MAX, description="An id or a name.")]
RecordId = Annotated[str, Meta(max_length=100, description="A sync record's id.")]
Limit = Annotated[int, Meta(ge=1, le=100, description="How many at most.")]
Cursor = Annotated[
    str,
    Meta(
        max_length=20_000,
        description="`next` of the page before; without: the first page. The other arguments stay as they were.",
    ),
]
Number = Annotated[
    int,
    Meta(ge=1, le=NUMBER_MAX, description="A version's number; without: the current one."),
]
Instant = Annotated[
    str,
    Meta(
        max_length=50,
        description="An ISO 8601 time such as 2026-12-24T18:00:00Z; without an offset: UTC.",
    ),
]
_MOMENT: TypeAdapter[datetime] = TypeAdapter(Moment)


class Paged(Arguments):
    """A page of a list."""

    limit: Limit = 20
    cursor: Cursor | None = None


def take_page(
    order: PageOrder[Any], rows: QuerySet[Any], page: Paged
) -> tuple[list[Any], str | None]:
    """The rows of the page, and the cursor of the next one. Raises ToolFailed."""
    try:
        found, following = order.take(rows, page)
    except Refused as exc:
        raise bad_argument("cursor", str(exc).rstrip(".")) from None
    return list(found), following


def list_rows_of(
    order: PageOrder[Any], rows: list[Any], told: list[Any], following: str | None
) -> ToolList:
    """What is told of the rows of a page."""
    return ToolList(told, following, lambda at: order.key_of(rows[at]))


def read_page_cursor(cursor: str, numbers: int) -> tuple[list[int], list[str]]:
    """As `unpack_key`. Raises ToolFailed."""
    try:
        return unpack_key(cursor, numbers)
    except (Refused, ValueError) as exc:
        raise no_such_cursor() from exc


def no_such_cursor() -> ToolFailed:
    return bad_argument(
        "cursor", "this list has no such page: give `next` of the page before as it came"
    )


def read_instant(argument: str, text: str) -> datetime:
    """As REST reads it. Raises ToolFailed."""
    try:
        return _MOMENT.validate_python(text)
    except ValidationError:
        words = "give an ISO 8601 time such as 2026-12-24T18:00:00Z"
        raise bad_argument(argument, words) from None


def need_connector_of(caller: McpCaller, called: str) -> Connector:
    """Raises Refused."""
    rows = Connector.objects.select_related("workspace")
    return need_row(rows, caller.workspace, called, "connector")


def need_job_of(caller: McpCaller, called: str) -> SyncJob:
    """With its connector, dataset and workspace. Raises ToolFailed."""
    found = find_called_job(caller.workspace, called)
    if found is None:
        raise not_there("sync job")
    return found


def need_stream_of(caller: McpCaller, called: str) -> Stream:
    """Raises Refused."""
    rows = Stream.objects.select_related("client", "workspace")
    return need_row(rows, caller.workspace, called, "stream")


def need_dataset_of(caller: McpCaller, called: str, kind: DatasetKind) -> Dataset:
    """Raises Refused, ToolFailed where it holds something else."""
    found = need_row(Dataset.objects.all(), caller.workspace, called, "dataset")
    if found.kind != kind:
        raise bad_argument("dataset", _INSTEAD[kind])
    return found


_INSTEAD = {
    DatasetKind.FILES: "this one holds tables and no files: query_table reads their rows",
    DatasetKind.TABLE: "this one holds files and no tables: list_files and read_file read them",
}


def need_version_of(dataset: Dataset, number: int | None) -> Version:
    """The named version, or the current one. Raises ToolFailed."""
    try:
        return get_version(dataset, number)
    except VersionExpired as exc:
        raise ToolFailed("not_found", f"{exc}.") from None
    except NoSuchVersion:
        raise not_there("version") from None
