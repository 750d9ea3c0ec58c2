"""Replies on an FTP control connection, read within bounds, and what a refusal means (RFC 959 §4.2)."""

from __future__ import annotations

from dataclasses import dataclass

from farends.errors import (
    AuthRefused,
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    Throttled,
    TransientError,
    TransportError,
    Vanished,
)
from farends.wire.far_text import show

LINE_BYTES_MAX = 16 * 1024
REPLY_BYTES_MAX = 256 * 1024

_MISSING = ("no such", "not found", "not exist", "cannot find", "can't find", "can't be found")
_DENIED = ("denied", "permission", "not permitted", "forbidden", "not allowed", "no access")
_FULL = ("too many", "maximum", "limit", "try again later", "already logged in")


@dataclass(frozen=True, slots=True)
class Reply:
    """`lines` hold the text without the code; the first is the code's own."""

    code: int
    lines: tuple[bytes, ...] = (b"",)

    @property
    def preliminary(self) -> bool:
        return self.code < 200

    @property
    def completed(self) -> bool:
        return 200 <= self.code < 300

    @property
    def not_implemented(self) -> bool:
        return self.code in (500, 502, 504)

    @property
    def text(self) -> str:
        return show(self.lines[-1] or self.lines[0])


class ReplyReader:
    """Cuts a byte stream into replies. Raises ProtocolViolation for what is none."""

    def __init__(self) -> None:
        self._rest = b""
        self._code = b""  # of the multi-line reply that is under way
        self._lines: list[bytes] = []
        self._size_bytes = 0

    @property
    def pending(self) -> bool:
        return bool(self._rest or self._lines)

    def feed(self, data: bytes) -> list[Reply]:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > LINE_BYTES_MAX:
            raise ProtocolViolation(f"a reply line over {LINE_BYTES_MAX} bytes")
        replies = []
        for line in lines:
            reply = self._take(line.removesuffix(b"\r"))
            if reply is not None:
                replies.append(reply)
        return replies

    def _take(self, line: bytes) -> Reply | None:
        self._size_bytes += len(line) + 2
        if self._size_bytes > REPLY_BYTES_MAX:
            raise ProtocolViolation(f"a reply over {REPLY_BYTES_MAX} bytes")
        code, mark = line[:3], line[3:4]
        if self._code:
            self._lines.append(line[4:] if code == self._code else line)
            if code != self._code or mark not in (b" ", b""):
                return None
        elif not line:
            return None  # some hosts send an empty line between replies
        elif not code.isdigit() or code[0] not in b"12345" or mark not in (b" ", b"-", b""):
            raise ProtocolViolation(f"{show(line, 60)!r} is no FTP reply")
        elif mark == b"-":
            self._code, self._lines = code, [line[4:]]
            return None
        else:
            self._lines = [line[4:]]
        reply = Reply(int(code), tuple(self._lines))
        self._code, self._lines, self._size_bytes = b"", [], 0
        return reply


def says_full(reply: Reply) -> bool:
    """Whether a refused log-in is about how many there are, not about who asks."""
    text = reply.text.lower()
    return reply.code == 421 or (reply.code == 530 and any(word in text for word in _FULL))


def is_ambiguous(reply: Reply) -> bool:
    """Whether a 550 leaves open if the file is gone or may not be read."""
    text = reply.text.lower()
    return reply.code in (450, 550) and not any(word in text for word in _MISSING + _DENIED)


def announced_bytes(reply: Reply) -> int | None:
    """The size in `150 Opening BINARY mode data connection for name (11 bytes)`, as most hosts say it."""
    _, bracket, said = reply.lines[-1].rpartition(b"(")
    words = said[:64].lower().split()
    if not bracket or len(words) != 2 or words[1].rstrip(b".") not in (b"bytes)", b"byte)"):
        return None
    return int(words[0]) if words[0].isdigit() and len(words[0]) < 19 else None


def make_refusal(reply: Reply, doing: str) -> TransportError:
    """The error that a reply other than the hoped-for one stands for."""
    message = f"{doing}: {reply.text or 'refused'} ({reply.code})"
    text = reply.text.lower()
    if reply.code == 421:
        return Throttled(message)
    if reply.code in (530, 532):
        return AuthRefused(message)
    if reply.code in (450, 501, 550, 553) and any(word in text for word in _MISSING):
        return Vanished(message)
    if reply.code in (450, 550, 553) and any(word in text for word in _DENIED):
        return PermissionRefused(message)
    if reply.code == 550:
        return Vanished(message)
    if reply.code < 400 or reply.code in (500, 503):
        return ProtocolViolation(message)
    return TransientError(message) if reply.code < 500 else PermanentError(message)
