"""`…/datasets/{dataset}/versions/{number}/entries` and `…/diff`: which files a version holds, and which files or rows differ
between two."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Path, Query, Router
from pydantic import Field

from api.rest.answers import CONFLICTS, GONE
from api.rest.callers import VIEWER
from api.rest.datasets import DatasetIn, get_dataset, need_kind, need_version
from api.rest.finding import WorkspaceIn
from api.rest.keyed import no_such_page
from api.rest.numbered import NumberedQuery
from api.rest.tables import ANSWERS, ChangeQuery, page_of_row_changes
from api.shapes.contents import DifferencePage, EntryPage, tell_difference, tell_entry
from api.shapes.datasets import NUMBER_MAX
from api.shapes.tables import RowChangePage
from datasets.diffs import list_differences
from datasets.models import Dataset, DatasetKind
from datasets.reading import one_moment, page_of_entries
from farends.names import PATH_BYTES_MAX

router = Router(tags=["datasets"])
ID_DIGITS_MAX = 18
NumberIn = Annotated[int, Path(ge=1, le=NUMBER_MAX)]


class EntryQuery(NumberedQuery):
    prefix: str = Field(
        "",
        max_length=PATH_BYTES_MAX,
        pattern=r"^[^\x00]*$",
        description="Only files whose path begins so, such as `reports/2026/`.",
    )


class DiffQuery(ChangeQuery):
    from_: int = Field(alias="from", ge=1, le=NUMBER_MAX, description="A version's number.")
    to: int | None = Field(
        None, ge=1, le=NUMBER_MAX, description="Another's; the current one where left out."
    )


@router.get(
    "/{dataset}/versions/{number}/entries",
    response={200: EntryPage, **CONFLICTS, **GONE},
    auth=VIEWER,
)
def list_entries(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    number: NumberIn,
    query: Annotated[EntryQuery, Query()],
) -> dict[str, Any]:
    """Lists entries by path, bytewise."""
    held = get_dataset(request, dataset)
    need_kind(held, DatasetKind.FILES)
    with one_moment():
        version = need_version(held, number)
        last = _path_at(held, query.cursor)
        found = page_of_entries(version, prefix=query.prefix, last=last, limit=query.limit + 1)
    shown = found[: query.limit]
    return {
        "items": [tell_entry(entry) for entry in shown],
        "next": str(shown[-1].pk) if len(found) > query.limit else None,
    }


@router.get(
    "/{dataset}/diff", response={200: DifferencePage | RowChangePage, **ANSWERS}, auth=VIEWER
)
def list_diff(
    request: HttpRequest,
    workspace: WorkspaceIn,
    dataset: DatasetIn,
    query: Annotated[DiffQuery, Query()],
) -> dict[str, Any]:
    """Lists differences: of files by path, bytewise; of rows by table and key. A page can be shorter than `limit` and have a
    `next` all the same. `table` and `change` choose among rows."""
    held = get_dataset(request, dataset)
    before, after = need_version(held, query.from_), need_version(held, query.to)
    if held.kind == DatasetKind.TABLE:
        return page_of_row_changes(held, before.number, after.number, query)
    if query.table is not None or query.change is not None:
        need_kind(held, DatasetKind.TABLE)
    found, following = list_differences(
        held.pk,
        before.number,
        after.number,
        last=_path_at(held, query.cursor),
        limit=query.limit,
    )
    return {
        "items": [tell_difference(each) for each in found],
        "next": None if following is None else str(following),
    }


def _path_at(dataset: Dataset, cursor: str | None) -> str:
    """Paths are too long for an address; the cursor is an entry's id. Raises Refused."""
    if cursor is None:
        return ""
    entry = None
    if cursor.isdigit() and len(cursor) <= ID_DIGITS_MAX:
        entry = dataset.entries.filter(pk=int(cursor)).only("path").first()
    if entry is None:
        raise no_such_page()
    return entry.path
