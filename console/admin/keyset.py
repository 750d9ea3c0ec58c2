"""Lists that go on where the page before ended, instead of counting past what they skip: page 5,000 costs what page 1 does.

The address holds the last row of the page before (`after`), or the first one of the page behind (`before`), as the
values that the list is ordered by. An address that does not read as such shows the first page.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Field, Q, QuerySet
from django.http import HttpRequest
from unfold.paginator import InfinitePaginator
from unfold.views import ChangeList

from console.admin.scoped import ReadOnlyAdmin

AFTER, BEFORE = "after", "before"


class KeysetPaginator(InfinitePaginator):  # type: ignore[misc]  # unfold has no types
    """Counts nothing; its template leads by `after` and `before`."""

    template_name = "console/keyset_pages.html"


class KeysetChangeList(ChangeList):  # type: ignore[misc]  # unfold has no types
    """For an admin whose `ordering` has one column with a minus, that never changes in a row; the key breaks ties."""

    newer_url = older_url = ""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        self._after, self._before = request.GET.get(AFTER, ""), request.GET.get(BEFORE, "")
        super().__init__(request, *args, **kwargs)

    def get_filters_params(self, params: Any = None) -> dict[str, Any]:
        kept: dict[str, Any] = super().get_filters_params(params)
        return {name: value for name, value in kept.items() if name not in (AFTER, BEFORE)}

    def get_results(self, request: HttpRequest) -> None:
        """One row more than a page tells whether there is another one."""
        column = self.model_admin.ordering[0].removeprefix("-")
        backwards = bool(self._before)
        rows = self.queryset.order_by(
            column if backwards else f"-{column}", "pk" if backwards else "-pk"
        )
        place = self._read(column, self._before or self._after)
        if place is not None:
            rows = _beyond(rows, column, place, backwards=backwards)
        found = list(rows[: self.list_per_page + 1])
        has_more = len(found) > self.list_per_page
        found = found[: self.list_per_page]
        if backwards:
            found.reverse()
        self.result_list = found
        self.result_count = len(found)
        self.full_result_count = None
        self.show_full_result_count, self.show_admin_actions = False, bool(found)
        self.can_show_all, self.multi_page = False, True
        self.paginator = self.model_admin.get_paginator(request, found, self.list_per_page)
        if found and (has_more or backwards):
            self.older_url = self._lead(AFTER, _write(column, found[-1]))
        if found and place is not None and (has_more or not backwards):
            self.newer_url = self._lead(BEFORE, _write(column, found[0]))

    def _lead(self, name: str, value: str) -> str:
        return str(self.get_query_string({name: value}, remove=[AFTER, BEFORE]))

    def _read(self, column: str, text: str) -> tuple[Any, Any] | None:
        if not text:
            return None
        try:
            value, key = json.loads(base64.urlsafe_b64decode(text.encode()))
            field: Field[Any, Any] = self.model._meta.get_field(column)
            return field.to_python(value), self.model._meta.pk.to_python(key)
        except (ValueError, TypeError, ValidationError):
            return None


class KeysetAdmin(ReadOnlyAdmin):
    """Rows whose list grows for ever."""

    paginator = KeysetPaginator  # counts nothing
    show_full_result_count = False
    sortable_by = ()  # any other order would sort the whole table

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList


def _beyond(
    rows: QuerySet[Any], column: str, place: tuple[Any, Any], *, backwards: bool
) -> QuerySet[Any]:
    """The first condition is the one that an index begins at."""
    value, key = place
    way = "gt" if backwards else "lt"
    return rows.filter(
        Q(**{f"{column}__{way}e": value}),
        Q(**{f"{column}__{way}": value}) | Q(**{f"pk__{way}": key}),
    )


def _write(column: str, row: Any) -> str:
    value = row._meta.get_field(column).value_to_string(row)
    return base64.urlsafe_b64encode(json.dumps([value, str(row.pk)]).encode()).decode()
