"""HTTP/1.1 responses, read strictly (RFC 9112): what frames a body must be said once and exactly. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from functools import lru_cache
from typing import Protocol

from farends.errors import ConnectionLost, ProtocolViolation, Stalled, TransportError, Truncated
from farends.wire.far_text import show

HEAD_BYTES_MAX = 64 * 1024
FIELDS_MAX = 256
INTERIM_MAX = 16
_CHUNK_LINE_MAX = 1024
_LENGTH_MAX = 1 << 62

_STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9]{2})(?: .*)?")
_FIELD_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;.*)?")
_DIGITS = re.compile(r"[0-9]{1,19}")


@dataclass(frozen=True, slots=True)
class Head:
    """Status and fields. Names are lower case; a field that came twice is joined by commas."""

    status: int
    fields: Mapping[str, str]
    keep_alive: bool
    length: int | None  # as declared
    chunked: bool

    @property
    def framed(self) -> bool:
        """Whether the end of the body can be told from a lost connection."""
        return self.chunked or self.length is not None


class Consumer(Protocol):
    """Takes one response. What it raises leaves through the connection, which is closed."""

    method: str

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: memoryview) -> None: ...

    def on_end(self) -> None: ...


class _State(Enum):
    HEAD = auto()
    LENGTH = auto()
    CHUNK_LINE = auto()
    CHUNK_DATA = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    TO_CLOSE = auto()


def parse_head(raw: bytes, method: str) -> Head:
    lines = raw.split(b"\r\n")
    status_line = _STATUS_LINE.fullmatch(lines[0])
    if status_line is None:
        raise ProtocolViolation(f"no HTTP status line: {show(lines[0], 80)}")
    if len(lines) > FIELDS_MAX:
        raise ProtocolViolation(f"a response with over {FIELDS_MAX} header fields")
    fields: dict[str, str] = {}
    for line in lines[1:]:
        name, value = _seen_field(line) if len(line) <= _SHORT else _parse_field(line)
        if name in fields:
            value = f"{fields[name]}, {value}"
        fields[name] = value
    status = int(status_line[2])
    connection = fields.get("connection", "").lower()
    keep_alive = "close" not in connection and (
        status_line[1] == b"1" or "keep-alive" in connection
    )
    length, chunked = _framing(fields, status, method)
    return Head(status, fields, keep_alive, length, chunked)


def _parse_field(line: bytes) -> tuple[str, str]:
    name, colon, value = line.partition(b":")
    if not colon or not _FIELD_NAME.fullmatch(name) or any(mark in value for mark in b"\0\r\n"):
        raise ProtocolViolation(f"no HTTP header field: {show(line, 80)}")
    return name.decode("ascii").lower(), value.strip(b" \t").decode("latin-1")


_SHORT = 80
_seen_field = lru_cache(1024)(_parse_field)  # most lines are those of the response before


def _framing(fields: Mapping[str, str], status: int, method: str) -> tuple[int | None, bool]:
    coding, declared = fields.get("transfer-encoding"), fields.get("content-length")
    length = None
    if declared is not None:
        if coding is not None:
            raise ProtocolViolation("a response with both a length and a transfer coding")
        if not _DIGITS.fullmatch(declared) or int(declared) > _LENGTH_MAX:
            raise ProtocolViolation(f"Content-Length is {show(declared)!r}")
        length = int(declared)
    if coding is not None and coding.strip().lower() != "chunked":
        raise ProtocolViolation(f"transfer coding {show(coding)!r}")
    if method == "HEAD" or status < 200 or status in (204, 304):
        return length, False
    return length, coding is not None


class ResponseReader:
    """Reads the responses of one connection in turn, each into the consumer that is set for it."""

    def __init__(self) -> None:
        self._state = _State.HEAD
        self._rest = b""
        self._left = 0
        self._interim = self._trailer_bytes = 0
        self._consumer: Consumer | None = None
        self._head: Head | None = None
        self.body_bytes = 0

    @property
    def head(self) -> Head | None:
        """The head of the response whose body is being read."""
        return self._head

    @property
    def begun(self) -> bool:
        return bool(self._rest) or self._head is not None or self._interim > 0

    def expect(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._interim = self._trailer_bytes = 0
        self.body_bytes = 0

    def feed(self, data: bytes) -> bytes | None:
        """Reads up to the end of the expected response.

        Returns None while it goes on, else what came after it.
        """
        if self._rest:
            data, self._rest = self._rest + data, b""
        at, view = 0, memoryview(data)
        while self._consumer is not None:
            step = _STEPS[self._state](self, data, view, at)
            if step is None:
                self._rest = data[at:]
                return None
            at = step
        return data[at:]

    def ended(self) -> TransportError | None:
        """The peer closed: None where that ends the body rightly."""
        if self._state is _State.TO_CLOSE:
            self._finish()
            return None
        if self._head is not None:
            told = f" of {self._head.length}" if self._head.length is not None else ""
            return Truncated(f"the connection ended after {self.body_bytes}{told} bytes")
        return ConnectionLost("the host closed the connection instead of answering")

    def _finish(self) -> None:
        consumer, self._consumer, self._head = self._consumer, None, None
        self._state = _State.HEAD
        if consumer is not None:
            consumer.on_end()

    def _read_head(self, data: bytes, view: memoryview, at: int) -> int | None:
        end = data.find(b"\r\n\r\n", at)
        if end < 0 or end - at > HEAD_BYTES_MAX:
            if len(data) - at > HEAD_BYTES_MAX:
                raise ProtocolViolation(f"response headers over {HEAD_BYTES_MAX} bytes")
            return None
        consumer = self._consumer
        assert consumer is not None  # noqa: S101 — feed's loop condition, for the type checker
        head = parse_head(data[at:end], consumer.method)
        if head.status < 200:
            self._interim += 1
            if head.status == 101:
                raise ProtocolViolation("the host switched protocols unasked")
            if self._interim > INTERIM_MAX:
                raise Stalled("the host says `continue` without end")
            return end + 4
        self._head = head
        consumer.on_head(head)
        bodyless = consumer.method == "HEAD" or head.status in (204, 304) or head.length == 0
        if bodyless:
            self._finish()
        elif head.chunked:
            self._state = _State.CHUNK_LINE
        elif head.length is not None:
            self._state, self._left = _State.LENGTH, head.length
        else:
            self._state = _State.TO_CLOSE
        return end + 4

    def _give(self, view: memoryview, at: int, count: int) -> int:
        self.body_bytes += count
        if self._consumer is not None:
            self._consumer.on_data(view[at : at + count])
        return at + count

    def _read_length(self, data: bytes, view: memoryview, at: int) -> int | None:
        count = min(self._left, len(data) - at)
        if not count:
            return None
        self._left -= count
        at = self._give(view, at, count)
        if not self._left:
            self._finish()
        return at

    def _read_to_close(self, data: bytes, view: memoryview, at: int) -> int | None:
        return self._give(view, at, len(data) - at) if len(data) > at else None

    def _read_chunk_line(self, data: bytes, view: memoryview, at: int) -> int | None:
        line = _line(data, at)
        if line is None:
            return None
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise ProtocolViolation(f"no chunk size: {show(line, 40)}")
        self._left = int(size[1], 16)
        self._state = _State.CHUNK_DATA if self._left else _State.TRAILER
        return at + len(line) + 2

    def _read_chunk_data(self, data: bytes, view: memoryview, at: int) -> int | None:
        count = min(self._left, len(data) - at)
        if not count:
            return None
        self._left -= count
        if not self._left:
            self._state = _State.CHUNK_END
        return self._give(view, at, count)

    def _read_chunk_end(self, data: bytes, view: memoryview, at: int) -> int | None:
        if len(data) - at < 2:
            return None
        if data[at : at + 2] != b"\r\n":
            raise ProtocolViolation("a chunk is longer than its size says")
        self._state = _State.CHUNK_LINE
        return at + 2

    def _read_trailer(self, data: bytes, view: memoryview, at: int) -> int | None:
        line = _line(data, at)
        if line is None:
            return None
        self._trailer_bytes += len(line) + 2
        if self._trailer_bytes > HEAD_BYTES_MAX:
            raise ProtocolViolation(f"response trailers over {HEAD_BYTES_MAX} bytes")
        if not line:
            self._finish()
        return at + len(line) + 2


def _line(data: bytes, at: int) -> bytes | None:
    end = data.find(b"\r\n", at, at + _CHUNK_LINE_MAX)
    if end < 0:
        if len(data) - at >= _CHUNK_LINE_MAX:
            raise ProtocolViolation("a chunk line without end")
        return None
    return data[at:end]


_STEPS = {
    _State.HEAD: ResponseReader._read_head,
    _State.LENGTH: ResponseReader._read_length,
    _State.CHUNK_LINE: ResponseReader._read_chunk_line,
    _State.CHUNK_DATA: ResponseReader._read_chunk_data,
    _State.CHUNK_END: ResponseReader._read_chunk_end,
    _State.TRAILER: ResponseReader._read_trailer,
    _State.TO_CLOSE: ResponseReader._read_to_close,
}
