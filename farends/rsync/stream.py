"""One remote file as a stream, read while rsync sends it."""

from __future__ import annotations

import io
import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from farends.errors import TransientError, Unstable, Vanished
from farends.rsync.batch import RsyncBatch
from farends.rsync.checksums import MD5
from farends.rsync.far import Far, RsyncSource
from farends.rsync.lines import parse_complaint
from farends.rsync.tree import raise_for_root

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class RsyncFile(io.RawIOBase):
    """Closing it ends the run. rsync fetches from the first byte, whatever the offset."""

    def __init__(self, far: Far, place: RsyncSource, path: bytes, offset: int) -> None:
        super().__init__()
        marker = secrets.token_hex(8) + " "
        self._place = place
        self._path = path
        self._skipped_bytes = offset
        self._child = far.fetch(place, [place.name(path)], marker, MD5)
        self._batch = RsyncBatch(self._child, MD5, marker)
        self._pieces = self._iter_pieces()
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        into = memoryview(buffer).cast("B")
        while not self._left:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            skipped = min(self._skipped_bytes, len(piece))
            self._skipped_bytes -= skipped
            self._left = memoryview(piece)[skipped:]
        count = min(len(into), len(self._left))
        into[:count] = self._left[:count]
        self._left = self._left[count:]
        return count

    def close(self) -> None:
        if not self.closed:
            self._child.close()
        super().close()

    def _iter_pieces(self) -> Iterator[bytes | memoryview]:
        found = False
        self._batch.read_list()
        while (sent := self._batch.next_file()) is not None:
            for piece in self._batch.pieces():
                if sent.path == self._path:
                    yield piece
            if sent.path == self._path:
                found = True
                if not self._batch.verified:
                    raise Unstable("the file changed while rsync read it")
        code = self._batch.finish()
        for complaint in filter(None, map(parse_complaint, self._child.complaints)):
            raise_for_root(complaint, self._place)
            raise complaint.error
        if code:
            raise TransientError(f"rsync ended with code {code}")
        if not found:
            raise Vanished("it is no regular file any more")
