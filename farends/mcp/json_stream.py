"""Reads JSON as it arrives, for who must not hold it: a string of any length comes piece by piece (RFC 8259).

Everything else is bounded: what is kept of a value, and how deep values lie in each other. Who hands the pieces over
bounds how many there are.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import msgspec

from farends.errors import McpProtocol, Truncated

T = TypeVar("T")

DEPTH_MAX = 100
KEY_BYTES_MAX = 1_000
_SPACE = re.compile(rb"[ \t\r\n]*+")
# Whole characters of a string: an escape that needs its second half is taken with it or not at all, and half of a
# pair (U+D800 to U+DFFF) is no character.
_UNITS = re.compile(
    rb'(?:[^"\\\x00-\x1f]++|\\["\\/bfnrt]|\\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}'
    rb"|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})*+"
)
_ESCAPE_BYTES_MAX = 12
_STRING = msgspec.json.Decoder(str)
_ANY: msgspec.json.Decoder[Any] = msgspec.json.Decoder()
_WORD = re.compile(rb"[-+.0-9A-Za-z]*+")
_WORD_MAX = 400
_NUMBER_OR_NAME = re.compile(
    rb"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?+(?:[eE][-+]?[0-9]++)?+|true|false|null)"
)


class JsonStream:
    """Methods read the next value, in the order in which the text has them. Each raises McpProtocol for what is no
    JSON or more than is taken, and Truncated where the text ends too early."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._left = b""
        self._at = 0
        self._kept: bytearray | None = None
        self._kept_max = 0

    def is_empty(self) -> bool:
        """Whether nothing but white space is left."""
        return self._find_next() is None

    def begins_with(self, sign: bytes) -> bool:
        """Whether the next value is of that kind: `{`, `[`, `"`, or `n` of null."""
        return self._next() == sign

    def members(self) -> Iterator[str]:
        """The keys of an object. The value of each must be read before the next key is asked for."""
        self._take(b"{")
        if self._next() == b"}":
            self._advance(1)
            return
        while True:
            if self._next() != b'"':
                raise McpProtocol("the answer is no JSON: a key is missing")
            key = self.read_string(KEY_BYTES_MAX)
            self._take(b":")
            yield key
            if not self._goes_on(b"}"):
                return

    def items(self) -> Iterator[None]:
        """Once for each value of an array, which must be read then."""
        self._take(b"[")
        if self._next() == b"]":
            self._advance(1)
            return
        while True:
            yield None
            if not self._goes_on(b"]"):
                return

    def iter_string(self) -> Iterator[bytes]:
        """A string as UTF-8, in pieces."""
        self._take(b'"')
        while True:
            piece, is_last = self._read_units()
            if piece:
                yield piece
            if is_last:
                return

    def read_string(self, bytes_max: int) -> str:
        return _decode(self.read_raw(bytes_max), _STRING)

    def read_value(self, bytes_max: int) -> Any:
        return _decode(self.read_raw(bytes_max), _ANY)

    def read_raw(self, bytes_max: int) -> bytes:
        """A value as it is written."""
        self._find_next()
        kept = self._kept = bytearray()
        self._kept_max = bytes_max
        try:
            self._skip(0)
        finally:
            self._kept = None
        return bytes(kept)

    def skip(self) -> None:
        """Passes over a value."""
        self._skip(0)

    def finish(self) -> None:
        """Raises McpProtocol where something follows."""
        if not self.is_empty():
            raise McpProtocol("the answer is no JSON: something follows it")

    def _skip(self, depth: int) -> None:
        if depth > DEPTH_MAX:
            raise McpProtocol(f"the answer is nested more than {DEPTH_MAX} deep")
        match self._next():
            case b"{":
                for _ in self._keys_only():
                    self._skip(depth + 1)
            case b"[":
                for _ in self.items():
                    self._skip(depth + 1)
            case b'"':
                self._skip_string()
            case _:
                self._skip_word()

    def _keys_only(self) -> Iterator[None]:
        """Like `members`, for who does not ask what the keys are: they may be of any length."""
        self._take(b"{")
        if self._next() == b"}":
            self._advance(1)
            return
        while True:
            if self._next() != b'"':
                raise McpProtocol("the answer is no JSON: a key is missing")
            self._skip_string()
            self._take(b":")
            yield None
            if not self._goes_on(b"}"):
                return

    def _skip_string(self) -> None:
        self._take(b'"')
        while not self._read_units()[1]:
            pass

    def _skip_word(self) -> None:
        word = b""
        while True:
            found = _WORD.match(self._left, self._at)
            piece = found[0] if found else b""
            word += piece
            if len(word) > _WORD_MAX:
                raise McpProtocol("the answer is no JSON: a number without end")
            self._advance(len(piece))
            if self._at < len(self._left) or not self._fill():
                break
        if not _NUMBER_OR_NAME.fullmatch(word):
            raise McpProtocol("the answer is no JSON")

    def _read_units(self) -> tuple[bytes, bool]:
        """Some more of a string, decoded, and whether its end was taken with it."""
        while True:
            found = _UNITS.match(self._left, self._at)
            end = found.end() if found else self._at
            if end < len(self._left) and self._left[end : end + 1] == b'"':
                piece = _text(self._left[self._at : end])
                self._advance(end - self._at + 1)
                return piece, True
            whole = end if end < len(self._left) else _find_cut(self._left, self._at)
            if whole > self._at:
                piece = _text(self._left[self._at : whole])
                self._advance(whole - self._at)
                return piece, False
            has_room = len(self._left) - self._at < _ESCAPE_BYTES_MAX
            if has_room and self._fill():
                continue
            if self._at < len(self._left):
                raise McpProtocol("the answer is no JSON: a string holds what none can hold")
            raise Truncated("the answer ended within a string")

    def _goes_on(self, end: bytes) -> bool:
        sign = self._next()
        if sign not in (b",", end):
            raise McpProtocol("the answer is no JSON: a comma is missing")
        self._advance(1)
        return sign == b","

    def _take(self, sign: bytes) -> None:
        if self._next() != sign:
            raise McpProtocol(f"the answer is no JSON: {sign.decode()} is missing")
        self._advance(1)

    def _next(self) -> bytes:
        sign = self._find_next()
        if sign is None:
            raise Truncated("the answer ended too early")
        return sign

    def _find_next(self) -> bytes | None:
        """The next sign that is no white space, which is passed over."""
        while True:
            found = _SPACE.match(self._left, self._at)
            if found is not None:
                self._advance(found.end() - self._at)
            if self._at < len(self._left):
                return self._left[self._at : self._at + 1]
            if not self._fill():
                return None

    def _advance(self, count: int) -> None:
        if self._kept is not None:
            if len(self._kept) + count > self._kept_max:
                raise McpProtocol(f"a part of the answer has over {self._kept_max} bytes")
            self._kept += self._left[self._at : self._at + count]
        self._at += count

    def _fill(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._left, self._at = self._left[self._at :] + piece, 0
        return True


def _find_cut(raw: bytes, start: int) -> int:
    """Where a character that may go on behind the end begins, else the end."""
    for back in range(1, min(4, len(raw) - start) + 1):
        byte = raw[len(raw) - back]
        if byte >= 0xC0:
            return len(raw) - back
        if byte < 0x80:
            break
    return len(raw)


def _text(raw: bytes) -> bytes:
    """The UTF-8 of a part of a string, as it is between the quotes."""
    if b"\\" in raw:
        return _decode(b'"' + raw + b'"', _STRING).encode()
    try:
        raw.decode()
    except UnicodeDecodeError as exc:
        raise McpProtocol("the answer is no UTF-8") from exc
    return raw


def _decode(raw: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    try:
        return decoder.decode(raw)
    except (ValueError, RecursionError) as exc:
        raise McpProtocol("the answer is no JSON that can be read") from exc
