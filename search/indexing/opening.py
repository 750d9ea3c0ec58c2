"""Opens a blob for the extractor, which never gets a byte of a text that is not what was stored."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any, BinaryIO

from store.blobs import BlobStore
from store.checked import BLOCK_BYTES, WHOLE_BYTES, CheckedBlob
from store.errors import BlobDamaged
from store.packs import Place

PEEK_BYTES = 64 << 10


class ProvedOpener:
    """Opens one blob, as often as it is called. A small blob is read and proved at the first call. Of a large one the
    beginning may be looked at before the whole is proved: most large files turn out to have no text.

    A call, and reading, raises BlobMissing, BlobDamaged, StoreAway, OSError."""

    def __init__(
        self, store: BlobStore, sha256: bytes, size_bytes: int, places: Mapping[bytes, Place]
    ) -> None:
        self._store = store
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._places = places
        self._content: bytes | None = None

    def __call__(self) -> BinaryIO:
        if self._size_bytes > WHOLE_BYTES:
            return io.BufferedReader(
                LargeBlob(self._store, self._sha256, self._size_bytes), BLOCK_BYTES
            )
        if self._content is None:
            self._content = self._read()
        return io.BytesIO(self._content)

    def _read(self) -> bytes:
        blob = self._store.open_checked(self._sha256, self._places)
        try:
            blocks = range(-(-blob.size_bytes // BLOCK_BYTES))
            return b"".join(blob.read_block(number) for number in blocks)
        finally:
            blob.close()


class LargeBlob(io.RawIOBase):
    """A blob that is a file of its own. What lies behind its first PEEK_BYTES is proved before it is given out, and so
    are these then."""

    def __init__(self, store: BlobStore, sha256: bytes, size_bytes: int) -> None:
        self._store = store
        self._sha256 = sha256
        self._size_bytes = size_bytes
        self._at = 0
        with store.noting(sha256), store.open(sha256, {}) as file:
            self._head = file.read(PEEK_BYTES)
        self._checked: CheckedBlob | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        origin = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        self._at = max(0, origin + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Any) -> int:
        piece = self._read_up_to(len(buffer))
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        if self._checked is not None:
            self._checked.close()
        super().close()

    def _read_up_to(self, size_bytes: int) -> bytes:
        if self._at < len(self._head):
            return self._head[self._at : self._at + size_bytes]
        if self._at >= self._size_bytes:
            return b""
        if self._checked is None:
            self._checked = self._open_checked()
        number, skipped = divmod(self._at, BLOCK_BYTES)
        return self._checked.read_block(number)[skipped : skipped + size_bytes]

    def _open_checked(self) -> CheckedBlob:
        blob = self._store.open_checked(self._sha256, {})
        with self._store.noting(self._sha256):
            if not blob.read_block(0).startswith(self._head):
                raise BlobDamaged("its beginning changed while it was read")
        return blob
