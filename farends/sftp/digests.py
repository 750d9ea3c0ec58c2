"""Asks an SFTP server for the SHA-256 of files: `check-file` (draft-ietf-secsh-filexfer-extensions §3).

Servers have it without announcing it (ProFTPD in version 3), so the first files show whether this
one has.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Iterable, Iterator

from farends.contract import Digested, RemoteEntry
from farends.errors import ProtocolViolation
from farends.sftp.client import SftpClient
from farends.sftp.packets import Fields, PacketKind, Status, pack_string
from farends.sftp.tree import remote_path

NAME = "check-file"
ASKED_MAX = 64
BYTES_MAX = 1 << 30
SLOWEST_BYTES_S = 4 << 20  # a host that reads slower than this counts as silent
SILENT_MAX = 8  # refusals before any digest: then the server has none
_ALGORITHMS = (b"sha256", b"sha-256")


def _first_bytes(count: int) -> bytes:
    """A range, as one block; 0 is to the end."""
    return struct.pack(">QQI", 0, count, 0)


class SftpDigests:
    """For one client; knows after the first files whether it is worth asking."""

    def __init__(self, client: SftpClient) -> None:
        self._client = client
        self._refused = 0
        self.told: bool | None = None  # whether the server computes digests; None: not known yet

    def digests(self, root: bytes, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        done: deque[Digested] = deque()
        asked: dict[int, int] = {}  # by request, the bytes to be read for it
        number = 0
        try:
            for entry in entries:
                if self.told is False:
                    done.append(Digested(entry, None))
                else:
                    size_bytes = entry.size_bytes or 0
                    limit = ASKED_MAX if self.told else SILENT_MAX
                    while asked and (
                        len(asked) >= limit or sum(asked.values()) + size_bytes > BYTES_MAX
                    ):
                        self._client.pump()
                    asked[number] = size_bytes
                    self._client.grace_s = sum(asked.values()) / SLOWEST_BYTES_S
                    self._ask(remote_path(root, entry.path), entry, number, asked, done)
                    number += 1
                while done:
                    yield done.popleft()
            while asked:
                self._client.pump()
            yield from done
        finally:
            self._client.grace_s = 0.0

    def prefix(self, handle: bytes, size_bytes: int) -> bytes | None:
        """The digest of an open file's first bytes; None where the server cannot tell it."""
        if self.told is False:
            return None
        body = pack_string(b"check-file-handle") + pack_string(handle) + pack_string(b"sha256")
        self._client.grace_s = size_bytes / SLOWEST_BYTES_S
        try:
            return self._read(
                *self._client.call(PacketKind.EXTENDED, body + _first_bytes(size_bytes))
            )
        finally:
            self._client.grace_s = 0.0

    def _ask(
        self,
        path: bytes,
        entry: RemoteEntry,
        number: int,
        asked: dict[int, int],
        done: deque[Digested],
    ) -> None:
        def answer(kind: int, fields: Fields) -> None:
            del asked[number]
            done.append(Digested(entry, self._read(kind, fields)))

        body = (
            pack_string(b"check-file-name")
            + pack_string(path)
            + pack_string(b"sha256")
            + _first_bytes(0)
        )
        self._client.request(PacketKind.EXTENDED, body, answer)

    def _read(self, kind: int, fields: Fields) -> bytes | None:
        if kind == PacketKind.EXTENDED_REPLY:
            algorithm = fields.text()
            if algorithm == NAME.encode():  # some servers repeat the name first
                algorithm = fields.text()
            digest = fields.rest()
            if algorithm.lower() in _ALGORITHMS and len(digest) == 32:
                self.told = True
                return digest
        elif kind == PacketKind.STATUS:
            if fields.uint32() in (Status.OP_UNSUPPORTED, Status.BAD_MESSAGE):
                self.told = self.told or False
        else:
            raise ProtocolViolation("the SFTP server answered with no digest and no status")
        self._refused += 1
        if self._refused >= SILENT_MAX and self.told is None:
            self.told = False
        return None
