"""Reads the answer to a PROPFIND, row by row as it arrives: a multistatus (RFC 4918 §13). Pure.

The XML comes from a host that nobody vouches for. So nothing is read outside of the text itself: a document type,
and with it every entity, is refused. What one row, one tag and all names take in memory is bounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from xml.parsers import expat

from farends.errors import NotAListing, ProtocolViolation, Truncated
from farends.wire.far_text import show

TEXT_MAX = 16 * 1024  # characters of one name or property
DEPTH_MAX = 32
NAMES_MAX = 10_000  # different names of elements and attributes: the parser remembers each
TAG_BYTES_MAX = 1024 * 1024  # the parser keeps what it has of a tag until the tag's end comes
_ENCODINGS = frozenset({"utf-8", "utf8", "utf-16", "us-ascii", "ascii", "iso-8859-1"})

_MULTISTATUS, _RESPONSE, _PROPSTAT = "DAV: multistatus", "DAV: response", "DAV: propstat"
_HREF, _STATUS, _PROP = "DAV: href", "DAV: status", "DAV: prop"
_KIND, _COLLECTION = "DAV: resourcetype", "DAV: collection"
_SIZE, _MODIFIED, _ETAG = "DAV: getcontentlength", "DAV: getlastmodified", "DAV: getetag"
# By where it stands: the depth, and the elements around it from the second on.
_TEXTS = frozenset(
    {
        (_RESPONSE, _HREF),
        (_RESPONSE, _STATUS),
        (_RESPONSE, _PROPSTAT, _STATUS),
        *((_RESPONSE, _PROPSTAT, _PROP, name) for name in (_SIZE, _MODIFIED, _ETAG)),
    }
)


@dataclass(slots=True)
class DavRow:
    """One response of a multistatus. Texts are as the host wrote them, and empty where it told none.

    `status` is the row's own, None where its properties have theirs. `is_folder` is None where the host does not
    tell. `wrong` says why the row cannot be understood.
    """

    href: str = ""
    status: int | None = None
    is_folder: bool | None = None
    size: str = ""
    modified: str = ""
    etag: str = ""
    wrong: str = ""


class Multistatus:
    """Feed it the body in pieces; each call returns the rows that are whole by then."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._parser = parser = expat.ParserCreate(namespace_separator=" ", intern=self._names)
        parser.buffer_text = True
        parser.XmlDeclHandler = self._check_declaration
        parser.StartDoctypeDeclHandler = _refuse_document_type
        parser.StartElementHandler = self._begin
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._take_text
        parser.CommentHandler = parser.ProcessingInstructionHandler = self._pass_over
        self._open: list[str] = []
        self._fed_bytes = self._heard_at_bytes = 0
        self._rows: list[DavRow] = []
        self._row = DavRow()
        self._text: list[str] | None = None  # of the element that is open, where it is wanted
        self._text_size = 0
        self._properties: dict[
            str, str
        ] = {}  # of one propstat, until its status tells what they mean
        self._is_whole = False

    def feed(self, data: bytes) -> list[DavRow]:
        """Raises NotAListing for what is no multistatus, and ProtocolViolation for one that is broken."""
        self._fed_bytes += len(data)
        self._parse(data, last=False)
        if self._fed_bytes - self._heard_at_bytes > TAG_BYTES_MAX:
            raise ProtocolViolation(f"the listing has a tag over {TAG_BYTES_MAX} bytes")
        if len(self._names) > NAMES_MAX:
            raise ProtocolViolation(f"the listing has over {NAMES_MAX} different names of elements")
        rows, self._rows = self._rows, []
        return rows

    def finish(self) -> list[DavRow]:
        """The rest, once the body is over. Raises Truncated where the listing goes on."""
        if self._names and not self._is_whole:
            raise Truncated("the listing ended before its last row")
        self._parse(b"", last=True)
        rows, self._rows = self._rows, []
        return rows

    def _parse(self, data: bytes, *, last: bool) -> None:
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as exc:
            words = f"XML that is not well-formed: {show(str(exc))}"
            if not self._open and not self._is_whole:
                raise NotAListing(f"The host's answer is no multistatus: {words}.") from exc
            raise ProtocolViolation(f"the listing is {words}") from exc
        except (LookupError, ValueError) as exc:
            raise ProtocolViolation("the listing is written in an unknown encoding") from exc

    def _check_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise ProtocolViolation(f"the listing is in the encoding {show(encoding, 40)!r}")

    def _pass_over(self, *_: str) -> None:
        self._heard_at_bytes = self._fed_bytes

    def _begin(self, name: str, attributes: Mapping[str, str]) -> None:
        self._heard_at_bytes = self._fed_bytes
        if not self._open and name != _MULTISTATUS:
            raise NotAListing(
                f"The host's answer is no multistatus: its outer element is {show(name, 80)!r}."
            )
        self._open.append(name)
        if len(self._open) > DEPTH_MAX:
            raise ProtocolViolation(f"the listing has elements over {DEPTH_MAX} levels deep")
        within = tuple(self._open[1:])
        self._text = [] if within in _TEXTS else None
        self._text_size = 0
        if within == (_RESPONSE,):
            self._row = DavRow()
        elif within == (_RESPONSE, _PROPSTAT):
            self._properties = {}
        elif within == (_RESPONSE, _PROPSTAT, _PROP, _KIND):
            self._properties[_KIND] = ""
        elif within == (_RESPONSE, _PROPSTAT, _PROP, _KIND, _COLLECTION):
            self._properties[_KIND] = _COLLECTION

    def _take_text(self, text: str) -> None:
        self._heard_at_bytes = self._fed_bytes
        if self._text is None:
            return
        self._text_size += len(text)
        if self._text_size > TEXT_MAX:
            self._row.wrong = f"a text over {TEXT_MAX} characters"
            self._text = None
        else:
            self._text.append(text)

    def _end(self, name: str) -> None:
        self._heard_at_bytes = self._fed_bytes
        text = "".join(self._text or ()).strip(" \t\r\n")
        self._text = None
        self._open.pop()
        depth = len(self._open)
        if depth == 0:
            self._is_whole = True
        elif depth == 1 and name == _RESPONSE:
            self._rows.append(self._row)
        elif self._open[1] == _RESPONSE:
            self._take(depth, name, text)

    def _take(self, depth: int, name: str, text: str) -> None:
        """One element within a response is over."""
        row = self._row
        if depth == 2 and name == _HREF:
            if row.href:
                row.wrong = "a row with several names"
            row.href = row.href or text
        elif depth == 2 and name == _STATUS:
            row.status = _parse_status(text) or 0
        elif depth == 3 and name == _STATUS and self._open[2] == _PROPSTAT:
            self._properties[_STATUS] = text
        elif depth == 4 and self._open[2:] == [_PROPSTAT, _PROP] and name != _KIND and text:
            self._properties[name] = text
        elif depth == 2 and name == _PROPSTAT:
            self._describe(row, self._properties)

    @staticmethod
    def _describe(row: DavRow, properties: Mapping[str, str]) -> None:
        """What one propstat tells counts only where its status says that the host has it."""
        if _parse_status(properties.get(_STATUS, "")) != 200:
            return
        if _KIND in properties:
            row.is_folder = properties[_KIND] == _COLLECTION
        row.size = properties.get(_SIZE, row.size)
        row.modified = properties.get(_MODIFIED, row.modified)
        row.etag = properties.get(_ETAG, row.etag)


def _refuse_document_type(*_: object) -> None:
    raise NotAListing("The host's answer is no multistatus: it has a document type.")


def _parse_status(line: str) -> int | None:
    """The number in `HTTP/1.1 200 OK`; None where there is none."""
    words = line[:80].split()
    if len(words) < 2 or not words[0].startswith("HTTP/"):
        return None
    number = words[1]
    return int(number) if len(number) == 3 and number.isascii() and number.isdigit() else None
