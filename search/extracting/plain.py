"""Text of files that are text: as it stands, decoded, in bounded pieces."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import BinaryIO

from search.core.texts import (
    CHARACTERS_MAX,
    CHARACTERS_READ,
    Extracted,
    Piece,
    RefusalCode,
    TextRefusal,
)
from search.extracting.charsets import (
    UTF8,
    Charset,
    Utf8Check,
    find_iso2022,
    find_wide_charset,
    guess_codec,
    is_binary,
)

_BLOCK_BYTES = 256 << 10
HELD_BYTES_MAX = 1 << 20  # of a file that is read once; a longer one is read again


def read_plain_text(
    kind: str,
    held: bytes,
    rest: BinaryIO,
    open_: Callable[[], BinaryIO],
    check: Callable[[], None],
) -> Extracted | TextRefusal:
    """`held` is the file, if it has HELD_BYTES_MAX at most; else its beginning, and `rest` follows on it. The pieces of a
    longer file are read by `open_` while they are asked for."""
    found = find_charset(held, rest, check)
    if isinstance(found, TextRefusal):
        return found
    again = (lambda: BytesIO(held)) if len(held) <= HELD_BYTES_MAX else open_
    return Extracted(kind, _iter_pieces(again, found, check))


def decode_all(raw: bytes) -> str | TextRefusal:
    """Text of a part that fits into memory."""
    found = find_charset(raw, BytesIO(), lambda: None)
    if isinstance(found, TextRefusal):
        return found
    return raw[found.mark_bytes :].decode(found.codec, "replace")


def find_charset(head: bytes, rest: BinaryIO, check: Callable[[], None]) -> Charset | TextRefusal:
    """`rest` is what follows on `head`."""
    marked = find_wide_charset(head)
    if marked is not None and marked.codec != "utf-8":
        return marked
    if is_binary(head):
        return TextRefusal(
            RefusalCode.BINARY, "It is no text: it has zero bytes or many control characters."
        )
    if marked is not None:
        return marked
    if seven_bits := find_iso2022(head):
        return Charset(seven_bits)
    known, sample = _read_as_utf8(head, rest, check)
    if known.is_utf8:
        return UTF8
    codec = guess_codec(sample)
    if codec is None and known.is_mostly_utf8:
        return UTF8
    if codec is None:
        return TextRefusal(
            RefusalCode.UNKNOWN_CHARSET,
            "Nothing tells in which charset it is written. Save it as UTF-8.",
        )
    return Charset(codec)


def _read_as_utf8(
    head: bytes, rest: BinaryIO, check: Callable[[], None]
) -> tuple[Utf8Check, bytes]:
    """With a sample of what is none, if there is some."""
    known, sample = Utf8Check(), b""
    for block in _iter_blocks(head, rest):
        check()
        known.add(block, is_last=False)
        if known.has_errors and not sample:
            sample = _sample(block)
        if known.characters >= CHARACTERS_MAX:
            return known, sample
    known.add(b"", is_last=True)
    return known, sample or head


def _sample(block: bytes) -> bytes:
    """From the beginning of the line with the first character beyond ASCII."""
    first = len(block) - len(block.lstrip(bytes(range(128))))
    return block[block.rfind(b"\n", 0, first) + 1 :]


def _iter_blocks(head: bytes, rest: BinaryIO) -> Iterator[bytes]:
    yield from (head[at : at + _BLOCK_BYTES] for at in range(0, len(head), _BLOCK_BYTES))
    while block := rest.read(_BLOCK_BYTES):
        yield block


def _iter_pieces(
    open_: Callable[[], BinaryIO], charset: Charset, check: Callable[[], None]
) -> Iterator[Piece]:
    decoder = codecs.getincrementaldecoder(charset.codec)("replace")
    line, left, old_line_ends = 1, CHARACTERS_READ, None
    with open_() as file:
        file.read(charset.mark_bytes)
        while left > 0:
            check()
            block = file.read(_BLOCK_BYTES)
            text = decoder.decode(block, final=not block)[:left]
            if old_line_ends is None:
                old_line_ends = "\r" in text and "\n" not in text
            if old_line_ends:
                text = text.replace("\r", "\n")
            if text:
                yield Piece(text, line=line)
            line += text.count("\n")
            left -= len(text)
            if not block:
                return
