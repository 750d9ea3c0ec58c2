"""Reads the lines of `find -printf`, and the complaints of `find` and `tar`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from farends.errors import (
    PermissionRefused,
    ProtocolViolation,
    TransientError,
    TransportError,
    Truncated,
    Unstable,
    Vanished,
)
from farends.secure_shell.splitting import Splitter
from farends.wire.far_text import show

RECORD_BYTES_MAX = 64 * 1024
READINGS_MAX = 16
_NS_DIGITS = 9


@dataclass(frozen=True, slots=True)
class Record:
    """`kind` is find's letter: f, d, l, p, s, b, c."""

    kind: bytes
    size_bytes: int
    modified_ns: int
    path: bytes


def parse_record(raw: bytes) -> Record:
    """`kind size seconds.fraction path`. Raises ProtocolViolation."""
    try:
        kind, size, time, path = raw.split(b" ", 3)
        seconds, _, fraction = time.partition(b".")
        nanoseconds = int(fraction[:_NS_DIGITS].ljust(_NS_DIGITS, b"0"))
        record = Record(kind, int(size), int(seconds) * 10**_NS_DIGITS + nanoseconds, path)
    except ValueError:  # also of more figures than Python reads
        raise ProtocolViolation(f"find said {show(raw, 100)}") from None
    if record.size_bytes < 0 or len(kind) != 1:
        raise ProtocolViolation(f"find said {show(raw, 100)}")
    return record


def record_splitter() -> Splitter:
    """Cuts a stream at its NULs."""
    return Splitter(b"\0", RECORD_BYTES_MAX, "find told a name without end")


_ESCAPE = re.compile(rb"\\([0-7]{3}|.)", re.DOTALL)
_LETTERS = {
    b"n": b"\n",
    b"t": b"\t",
    b"r": b"\r",
    b"b": b"\b",
    b"f": b"\f",
    b"v": b"\v",
    b"a": b"\a",
}


def unescape_name(raw: bytes) -> bytes:
    """A name as GNU's quoting style `escape` prints it."""

    def plain(found: re.Match[bytes]) -> bytes:
        code = found[1]
        if len(code) == 3:
            return bytes([int(code, 8) & 0xFF])
        return _LETTERS.get(code, code)

    return _ESCAPE.sub(plain, raw)


@dataclass(frozen=True, slots=True)
class ShellComplaint:
    path: bytes
    text: str

    def error(self) -> TransportError:
        """What a complaint about one file means."""
        if "No such file" in self.text or "removed before" in self.text:
            return Vanished(self.text)
        if "Permission denied" in self.text or "not permitted" in self.text:
            return PermissionRefused(self.text)
        if "shrank" in self.text:
            return Truncated(self.text)
        if "changed as we read it" in self.text:
            return Unstable(self.text)
        return TransientError(self.text)


_FIND = re.compile(rb"find: ['`](.*)': (.+)", re.DOTALL)


def parse_find_complaint(line: bytes) -> ShellComplaint | None:
    found = _FIND.fullmatch(line)
    if found is None:
        return None
    path = unescape_name(found[1]).removeprefix(b".").removeprefix(b"/")
    return ShellComplaint(path, show(found[2]))


def parse_tar_complaints(line: bytes) -> list[ShellComplaint]:
    """Readings of `tar: NAME: TEXT`: a name may hold a colon itself, and a few of them are tried."""
    if not line.startswith(b"tar: "):
        return []
    words = line[5:].split(b": ", READINGS_MAX)
    return [
        ShellComplaint(unescape_name(b": ".join(words[:count])), show(b": ".join(words[count:])))
        for count in range(1, len(words))
    ]
