"""Names of schemas, tables and columns that other people chose, inside our own SQL."""

from __future__ import annotations

from collections.abc import Iterable


def quote_name(name: str) -> str:
    """Quotes a name, for a statement that is run with parameters: there `%` stands twice. NUL is in no name."""
    return '"' + name.replace('"', '""').replace("%", "%%") + '"'


def quote_names(names: Iterable[str], *, of: str = "") -> str:
    """Several, with commas between; `of` is the alias of the table that they belong to."""
    owner = f"{of}." if of else ""
    return ", ".join(owner + quote_name(name) for name in names)
