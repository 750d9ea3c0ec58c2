"""JSON index pages, read row by row as they arrive: nginx, Caddy, serve, serve-index, Artifactory. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Any
from urllib.parse import unquote_to_bytes

from farends.errors import NotAListing, ProtocolViolation
from farends.http.index_rows import ROW_MAX, BadIndexRow, Link, NotUnderstood, Row, as_bytes
from farends.web.dates import iso_ns, modified_ns

_BETWEEN = " \t\r\n,"
_FIELDS_MAX = 64  # of an object around the rows
_SIZE_BEYOND = 1 << 63
_DIGITS_MAX = 20
_SCALAR = re.compile(r'[^,\s\[\]{}"]++')


def _number(digits: str) -> int:
    return int(digits) if len(digits) <= _DIGITS_MAX else _SIZE_BEYOND


_DECODER = json.JSONDecoder(parse_int=_number)


class _State(Enum):
    START = auto()
    AROUND = auto()  # among the fields of an object that has the rows in one of them
    ROWS = auto()
    OVER = auto()


class JsonPage:
    """Feed it text; each call yields the rows that are whole by then."""

    def __init__(self) -> None:
        self._text = ""
        self._at = 0
        self._state = _State.START
        self._around = False
        self._fields: set[str] = set()
        self._read: Callable[[Any], Link | None] = _row_of_array

    @property
    def whole(self) -> bool:
        return self._state is _State.OVER

    @property
    def is_index(self) -> bool:
        """Whether the form is a known one, with or without rows."""
        if not self._around:
            return True
        return {"files", "directory"} <= self._fields or {"children", "repo"} <= self._fields

    @property
    def of_artifactory(self) -> bool:
        """Whether the page is Artifactory's: its files lie at another address than its pages."""
        return self._around and {"repo", "path"} <= self._fields

    def feed(self, text: str, *, last: bool) -> Iterator[Row]:
        """Raises ProtocolViolation for a row that has no end, NotAListing for an unknown object."""
        self._text, self._at = self._text[self._at :] + text, 0
        while self._skip_blanks() and self._state is not _State.OVER:
            if self._state is _State.START:
                self._begin()
            elif self._state is _State.AROUND:
                if not self._take_field():
                    break
            else:
                row = self._take_row()
                if row is None:
                    break
                yield from row
        if len(self._text) - self._at > ROW_MAX:
            raise ProtocolViolation(f"an index page with a row over {ROW_MAX} characters")
        if self.whole and self._at < len(self._text):
            if not self.is_index:
                raise NotAListing("The folder's page is JSON of an unknown form.")
            left, self._at = self._text[self._at :], len(self._text)
            yield BadIndexRow(left[:200], "text after the end of the rows")

    def _skip_blanks(self) -> bool:
        """Whether something is left to read."""
        text, at = self._text, self._at
        while at < len(text) and text[at] in _BETWEEN:
            at += 1
        self._at = at
        return at < len(text)

    def _begin(self) -> None:
        self._around = self._text[self._at] == "{"
        self._state = _State.AROUND if self._around else _State.ROWS
        self._at += 1

    def _value(self, at: int) -> tuple[Any, int] | None:
        """What is there and where it ends; None where it may go on."""
        text = self._text
        # A row is only tried once its end may be there: a cut one is tried again a few times at most.
        if at < len(text) and text[at] == "{" and text.find("}", at) < 0:
            return None
        try:
            value, end = _DECODER.raw_decode(text, at)
        except (ValueError, RecursionError):
            return None
        return None if end == len(text) and text[at] not in '{["' else (value, end)

    def _take_field(self) -> bool:
        """One field of the object around the rows; whether it was whole."""
        text = self._text
        if text[self._at] == "}":
            self._state, self._at = _State.OVER, self._at + 1
            return True
        named = self._value(self._at)
        if named is None or not isinstance(named[0], str) or len(self._fields) >= _FIELDS_MAX:
            return False
        at = named[1]
        while at < len(text) and text[at] in " \t\r\n:":
            at += 1
        reader = _ROWS_IN.get(named[0])
        if reader is not None and text[at : at + 1] == "[":
            self._read, self._state, self._at = reader, _State.ROWS, at + 1
        else:
            value = self._value(at)
            if value is None:
                return False
            self._at = value[1]
        self._fields.add(named[0])
        return True

    def _take_row(self) -> list[Row] | None:
        if self._text[self._at] == "]":
            self._state = _State.AROUND if self._around else _State.OVER
            self._at += 1
            return []
        if scalar := _SCALAR.match(self._text, self._at):
            self._at = scalar.end()
            return [BadIndexRow(scalar[0][:400], "a JSON row of an unknown form")]
        found = self._value(self._at)
        if found is None:
            return None
        start, self._at = self._at, found[1]
        try:
            row = self._read(found[0])
        except NotUnderstood as exc:
            return [BadIndexRow(self._text[start : min(found[1], start + 400)], str(exc))]
        return [] if row is None else [row]


def _row_of_array(row: Any) -> Link:
    if isinstance(row, str):  # serve-index: only names
        as_bytes(row)
        return Link(name=row)
    if not isinstance(row, dict):
        raise NotUnderstood("a JSON row of an unknown form")
    name = _name(row, "name")
    if "is_dir" in row:
        return _row_of_caddy(row, name)
    kind = row.get("type")
    if kind not in ("directory", "file", "other"):
        raise NotUnderstood("a JSON row that tells no kind")
    return Link(
        name=name,
        folder=kind == "directory",
        special=kind == "other",
        size_bytes=_size(row),
        modified_ns=modified_ns(str(row.get("mtime", ""))),
    )


def _row_of_caddy(row: dict[str, Any], name: str) -> Link:
    folder = row["is_dir"]
    if not isinstance(folder, bool):
        raise NotUnderstood("a JSON row that tells no kind")
    name = name.rstrip("/") if folder else name
    url = row.get("url")
    if isinstance(url, str):
        last = url.rstrip("/").rpartition("/")[2]
        if last != name and unquote_to_bytes(last) != as_bytes(name):
            raise NotUnderstood("a JSON row whose name and address differ")
    return Link(
        name=name,
        folder=folder,
        link=row.get("is_symlink") is True,
        size_bytes=_size(row),
        modified_ns=iso_ns(str(row.get("mod_time", ""))),
    )


def _row_of_serve(row: Any) -> Link | None:
    """Reads a row of serve: sizes are rounded, and there are no times."""
    if not isinstance(row, dict):
        raise NotUnderstood("a JSON row of an unknown form")
    name, kind = _name(row, "base"), row.get("type")
    if kind == "directory" and name == "..":
        return None
    if kind not in ("file", "folder", "directory"):
        raise NotUnderstood("a JSON row that tells no kind")
    return Link(name=name if kind == "file" else name.rstrip("/"), folder=kind != "file")


def _row_of_artifactory(row: Any) -> Link:
    if not isinstance(row, dict):
        raise NotUnderstood("a JSON row of an unknown form")
    uri, folder = _name(row, "uri"), row.get("folder")
    if uri[:1] != "/" or not isinstance(folder, bool):
        raise NotUnderstood("a JSON row that tells no kind")
    return Link(name=uri[1:], folder=folder)


_ROWS_IN: dict[str, Callable[[Any], Link | None]] = {
    "files": _row_of_serve,
    "children": _row_of_artifactory,
}


def _name(row: dict[str, Any], key: str) -> str:
    name = row.get(key)
    if not isinstance(name, str):
        raise NotUnderstood("a JSON row that tells no name")
    as_bytes(name)
    return name


def _size(row: dict[str, Any]) -> int | None:
    """Returns None if the row tells none. Raises NotUnderstood for a number that no file's size is."""
    size = row.get("size")
    if isinstance(size, bool) or not isinstance(size, int | float):
        return None
    if not isinstance(size, int) or not 0 <= size < _SIZE_BEYOND:
        raise NotUnderstood("a size that no file has")
    return size
