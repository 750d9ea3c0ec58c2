"""Index pages of web servers, read as they arrive: which form one has, and its rows. Pure.

HTML is read by `index_html`, JSON by `index_json`, XML by `index_xml` and `index_thredds`.
"""

from __future__ import annotations

import codecs
import re

from farends.errors import NotAListing, ProtocolViolation, Truncated
from farends.http.index_html import HtmlPage
from farends.http.index_json import JsonPage
from farends.http.index_rows import ROW_MAX, BadIndexRow, Row
from farends.http.index_thredds import THREDDS_ROOT, ThreddsPage
from farends.http.index_xml import XML_ROOTS, XmlPage
from farends.wire.far_text import show

_BLOCK = 32 * 1024  # bytes that are read at once: a host may send them one by one
_BAD_ROWS_MAX = 10_000
_SHOWN_MAX = 200
_CUT = "the index page has no end: the host cut it off"
_BLANKS = "\ufeff \t\r\n"
_PROLOGUE = re.compile(r"(?:\s++|<\?[^>]*+>|<!--(?:[^-]++|-(?!->))*+-->)*+")
_ROOT = re.compile(r"<([A-Za-z][\w:.-]*+)[^<>]*+>")
_ENCODINGS = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


class IndexPage:
    """Feed it the page's bytes; each call returns the rows that are whole by then."""

    def __init__(self) -> None:
        self._waiting = bytearray()
        self._decoder: codecs.IncrementalDecoder | None = None
        self._undecided = ""  # text, until the form is known
        self._form: HtmlPage | JsonPage | XmlPage | ThreddsPage | None = None
        self._begins = ""
        self._bad_rows = 0

    @property
    def of_artifactory(self) -> bool:
        return isinstance(self._form, JsonPage) and self._form.of_artifactory

    @property
    def of_thredds(self) -> bool:
        return isinstance(self._form, ThreddsPage)

    @property
    def next_query(self) -> str | None:
        """The query of the page that goes on with the listing, empty where it cannot be told; None: this
        page is the last."""
        return self._form.next_query if isinstance(self._form, XmlPage) else None

    def feed(self, data: bytes | memoryview) -> list[Row]:
        """Raises NotAListing, and ProtocolViolation for a row that has no end."""
        self._waiting += data
        return self._read(last=False) if len(self._waiting) >= _BLOCK else []

    def end(self) -> list[Row]:
        """What the last bytes hold; raises as `feed` does. Then `judge` says what the whole is worth."""
        return self._read(last=True)

    def judge(self, *, framed: bool, children: int, leads_up: bool) -> None:
        """Raises NotAListing for a page that is none, and Truncated for one without its end. `framed`: the
        host told where the page ends. `children`: so many rows led to files and folders of this folder.
        `leads_up`: a row led to the folder above, as only index pages have it."""
        form = self._form
        if form is None or (not framed and form.whole is not True):
            raise self._not_a_listing("is empty") if framed else Truncated(_CUT)
        if isinstance(form, HtmlPage) and form.asks_password:
            raise self._not_a_listing("asks for a password")
        if not children and (self._bad_rows or not (form.is_index or leads_up)):
            raise self._not_a_listing("is no listing")
        if form.whole is False:
            raise Truncated(_CUT)

    def _not_a_listing(self, words: str) -> NotAListing:
        begins = show(self._begins, _SHOWN_MAX)
        return NotAListing(f"The page that answers for the folder {words}.", shown=begins)

    def _read(self, *, last: bool) -> list[Row]:
        data, self._waiting = bytes(self._waiting), bytearray()
        if self._decoder is None:
            data = self._choose_decoder(data)
        assert self._decoder is not None  # noqa: S101 — chosen above, for the type checker
        text = self._decoder.decode(data, last)
        if self._form is None:
            self._undecided += text
            if not self._decide(last=last):
                return []
            text, self._undecided = self._undecided, ""
        form = self._form
        if form is None:
            return []
        try:
            rows = list(form.feed(text, last=last))
        except NotAListing as exc:
            raise self._not_a_listing("is no listing") from exc
        self._bad_rows += sum(type(row) is BadIndexRow for row in rows)
        if self._bad_rows > _BAD_ROWS_MAX:
            raise ProtocolViolation(
                f"an index page with over {_BAD_ROWS_MAX} rows that tell nothing"
            )
        return rows

    def _choose_decoder(self, data: bytes) -> bytes:
        """Chooses the decoder by the mark at the beginning of the page; returns the bytes behind the mark."""
        for mark, coding in _ENCODINGS:
            if data.startswith(mark):
                self._decoder = codecs.getincrementaldecoder(coding)("surrogatepass")
                return data[len(mark) :]
        self._decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        return data

    def _decide(self, *, last: bool) -> bool:
        """Chooses the form by how the page begins; whether it could."""
        start = self._undecided.lstrip(_BLANKS)
        self._begins = start[: _SHOWN_MAX + 1]
        if not start:
            return False
        if start[0] in "[{":
            self._form, self._undecided = JsonPage(), start
            return True
        prologue = _PROLOGUE.match(start)
        at = prologue.end() if prologue else 0
        root = _ROOT.match(start, at)
        if root is not None and root[1] in XML_ROOTS:
            self._form, self._undecided = XmlPage(root[1]), start[root.end() :]
        elif root is not None and root[1] == THREDDS_ROOT and "InvCatalog" in root[0]:
            self._form, self._undecided = ThreddsPage(), start[root.end() :]
        elif not last and len(start) < ROW_MAX and (at == len(start) or _may_be_root(start[at:])):
            return False
        elif at and start.startswith("<?xml") and not _is_html(start[at:]):
            raise self._not_a_listing("is XML of an unknown form")
        else:
            self._form, self._undecided = HtmlPage(), start
        return True


def _may_be_root(text: str) -> bool:
    """Whether the tag goes on."""
    return text[0] == "<" and ">" not in text


def _is_html(text: str) -> bool:
    return text[:9].lower().startswith(("<!doctype", "<html"))
