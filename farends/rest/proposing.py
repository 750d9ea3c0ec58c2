"""What a person is offered before anything is saved: a key, and what may tell new objects. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from farends.rest.resource import Resource
from farends.rows.contract import Column, CursorChoice, CursorOrder, KeyFrom
from farends.rows.inference import ValueType, make_column, type_of
from farends.rows.json_text import Cells

_KEYS = ("id", "uuid", "_id", "guid", "Id", "ID")
_CURSORS = (
    "updated_at", "updated", "modified_at", "modified", "last_modified", "updatedAt", "modifiedAt", "updated_on",
    "created_at", "created", "createdAt", "created_on",
)  # fmt: skip
_TELLING = frozenset({ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ, ValueType.BIGINT})
_KEY_TYPES = frozenset({ValueType.TEXT, ValueType.BIGINT, ValueType.NUMERIC})


def propose_key(
    resource: Resource, columns: Sequence[Column], rows: Sequence[Cells]
) -> tuple[tuple[str, ...], KeyFrom]:
    """The one that the connector names; else a name that is usual, where the first page does not speak against it."""
    if resource.key:
        return resource.key, KeyFrom.PRIMARY
    kinds = {column.name: type_of(column) for column in columns}
    for name in _KEYS:
        if kinds.get(name) not in _KEY_TYPES:
            continue
        values = {bytes(cells.get(name, b"null")) for cells in rows}
        if len(values) == len(rows) and b"null" not in values:
            return (name,), KeyFrom.PROPOSED
    return (), KeyFrom.NONE


def propose_cursors(resource: Resource, columns: Sequence[Column]) -> tuple[CursorChoice, ...]:
    """Only a person knows the parameter that takes the bound, so only what the connector names is proposed."""
    choices = [CursorChoice(resource.cursor, proposed=True)] if resource.cursor else []
    kinds = {column.name: type_of(column) for column in columns}
    for name in _CURSORS:
        kind = kinds.get(name)
        if kind in _TELLING and (resource.cursor is None or resource.cursor.field != name):
            form = "epoch" if kind is ValueType.BIGINT else "iso8601"
            choices.append(CursorChoice(CursorOrder(name, format=form)))
    return tuple(choices)


def known_columns(resource: Resource) -> tuple[Column, ...]:
    """Columns that are known where there is no object yet."""
    return tuple(make_column(name, ValueType.NULL) for name in resource.key)
