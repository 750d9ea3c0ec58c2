"""What an index page says row by row, whatever form it has. Pure."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

from farends.names import encode

ROW_MAX = 64 * 1024  # characters
SIZE_DIGITS_MAX = 19
SORTING = re.compile(
    r"\?(?:C=|O=|sort=|order=|sortby=)", re.IGNORECASE
)  # a link that sorts the rows
_SIZE_BEYOND = 1 << 63
_REFERENCE_DIGITS_MAX = 7  # of a numeric character reference


@dataclass(frozen=True, slots=True)
class Link:
    """One row. `reference` is a URL reference where `name` is None; `name` is a decoded name, which may
    be a path below the folder where `nested`. `text` is what the row shows for a name, None where the
    form shows none."""

    reference: str = ""
    name: str | None = None
    folder: bool | None = None  # None: the reference's last slash tells
    special: bool = False
    link: bool = False
    size_bytes: int | None = None  # exact, or None
    modified_ns: int | None = None
    minute_ns: int | None = None  # the time to the minute, in a zone that the row does not tell
    text: str | None = None
    nested: bool = False
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class BadIndexRow:
    """A row that is not understood: the folder may hold more than the other rows tell."""

    raw: str
    words: str


Row = Link | BadIndexRow


class NotUnderstood(Exception):
    """A part of a row tells nothing that a file can have; its text says what."""


def parse_file_size(digits: str) -> int:
    """Raises NotUnderstood for a number that no file's size is."""
    size = int(digits) if len(digits) <= SIZE_DIGITS_MAX else _SIZE_BEYOND
    if size >= _SIZE_BEYOND:
        raise NotUnderstood("a size that no file has")
    return size


def unescape_references(text: str) -> str:
    """HTML's and XML's character references replaced. Raises NotUnderstood for what is no character:
    it would become another name."""
    if "&" not in text:
        return text
    at = text.find("&#")
    while at >= 0:
        _check_reference(text[at + 2 : at + 4 + _REFERENCE_DIGITS_MAX])
        at = text.find("&#", at + 2)
    return html.unescape(text)


def _check_reference(said: str) -> None:
    base = 16 if said[:1] in ("x", "X") else 10
    digits = said[1:] if base == 16 else said
    allowed = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    count = len(digits) - len(digits.lstrip(allowed))
    if not count:
        return  # no reference but text
    code = int(digits[:count], base) if count <= _REFERENCE_DIGITS_MAX else -1
    if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise NotUnderstood("a character that does not exist")


def as_bytes(name: str) -> bytes:
    """The bytes of a name as a page told it. Raises NotUnderstood where it holds half a character."""
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise NotUnderstood("a character that does not exist") from exc


def shows_name(shown_name: str, raw: bytes) -> bool:
    """Whether a row shows this name. Apache and nginx cut long ones."""
    said = encode(shown_name.strip())
    if said.endswith(b"..>"):
        return raw.startswith(said[:-3])
    return said == raw.strip()
