"""Lists whose rows have numbers that only grow: the cursor is the last one's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from django.db.models import Model, QuerySet
from ninja import Query, Schema
from pydantic import Field

from api.rest.pages import LIMIT_MAX

M = TypeVar("M", bound=Model)


class NumberedQuery(Schema):
    limit: int = Field(50, ge=1, le=LIMIT_MAX, description="How many at most.")
    cursor: str | None = Field(
        None,
        max_length=18,
        pattern=r"^[0-9]{1,18}$",
        description="`next` of the page before; without: the first page.",
    )


NumberedIn = Annotated[NumberedQuery, Query()]


def take_numbered(
    rows: QuerySet[M], page: NumberedQuery, column: str, *, descending: bool = False
) -> tuple[Sequence[M], str | None]:
    """The rows of the page, and the cursor of the next one."""
    if page.cursor is not None:
        rows = rows.filter(**{f"{column}__{'lt' if descending else 'gt'}": int(page.cursor)})
    sign = "-" if descending else ""
    found = list(rows.order_by(f"{sign}{column}")[: page.limit + 1])
    if len(found) <= page.limit:
        return found, None
    return found[: page.limit], str(getattr(found[page.limit - 1], column))
