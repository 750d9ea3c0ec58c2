"""XML index pages, read row by row as they arrive: nginx's, and the bucket listings of S3 and its kin. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote_plus

from farends.errors import ProtocolViolation
from farends.http.index_rows import (
    ROW_MAX,
    BadIndexRow,
    Link,
    NotUnderstood,
    Row,
    as_bytes,
    parse_file_size,
    unescape_references,
)
from farends.web.dates import iso_ns

_START = re.compile(r"<([A-Za-z][\w.:-]*+)")
_NGINX_ROW = re.compile(
    r'<(directory|file|other)(?: mtime="([^"<>]*+)")?(?: size="([^"<>]*+)")?>([^<]++)</\1>'
)
_CHILD = re.compile(r"<(\w++)>([^<]*+)</\1>")
_SIMPLE = re.compile(r"<(\w++)(?:>([^<]*+)</\1>|[^<>]*+(?<=/)>)")
_ROWS_OF = {
    "list": frozenset({"directory", "file", "other"}),
    "ListBucketResult": frozenset({"Contents", "CommonPrefixes"}),
}
XML_ROOTS = frozenset(_ROWS_OF)


class XmlPage:
    """Feed it text from behind the root's start tag; each call yields the rows that are whole by then."""

    is_index = True

    def __init__(self, root: str) -> None:
        self._root = root
        self._rows_are = _ROWS_OF[root]
        self._text = ""
        self._ended = False
        self._fields: dict[str, str] = {}  # of a bucket
        self._count = 0
        self._last_key = ""

    @property
    def whole(self) -> bool:
        """A bucket's page must tell whether more follow, and as many keys as it says."""
        if not self._ended or self._root == "list":
            return self._ended
        told = self._fields.get("KeyCount", str(self._count))
        return self._fields.get("IsTruncated") in ("true", "false") and told == str(self._count)

    @property
    def next_query(self) -> str | None:
        """The query of the page that follows; None after the last. Empty where none can be asked for."""
        fields = self._fields
        if fields.get("IsTruncated") != "true":
            return None
        if token := fields.get("NextContinuationToken"):
            said = {"list-type": "2", "continuation-token": token}
        elif marker := fields.get("NextMarker") or self._last_key:
            said = {"marker": marker}
        else:
            return ""
        said |= {name.lower(): fields[name] for name in ("Prefix", "Delimiter") if fields.get(name)}
        return "&".join(f"{name}={quote(value, safe='')}" for name, value in said.items())

    def feed(self, text: str, *, last: bool) -> Iterator[Row]:
        """Raises ProtocolViolation for a row that has no end."""
        self._text += text
        at = 0
        while not self._ended:
            start = self._text.find("<", at)
            between = self._text[at : start if start >= 0 else len(self._text)]
            if between.strip():
                yield BadIndexRow(between.strip(), "text between the rows")
            if start < 0:
                at = len(self._text)
                break
            taken = self._take(start, last=last)
            if taken is None:
                at = start
                break
            at, row = taken
            if row is not None:
                yield row
        self._text = "" if self._ended else self._text[at:]
        if len(self._text) > ROW_MAX:
            raise ProtocolViolation(f"an index page with a row over {ROW_MAX} characters")

    def _take(self, start: int, *, last: bool) -> tuple[int, Row | None] | None:
        """The element that begins there: where it ends, and its row. None where more must come."""
        text = self._text
        end = text.find(">", start) + 1
        if not end:
            return None
        if text.startswith(f"</{self._root}>", start):
            self._ended = True
            return end, None
        named = _START.match(text, start)
        name = named[1] if named else ""
        if name in self._rows_are:
            close = text.find(f"</{name}>", start)
            if close < 0:
                return None
            over = close + len(name) + 3
            return over, self._row(text[start:over])
        if self._root == "list" or not name:
            return end, BadIndexRow(text[start:end], "an element that is no row")
        simple = _SIMPLE.match(text, start)
        if simple is None:
            if not last and text.find("<", end) < 0:
                return None  # its end may be on its way
            return end, BadIndexRow(text[start:end], "an element that is no row")
        self._take_field(simple[1], simple[2] or "")
        return simple.end(), None

    def _row(self, element: str) -> Row | None:
        try:
            return _nginx_row(element) if self._root == "list" else self._bucket_row(element)
        except NotUnderstood as exc:
            return BadIndexRow(element[:400], str(exc))

    def _take_field(self, name: str, value: str) -> None:
        try:
            self._fields[name] = (
                self._decoded(unescape_references(value)) if name != "EncodingType" else value
            )
        except NotUnderstood:
            self._fields.pop(name, None)

    def _decoded(self, text: str) -> str:
        if self._fields.get("EncodingType") == "url":
            text = unquote_plus(text, errors="surrogateescape")
        as_bytes(text)
        return text

    def _bucket_row(self, element: str) -> Link | None:
        self._count += 1
        said = {found[1]: found[2] for found in _CHILD.finditer(element)}
        folder = element.startswith("<CommonPrefixes>")
        key = self._decoded(unescape_references(said.get("Prefix" if folder else "Key", "")))
        inner = element.partition(">")[2].rpartition("</")[0]
        if not key or "<Contents" in inner or "<CommonPrefixes" in inner:
            raise NotUnderstood("a row without a key")
        self._last_key = max(self._last_key, key)
        above = self._fields.get("Prefix", "").rpartition("/")[0]
        above = f"{above}/" if above else ""
        if not key.startswith(above):
            raise NotUnderstood("a key outside of the listed prefix")
        name = key[len(above) :]
        if not folder and (not name or name.endswith("/")):
            return None  # stands for a folder in a console
        return Link(
            name=name.rstrip("/"),
            folder=folder,
            nested=True,
            size_bytes=_size(said.get("Size", "")),
            modified_ns=iso_ns(said.get("LastModified", "")),
            etag=_strong(unescape_references(said.get("ETag", ""))),
        )


def _size(digits: str) -> int | None:
    return parse_file_size(digits) if digits.isascii() and digits.isdigit() else None


def _strong(etag: str) -> str | None:
    return etag if len(etag) < 130 and etag[:1] == etag[-1:] == '"' and etag.isascii() else None


def _nginx_row(element: str) -> Link:
    found = _NGINX_ROW.fullmatch(element)
    if found is None:
        raise NotUnderstood("a row of an unknown form")
    name = unescape_references(found[4])
    as_bytes(name)
    return Link(
        name=name,
        folder=found[1] == "directory",
        special=found[1] == "other",
        size_bytes=_size(found[3] or ""),
        modified_ns=iso_ns(found[2] or ""),
    )
