"""The one door to the rows of a workspace: by what people and programs call them, an id or a name.

Every surface asks here, and an architecture test fails where another module filters by a name. So the rules exist
once. A row of another workspace is not found. A text that no column can hold (a NUL, half a character, too many
characters) never reaches the database, and it names nothing. A row with this id comes before a row with this name.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from django.db.models import Field, Model, QuerySet, UUIDField

from workspaces.models import Workspace

M = TypeVar("M", bound=Model)
Owner = Workspace | uuid.UUID


def find_row(rows: QuerySet[M], owner: Owner, called: str, *, by: str = "name") -> M | None:
    """Finds a row by id, or else by name; `by` is the column that names a row of its kind. The caller says how rows are read
    (`select_related`, `only`)."""
    return _find(_rows_of(rows, owner), called, by)


def find_by_name(rows: QuerySet[M], owner: Owner, name: str) -> M | None:
    """Finds a row by name alone, for texts that hold no ids, as configuration files do: an id that stands in one is a name."""
    return filter_by_name(rows, owner, [name]).first()


def find_by_id(rows: QuerySet[M], owner: Owner, called: str | uuid.UUID) -> M | None:
    """Finds a row that has no name of its own, such as a record."""
    row_id = called if isinstance(called, uuid.UUID) else _read_id(called)
    return None if row_id is None else _rows_of(rows, owner).filter(pk=row_id).first()


def find_ids(rows: QuerySet[M], owner: Owner, called: str) -> list[uuid.UUID]:
    """The id of the row that `find_row` finds, in a list: for a condition on the rows that point to it. A
    condition on names of another table is one that no index of this one serves."""
    found = find_row(rows.only("pk"), owner, called)
    return [] if found is None else [found.pk]


def filter_by_name(
    rows: QuerySet[M], owner: Owner, names: Iterable[str], *, by: str = "name"
) -> QuerySet[M]:
    """The rows that have one of these names."""
    field = _column(rows.model, by)
    fit = [name for name in names if _fits(field, name)]
    return _rows_of(rows, owner).filter(**{f"{by}__in": fit})


def filter_by_beginning(rows: QuerySet[M], owner: Owner, beginning: str) -> QuerySet[M]:
    """The rows whose name begins so; all of them for an empty text."""
    rows = _rows_of(rows, owner)
    if not beginning:
        return rows
    fits = _fits(_column(rows.model, "name"), beginning)
    return rows.filter(**{"name__startswith": beginning}) if fits else rows.none()


def filter_by_part(rows: QuerySet[M], part: str) -> QuerySet[M]:
    """Returns the rows with this part in their name, among rows that the caller has limited to somebody's workspaces."""
    if not _fits(_column(rows.model, "name"), part):
        return rows.none()
    return rows.filter(**{"name__icontains": part})


def find_workspace(called: str, rows: QuerySet[Workspace] | None = None) -> Workspace | None:
    """Finds a workspace by id or name, among all or among these."""
    return _find(Workspace.objects.all() if rows is None else rows, called, "name")


def find_workspace_by_name(name: str, rows: QuerySet[Workspace] | None = None) -> Workspace | None:
    """Like `find_by_name`."""
    rows = Workspace.objects.all() if rows is None else rows
    return rows.filter(name=name).first() if _fits(_column(Workspace, "name"), name) else None


def _find(rows: QuerySet[M], called: str, by: str) -> M | None:
    if isinstance(rows.model._meta.pk, UUIDField) and (row_id := _read_id(called)) is not None:
        found = rows.filter(pk=row_id).first()
        if found is not None:
            return found
    return rows.filter(**{by: called}).first() if _fits(_column(rows.model, by), called) else None


def _rows_of(rows: QuerySet[M], owner: Owner) -> QuerySet[M]:
    return rows.filter(**{"workspace": owner})


def _read_id(called: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(called)
    except ValueError:
        return None


@cache
def _column(model: type[Model], path: str) -> Field[object, object]:
    """The last one of a path such as `user__username`."""
    first, _, rest = path.partition("__")
    field = model._meta.get_field(first)
    if not isinstance(field, Field):
        raise TypeError(f"{model.__name__}.{path} names no row")
    if not rest:
        return field
    related = field.related_model
    if not isinstance(related, type):
        raise TypeError(f"{model.__name__}.{first} leads to no other model")
    return _column(related, rest)


def _fits(field: Field[object, object], text: str) -> bool:
    """Whether the column can hold it."""
    if "\0" in text or (field.max_length is not None and len(text) > field.max_length):
        return False
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character, as broken arguments and bodies have them
        return False
    return True


def filter_by_part_of_name(rows: QuerySet[M], owner: Workspace, part: str) -> QuerySet[M]:
    """The rows of the workspace in whose name the text stands, in letters of either case."""
    return rows.filter(**{"workspace": owner, "name__icontains": part})
