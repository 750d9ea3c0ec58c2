"""Rows in the text form of COPY (PostgreSQL 18 docs, COPY, "Text Format")."""

from __future__ import annotations

import re
from collections.abc import Iterable

from farends.names import to_text
from farends.rows.contract import Encoding

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


_UNESCAPED = re.compile(r"\\(x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def decode_row(row: bytes) -> list[str | None]:
    """The cells of one row in the text form."""
    text = show_bytes(row.removesuffix(b"\n"))
    return [None if cell == "\\N" else _UNESCAPED.sub(_letter, cell) for cell in text.split("\t")]


def _letter(match: re.Match[str]) -> str:
    code = match[1]
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    return chr(int(code, 8)) if code[0] in "01234567" else _LETTERS.get(code, code)


def decode_cells(row: bytes, encoding: Encoding) -> list[str | None] | None:
    """The cells of one row; None where they cannot be told apart."""
    if encoding is Encoding.BINARY:
        return None
    if encoding is Encoding.TEXT:
        return decode_row(row)
    return decode_csv_row(row)


def decode_csv_row(row: bytes) -> list[str | None]:
    """The cells of one row as COPY reads CSV: what stands in quotes is text, and an empty cell without them is NULL."""
    cells: list[str | None] = []
    for found in _CSV_CELL.finditer(show_bytes(row).rstrip("\r\n")):
        cell = found[1]
        if cell.startswith('"'):
            cells.append(cell[1:].removesuffix('"').replace('""', '"'))
        else:
            cells.append(cell or None)
        if not found[2]:
            break
    return cells


_CSV_CELL = re.compile(r'("(?:[^"]|"")*"?[^,]*|[^,]*)(,|\Z)')


def show_bytes(raw: bytes) -> str:
    """Text that a person can read and JSON can carry: bytes that are no UTF-8 as in paths, NUL as U+F000."""
    return to_text(raw.decode(errors="surrogateescape")).replace("\0", "\uf000")
