"""Lists by the page: a cursor holds where the page before ended, so that the last page costs as little as the first.

It is no secret and no promise: whoever makes one up gets rows of the same list, from another place.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Generic, Protocol, TypeVar

from django.db.models import Model, Q, QuerySet
from ninja import Query, Schema
from pydantic import Field

from api.rest.answers import Refused

M = TypeVar("M", bound=Model)
LIMIT_MAX = 200


class PageQuery(Schema):
    limit: int = Field(50, ge=1, le=LIMIT_MAX, description="How many at most.")
    cursor: str | None = Field(
        None,
        max_length=500,
        pattern=r"^[A-Za-z0-9_-]{40,500}$",
        description="`next` of the page before; without: the first page.",
    )


PageIn = Annotated[PageQuery, Query()]


class PageAsked(Protocol):
    """Which page of a list somebody asks for."""

    @property
    def limit(self) -> int: ...
    @property
    def cursor(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class PageOrder(Generic[M]):
    """The order of a list: by one column, then by id: newest first, or by name."""

    column: str
    descending: bool
    read: Callable[[str], Any] = str

    def key_of(self, row: M) -> str:
        value = getattr(row, self.column)
        text = value.isoformat() if isinstance(value, datetime) else str(value)
        return _pack([text, str(row.pk)])

    def take(self, rows: QuerySet[M], page: PageAsked) -> tuple[Sequence[M], str | None]:
        """The rows of the page, and the cursor of the next one. Raises Refused."""
        sign = "-" if self.descending else ""
        if page.cursor is not None:
            rows = rows.filter(self._beyond(page.cursor))
        found = list(rows.order_by(f"{sign}{self.column}", f"{sign}pk")[: page.limit + 1])
        if len(found) <= page.limit:
            return found, None
        return found[: page.limit], self.key_of(found[page.limit - 1])

    def _beyond(self, cursor: str) -> Q:
        try:
            text, key = _unpack(cursor)
            value, pk = self.read(text), uuid.UUID(key)
        except (ValueError, TypeError):
            raise Refused(
                HTTPStatus.NOT_FOUND,
                "This list has no such page: give `next` of the page before as it came.",
            ) from None
        side = "lt" if self.descending else "gt"
        # The first condition is what the index is entered by.
        return Q(**{f"{self.column}__{side}e": value}) & (
            Q(**{f"{self.column}__{side}": value}) | Q(**{f"pk__{side}": pk})
        )


BY_NAME: PageOrder[Any] = PageOrder("name", descending=False)
LAST_MADE_FIRST: PageOrder[Any] = PageOrder(
    "created_at", descending=True, read=datetime.fromisoformat
)
NEWEST_FIRST: PageOrder[Any] = PageOrder("queued_at", descending=True, read=datetime.fromisoformat)


def _pack(values: list[str]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def _unpack(cursor: str) -> tuple[str, str]:
    """Raises ValueError, TypeError."""
    try:
        raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        values = json.loads(raw)
    except (binascii.Error, UnicodeError, RecursionError) as exc:
        raise ValueError(cursor) from exc
    if not isinstance(values, list) or len(values) != 2 or "\0" in f"{values}":
        raise ValueError(cursor)
    first, second = values
    return str(first), str(second)
