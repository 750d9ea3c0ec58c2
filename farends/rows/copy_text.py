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


def escape(text: bytes) -> bytes:
    """Text as it stands in a cell; several cells at once where what is between them needs no escape."""
    for raw, escaped in _ESCAPED:
        if raw in text:
            text = text.replace(raw, escaped)
    return text


# The backslash first: the others bring some.
_ESCAPED = ((b"\\", b"\\\\"), (b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r"))
