"""Lists that go on where the page before ended, instead of counting past what they skip: page 5,000 costs what page 1 does.

The address holds the last row of the page before (`after`), or the first one of the page behind (`before`), as the
values that the list is ordered by. An address that does not read as such shows the first page.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.core.exceptions import FieldDoesNotExist, ValidationError
from django.core.paginator import Page
from django.db.models import F, Model, Q, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.db.models.expressions import OrderBy
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

AFTER, BEFORE = "after", "before"
COUNTED_MAX = 10_000  # rows; of more the list says "more than"


class KeysetPaginator(InfinitePaginator):  # type: ignore[misc]  # unfold has no types
    """Counts nothing; its template leads by `after` and `before`. By number it has one page: the first rows."""

    template_name = "console/keyset_pages.html"

    def page(self, number: int | str) -> Page[Any]:
        return Page(self.object_list[: self.per_page], 1, self)

    @property
    def num_pages(self) -> int:
        return 1


@dataclass(frozen=True, slots=True)
class KeysetColumn:
    """One column that a list is ordered by. PostgreSQL takes NULL for larger than every value."""

    lookup: str
    descending: bool

    @property
    def order(self) -> str:
        return f"-{self.lookup}" if self.descending else self.lookup

    def reversed(self) -> KeysetColumn:
        return KeysetColumn(self.lookup, not self.descending)

    def equal(self, value: Any) -> Q:
        return Q(**{f"{self.lookup}__isnull": True}) if value is None else Q(**{self.lookup: value})

    def beyond(self, value: Any) -> Q | None:
        """What stands behind the value; None where nothing does."""
        if value is None:
            return Q(**{f"{self.lookup}__isnull": False}) if self.descending else None
        if self.descending:
            return Q(**{f"{self.lookup}__lt": value})
        return Q(**{f"{self.lookup}__gt": value}) | self._empty()

    def not_before(self, value: Any) -> Q:
        """What stands at the value or behind it: an index is entered by that."""
        if value is None:
            return Q() if self.descending else self._empty()
        if self.descending:
            return Q(**{f"{self.lookup}__lte": value})
        return Q(**{f"{self.lookup}__gte": value}) | self._empty()

    def _empty(self) -> Q:
        return Q(**{f"{self.lookup}__isnull": True})


class KeysetChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """`newer_url` and `older_url` lead to the pages before and behind. `result_count` is that of the whole list, at most
    one more than `COUNTED_MAX`, or that of the page where the admin counts nothing."""

    newer_url = older_url = ""
    _after = _before = ""

    def get_queryset(
        self, request: HttpRequest, exclude_parameters: list[str] | None = None
    ) -> QuerySet[Any]:
        """The place is no filter, and another search or order does not begin there."""
        for params in (self.params, self.filter_params):
            params.pop(AFTER, None)
            params.pop(BEFORE, None)
        rows: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        return rows

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        if not self.sortable_by and self.model_admin.ordering:
            return list(self.model_admin.ordering)
        ordering: list[Any] = super().get_ordering(request, queryset)
        return ordering

    def get_results(self, request: HttpRequest) -> None:
        """One row more than a page tells whether there is another one."""
        columns = find_order_columns(self.model, self.queryset.query.order_by)
        after, before = request.GET.get(AFTER, ""), request.GET.get(BEFORE, "")
        backwards = bool(before)
        rows, place = self._find_beyond(columns, before or after, backwards=backwards)
        found = list(rows[: self.list_per_page + 1])
        has_more = len(found) > self.list_per_page
        found = found[: self.list_per_page]
        if backwards:
            found.reverse()
        is_whole = place is None and not has_more
        self.result_list = found
        self.result_count = len(found) if is_whole else self._count(len(found))
        self.full_result_count = None
        self.show_full_result_count, self.show_admin_actions = False, bool(found)
        self.can_show_all, self.multi_page = False, True
        self.paginator = self.model_admin.get_paginator(request, found, self.list_per_page)
        if found and (has_more or backwards):
            self.older_url = self._lead(AFTER, write_place(found[-1], columns))
        if found and place is not None and (has_more or not backwards):
            self.newer_url = self._lead(BEFORE, write_place(found[0], columns))

    @property
    def may_take_all(self) -> bool:
        """Whether there are rows beyond this page that an action could be done to."""
        return bool(self.model_admin.bulk_acts and (self.older_url or self.newer_url))

    @property
    def is_counted(self) -> bool:
        return bool(self.model_admin.counts_rows)

    @property
    def has_more_than_counted(self) -> bool:
        return bool(self.result_count > COUNTED_MAX)

    @property
    def counted_max(self) -> int:
        return COUNTED_MAX

    def _count(self, shown: int) -> int:
        if not self.is_counted:
            return shown
        return int(self.queryset.order_by().values("pk")[: COUNTED_MAX + 1].count())

    def _find_beyond(
        self, columns: Sequence[KeysetColumn], text: str, *, backwards: bool
    ) -> tuple[QuerySet[Any], Sequence[Any] | None]:
        """The rows from the place on, and the place; the whole list where the text is no place of it."""
        ways = [column.reversed() for column in columns] if backwards else columns
        rows = self.queryset.order_by(*(column.order for column in ways))
        place = _read_place(text, columns)
        if place is not None:
            try:
                return rows.filter(_first(ways, place), _beyond(ways, place)), place
            except (ValueError, TypeError, ValidationError):
                place = None
        if backwards:
            rows = self.queryset.order_by(*(column.order for column in columns))
        return rows, place

    def _lead(self, name: str, value: str) -> str:
        return str(self.get_query_string({name: value}))


def find_order_columns(model: type[Model], ordering: Sequence[Any]) -> list[KeysetColumn]:
    """The columns of an order, the key last: it breaks ties."""
    columns = [_read_column(model, part) for part in ordering]
    keys = {"pk", str(getattr(model._meta.pk, "name", "pk"))}
    kept = [column for column in columns if column.lookup not in keys]
    named = [column for column in columns if column.lookup in keys]
    if not named:
        named = [KeysetColumn("pk", columns[0].descending if columns else False)]
    return [*kept, KeysetColumn("pk", named[0].descending)]


def _read_column(model: type[Model], part: Any) -> KeysetColumn:
    if isinstance(part, OrderBy) and isinstance(part.expression, F):
        name: str = part.expression.name  # type: ignore[attr-defined]  # the stubs leave it out
        return _follow(model, name, descending=part.descending)
    text = str(part)
    return _follow(model, text.removeprefix("-"), descending=text.startswith("-"))


def _follow(model: type[Model], lookup: str, *, descending: bool) -> KeysetColumn:
    """A relation is ordered by what its rows are ordered by, and else by its key, as Django does."""
    try:
        field = model._meta.get_field(lookup)
    except FieldDoesNotExist:
        return KeysetColumn(lookup, descending)
    related = field.related_model if field.is_relation else None
    if related is None or isinstance(related, str):
        return KeysetColumn(lookup, descending)
    first = next(iter(related._meta.ordering or ()), "pk")
    if not isinstance(first, str):
        return KeysetColumn(lookup, descending)
    falls = descending != first.startswith("-")
    return KeysetColumn(f"{lookup}{LOOKUP_SEP}{first.removeprefix('-')}", falls)


def _first(ways: Sequence[KeysetColumn], place: Sequence[Any]) -> Q:
    return ways[0].not_before(place[0])


def _beyond(ways: Sequence[KeysetColumn], place: Sequence[Any]) -> Q:
    """A row is behind the place where its first value that differs is."""
    found, same = Q(pk__in=[]), Q()
    for way, value in zip(ways, place, strict=True):
        if (further := way.beyond(value)) is not None:
            found |= same & further
        same &= way.equal(value)
    return found


def write_place(row: Any, columns: Sequence[KeysetColumn]) -> str:
    """Where a row stands in a list that is ordered by these columns; in another order it is no place."""
    values = [_plain(_value_of(row, column.lookup)) for column in columns]
    return base64.urlsafe_b64encode(json.dumps([_name_order(columns), *values]).encode()).decode()


def _name_order(columns: Sequence[KeysetColumn]) -> str:
    return ",".join(column.order for column in columns)


def _value_of(row: Any, lookup: str) -> Any:
    for part in lookup.split(LOOKUP_SEP):
        row = getattr(row, part, None)
    return row


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _read_place(text: str, columns: Sequence[KeysetColumn]) -> Sequence[Any] | None:
    if not text:
        return None
    try:
        values = json.loads(base64.urlsafe_b64decode(text.encode()))
        if not isinstance(values, list) or len(values) != len(columns) + 1:
            return None
        if values.pop(0) != _name_order(columns):
            return None
        for value in values:
            if isinstance(value, (list, dict)) or "\0" in str(value):
                return None
            str(value).encode()
    except (ValueError, RecursionError):
        return None
    return values
