"""Text of mails: who wrote what to whom, and the names of attachments."""

from __future__ import annotations

import codecs
import email.parser
from collections.abc import Callable, Iterator
from email import feedparser as _loaded  # noqa: F401 — nothing is imported while a mail is read
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.policy import compat32

from search.core.texts import TextRefusal
from search.extracting.html import decode_html, tell_html
from search.extracting.plain import decode_all
from search.extracting.telling import Document, Teller

_READ_BYTES_MAX = 48 << 20
_HEADER_MAX = 2_000
_FIELDS = ("From", "To", "Cc", "Date")
_PARTS_MAX = 1_000
_BODY = "body"


def read_eml(document: Document, teller: Teller) -> None:
    raw = document.file.read(_READ_BYTES_MAX)
    message = email.parser.BytesParser(policy=compat32).parsebytes(raw)
    teller.add_heading(_read_field(message, "Subject"), "", 1)
    for field in _FIELDS:
        if value := _read_field(message, field):
            teller.add(f"{field}: {value}\n", "")
    attached = []
    for part in _iter_parts(message):
        if name := part.get_filename():
            attached.append(_decode_words(str(name)))
        elif part.get_content_type() == "text/html":
            _tell_html(part, teller)
        elif part.get_content_maintype() == "text":
            teller.add(f"{_decode_payload(part, decode_all)}\n", _BODY)
    for name in attached:
        teller.add(f"Attachment: {name}\n", "")


def _iter_parts(message: Message) -> Iterator[Message]:
    """Those that are no containers. Of what is written in several ways, one is read."""
    waiting = [message]
    for _ in range(_PARTS_MAX):
        if not waiting:
            return
        part = waiting.pop()
        inner = part.get_payload()
        if not isinstance(inner, list):
            yield part
            continue
        parts = [one for one in inner if isinstance(one, Message)]
        if part.get_content_subtype() == "alternative":
            parts = sorted(parts, key=_rank)[:1]
        waiting += reversed(parts)


def _rank(part: Message) -> int:
    kind = part.get_content_type()
    if kind == "text/plain":
        return 0
    return 1 if part.is_multipart() or kind == "text/html" else 2


def _tell_html(part: Message, teller: Teller) -> None:
    tell_html(_decode_payload(part, decode_html), teller, _BODY)


def _decode_payload(part: Message, decode: Callable[[bytes], str | TextRefusal]) -> str:
    """`decode` is for a charset that is not told, or wrong."""
    raw = part.get_payload(decode=True)
    if not isinstance(raw, bytes):
        return ""
    text = _decode(raw, part.get_content_charset() or "")
    if text is None:
        found = decode(raw)
        text = "" if isinstance(found, TextRefusal) else found
    return text.replace("\r\n", "\n")


def _decode(raw: bytes, charset: str) -> str | None:
    """None: the charset is not told, or it is wrong."""
    try:
        return raw.decode(charset) if charset and codecs.lookup(charset) else None
    except (LookupError, UnicodeError):
        return None


def _read_field(message: Message, name: str) -> str:
    return _decode_words(str(message.get(name, ""))[:_HEADER_MAX])


def _decode_words(raw: str) -> str:
    """RFC 2047. A word in an unknown charset stays as it is written."""
    raw = raw.encode(errors="surrogateescape").decode(errors="replace")
    try:
        words = decode_header(raw)
    except (HeaderParseError, ValueError):
        return " ".join(raw.split())
    found = []
    for word, charset in words:
        if isinstance(word, bytes):
            found.append(_decode(word, charset or "ascii") or word.decode(errors="replace"))
        else:
            found.append(word)
    return " ".join("".join(found).split())
