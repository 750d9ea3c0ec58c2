"""Rows in the text form of COPY (PostgreSQL 18 docs, COPY, "Text Format")."""

from __future__ import annotations

from collections.abc import Iterable

NULL = b"\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def encode_row(cells: Iterable[str | None]) -> bytes:
    """One row with its line end. A cell is the text of a value, None is NULL; NUL must not be in it."""
    return (
        b"\t".join([NULL if cell is None else cell.translate(_ESCAPES).encode() for cell in cells])
        + b"\n"
    )
