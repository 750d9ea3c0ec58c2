"""Which columns are usually a table's key, and which tell that a row was changed. Guesses by name, to be shown to a
person."""

from __future__ import annotations

from collections.abc import Iterable

_KEY_NAMES = ("id", "uuid", "guid", "key", "pk")
# The usual names, the best first; then of columns that tell when a row was made.
_CHANGE_NAMES = (
    "updated_at", "modified_at", "changed_at", "last_modified", "last_modified_at", "last_updated",
    "last_updated_at", "last_update", "updated", "modified", "changed", "updated_on", "modified_on",
    "update_time", "modify_time", "updatedat", "modifiedat", "row_version", "systemmodstamp",
)  # fmt: skip


def find_key(table: str, columns: Iterable[str]) -> tuple[str, ...]:
    """The column that is probably the key of this table; nothing where none is."""
    names = {name.lower(): name for name in columns}
    for guess in (*_KEY_NAMES, f"{table.lower()}_id"):
        if guess in names:
            return (names[guess],)
    return ()


def tells_changes(column: str) -> bool:
    return column.lower() in _CHANGE_NAMES


def rank_cursor(column: str) -> int:
    """The lower, the likelier."""
    return _CHANGE_NAMES.index(column.lower()) if tells_changes(column) else len(_CHANGE_NAMES)
