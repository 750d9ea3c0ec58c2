"""Index pages of web servers, read as they arrive: HTML anchors, and the JSON of nginx and Caddy. Pure."""

from __future__ import annotations

import codecs
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from connectors.errors import ProtocolViolation
from connectors.wire.http_dates import iso_ns, minute_ns, modified_ns

_ROW_MAX = 64 * 1024
_ANCHOR = re.compile(
    r"""<a\s(?:[^>"']|"[^"]*"|'[^']*')*?\bhref\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))""",
    re.IGNORECASE,
)
_ANCHOR_START = re.compile(r"<a\s", re.IGNORECASE)
_NGINX_ROW = re.compile(r"</a>\s+(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d)\s+(\d+)\s*$")
# A whole row of nginx's, where its reference needs no unescaping.
_NGINX_PLAIN = re.compile(
    r'<a href="([^"&<>]*)">[^<>]*</a> +(\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d) +(\d+)\s*', re.ASCII
)
_CADDY_SIZE = re.compile(r'\bdata-(?:size|order)="(\d+)"')
_CADDY_TIME = re.compile(r'<time\s[^>]*\bdatetime="([^"]+)"', re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Link:
    """One row. `reference` is a URL reference where `name` is None; `name` is a decoded name."""

    reference: str = ""
    name: str | None = None
    folder: bool | None = None  # None: the reference's last slash tells
    special: bool = False
    link: bool = False
    size_bytes: int | None = None  # exact, or None
    modified_ns: int | None = None
    minute_ns: int | None = None  # the time to the minute, in a zone that the row does not tell


class IndexPage:
    """Feed it the page's bytes; each call returns the rows that are whole by then."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = ""
        self._json: bool | None = None
        self._closed = False
        self._seen_end = False

    @property
    def whole(self) -> bool:
        """Whether the page ended as such pages do, for hosts that do not tell its length."""
        return self._closed if self._json else self._seen_end

    def feed(self, data: bytes | memoryview) -> list[Link]:
        self._text += self._decoder.decode(bytes(data))
        return self._rows(last=False)

    def end(self) -> list[Link]:
        """Raises ProtocolViolation where a JSON page is cut off."""
        self._text += self._decoder.decode(b"", final=True)
        rows = self._rows(last=True)
        if self._json and not self._closed:
            raise ProtocolViolation("the index page is cut off")
        return rows

    def _rows(self, *, last: bool) -> list[Link]:
        if self._json is None:
            start = self._text.lstrip("\ufeff \t\r\n")
            if not start and not last:
                return []
            self._json = start.startswith("[")
            if self._json:
                self._text = start[1:]
        rows = list(self._json_rows() if self._json else self._html_rows(last=last))
        if len(self._text) > _ROW_MAX:
            raise ProtocolViolation(f"an index page with a row over {_ROW_MAX} characters")
        return rows

    def _html_rows(self, *, last: bool) -> Iterator[Link]:
        text = self._text
        starts = [found.start() for found in _ANCHOR_START.finditer(text)]
        tail = text if not starts else text[starts[-1] :]
        self._seen_end = self._seen_end or "</html>" in tail.lower()
        if not starts:
            self._text = "" if last else text[-8:]  # an anchor's start may be cut in two
            return
        for start, stop in zip(starts, [*starts[1:], len(text)], strict=True):
            if stop == len(text) and not last:
                self._text = text[start:]
                return
            row = _html_row(text[start:stop])
            if row is not None:
                yield row
        self._text = ""

    def _json_rows(self) -> Iterator[Link]:
        decoder = json.JSONDecoder()
        text, at = self._text, 0
        while not self._closed:
            while at < len(text) and text[at] in " \t\r\n,":
                at += 1
            if at < len(text) and text[at] == "]":
                self._closed = True
            # A row is only tried once its end may be there: a cut one is tried again at most a
            # few times.
            if at >= len(text) or self._closed or text.find("}", at) < 0:
                break
            try:
                row, at = decoder.raw_decode(text, at)
            except (json.JSONDecodeError, RecursionError):
                break
            if isinstance(row, dict):
                yield _json_row(row)
        self._text = "" if self._closed else text[at:]


def _html_row(text: str) -> Link | None:
    if plain := _NGINX_PLAIN.fullmatch(text):
        return Link(plain[1], size_bytes=int(plain[3]), minute_ns=minute_ns(plain[2]))
    anchor = _ANCHOR.match(text)
    if anchor is None:
        return None
    reference = html.unescape(anchor[1] or anchor[2] or anchor[3] or "")
    rest = text[anchor.end() :]
    nginx = _NGINX_ROW.search(rest.partition("</pre>")[0])
    if nginx is not None:
        return Link(reference, size_bytes=int(nginx[2]), minute_ns=minute_ns(nginx[1]))
    size, moment = _CADDY_SIZE.search(rest), _CADDY_TIME.search(rest)
    return Link(
        reference,
        size_bytes=int(size[1]) if size else None,
        modified_ns=iso_ns(moment[1]) if moment else None,
    )


def _json_row(row: dict[str, Any]) -> Link:
    name = row.get("name")
    if not isinstance(name, str):
        raise ProtocolViolation("a JSON index row without a name")
    size = row.get("size")
    exact = size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None
    if "is_dir" in row:  # Caddy
        moment = iso_ns(str(row.get("mod_time", "")))
        folder = row["is_dir"] is True
        return Link(
            name=name.rstrip("/") if folder else name,
            folder=folder,
            link=row.get("is_symlink") is True,
            size_bytes=exact,
            modified_ns=moment,
        )
    kind = row.get("type")
    return Link(
        name=name,
        folder=kind == "directory",
        special=kind not in ("directory", "file"),
        size_bytes=exact,
        modified_ns=modified_ns(str(row.get("mtime", ""))),
    )
