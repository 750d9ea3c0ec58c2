"""An SFTP server that reads the disk and adds lies to its root: sshd runs it instead of its own
(`python scripted_sftp.py ROOT LIES`), so that SSH is real and every byte of SFTP is ours. A number
instead of LIES is how many files its root has, none of them on the disk."""

from __future__ import annotations

import os
import stat
import struct
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.hosts.fuzzed import LIE_BYTES, LIE_TIME_S, TYPES, read_lies

INIT, VERSION, OPEN, CLOSE, READ, LSTAT, FSTAT, OPENDIR, READDIR, STAT = (
    1,
    2,
    3,
    4,
    5,
    7,
    8,
    11,
    12,
    17,
)
STATUS, HANDLE, DATA, NAME, ATTRS = 101, 102, 103, 104, 105
NAMES_BYTES = 100_000  # in one answer
Named = tuple[bytes, bytes]


def text(value: bytes) -> bytes:
    return struct.pack(">I", len(value)) + value


def attributes(mode: int, size: int, modified_s: int) -> bytes:
    return struct.pack(">IQIII", 0x1 | 0x4 | 0x8, size, mode, modified_s, modified_s)


def told(found: os.stat_result) -> bytes:
    return attributes(found.st_mode, found.st_size, int(found.st_mtime))


class Server:
    def __init__(self, root: bytes, lies: str) -> None:
        self._root = root
        self._lies = lies
        self._files: dict[bytes, int] = {}
        self._folders: dict[bytes, Iterator[Named]] = {}
        self._count = 0

    def answer(self, kind: int, request_id: int, body: bytes) -> bytes:
        try:
            answer_kind, said = _ANSWERS[kind](self, body)
        except OSError as exc:
            code = {2: 2, 13: 3}.get(exc.errno or 0, 4)
            answer_kind, said = STATUS, _status(code)
        return struct.pack(">IBI", len(said) + 5, answer_kind, request_id) + said

    def _handle(self) -> bytes:
        self._count += 1
        return b"%d" % self._count

    def open(self, body: bytes) -> tuple[int, bytes]:
        path = _text(body)
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return STATUS, _status(4)
        handle = self._handle()
        self._files[handle] = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        return HANDLE, text(handle)

    def read(self, body: bytes) -> tuple[int, bytes]:
        handle = _text(body)
        offset, length = struct.unpack_from(">QI", body, 4 + len(handle))
        data = os.pread(self._files[handle], length, offset)
        return (DATA, text(data)) if data else (STATUS, _status(1))

    def fstat(self, body: bytes) -> tuple[int, bytes]:
        return ATTRS, told(os.fstat(self._files[_text(body)]))

    def lstat(self, body: bytes) -> tuple[int, bytes]:
        return ATTRS, told(os.lstat(_text(body)))

    def opendir(self, body: bytes) -> tuple[int, bytes]:
        path = _text(body)
        handle = self._handle()
        self._folders[handle] = self._names(path)
        return HANDLE, text(handle)

    def _names(self, path: bytes) -> Iterator[Named]:
        if self._lies.isdigit():
            plain = attributes(TYPES["f"] | 0o644, LIE_BYTES, LIE_TIME_S)
            yield from ((b"a file %d" % number, plain) for number in range(int(self._lies)))
            return
        with os.scandir(path) as found:
            for entry in found:
                yield entry.name, told(entry.stat(follow_symlinks=False))
        if path.rstrip(b"/") == self._root:
            for kind, name in read_lies(Path(self._lies)):
                yield name, attributes(TYPES[kind] | 0o644, LIE_BYTES, LIE_TIME_S)

    def readdir(self, body: bytes) -> tuple[int, bytes]:
        said, count = bytearray(), 0
        for name, attrs in self._folders[_text(body)]:
            said += text(name) + text(b"") + attrs
            count += 1
            if len(said) >= NAMES_BYTES:
                break
        return (NAME, struct.pack(">I", count) + bytes(said)) if count else (STATUS, _status(1))

    def close(self, body: bytes) -> tuple[int, bytes]:
        handle = _text(body)
        self._folders.pop(handle, None)
        if handle in self._files:
            os.close(self._files.pop(handle))
        return STATUS, _status(0)


def _status(code: int) -> bytes:
    return struct.pack(">I", code) + text(b"") + text(b"")


def _text(body: bytes) -> bytes:
    (length,) = struct.unpack_from(">I", body)
    return body[4 : 4 + length]


_ANSWERS: dict[int, Callable[[Server, bytes], tuple[int, bytes]]] = {
    OPEN: Server.open,
    READ: Server.read,
    FSTAT: Server.fstat,
    LSTAT: Server.lstat,
    STAT: Server.lstat,
    OPENDIR: Server.opendir,
    READDIR: Server.readdir,
    CLOSE: Server.close,
}


def serve(server: Server) -> None:
    asked = bytearray()
    while data := os.read(0, 1 << 20):
        asked += data
        said, at = bytearray(), 0
        while len(asked) - at >= 4:
            (length,) = struct.unpack_from(">I", asked, at)
            if len(asked) - at - 4 < length:
                break
            packet = bytes(asked[at + 4 : at + 4 + length])
            at += 4 + length
            if packet[0] == INIT:
                said += struct.pack(">IBI", 5, VERSION, 3)
            else:
                (request_id,) = struct.unpack_from(">I", packet, 1)
                said += server.answer(packet[0], request_id, packet[5:])
        del asked[:at]
        view = memoryview(said)
        while view:
            view = view[os.write(1, view) :]


if __name__ == "__main__":
    serve(Server(os.fsencode(sys.argv[1]), sys.argv[2]))
