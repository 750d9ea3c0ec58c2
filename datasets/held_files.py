"""The files of one version, for who reads them on this machine: no wrong byte of them goes out."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import BinaryIO

from datasets.models import Version
from datasets.reading import find_entries
from farends.tabular.files import HeldFile
from store.blobs import BlobStore
from store.checked import BLOCK_BYTES, CheckedBlob

_GLOB_SIGNS = "*?["


class VersionFiles:
    """`parse` makes a matcher of a glob."""

    def __init__(
        self, version: Version, store: BlobStore, parse: Callable[[str], Callable[[str], bool]]
    ) -> None:
        self._version = version
        self._store = store
        self._parse = parse

    def find(self, pattern: str) -> Iterator[HeldFile]:
        matches = self._parse(pattern)
        entries = find_entries(self._version.dataset, self._version.number)
        if "/" in pattern:  # else the name is matched at any depth
            prefix = _read_prefix(pattern)
            entries = entries.filter(path__gte=prefix, path__startswith=prefix)
        for entry in entries.iterator(chunk_size=2_000):
            if matches(entry.path):
                yield HeldFile(entry.path, entry.size_bytes, bytes(entry.sha256))

    def open(self, file: HeldFile) -> BinaryIO:
        """Raises BlobMissing, BlobDamaged and OSError, as each reading does."""
        return io.BufferedReader(_CheckedFile(self._store.open_checked(file.sha256)), BLOCK_BYTES)


def _read_prefix(pattern: str) -> str:
    plain = pattern.removeprefix("./").removeprefix("/")
    end = min((plain.find(sign) for sign in _GLOB_SIGNS if sign in plain), default=len(plain))
    return plain[:end]


class _CheckedFile(io.RawIOBase):
    """Keeps the block that was read last."""

    def __init__(self, blob: CheckedBlob) -> None:
        self._blob = blob
        self._at = 0
        self._number = -1
        self._block = b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._blob.size_bytes}[whence]
        self._at = max(0, base + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # what io hands over
        number, into = divmod(self._at, BLOCK_BYTES)
        if number != self._number:
            self._block, self._number = self._blob.read_block(number), number
        piece = self._block[into : into + len(buffer)]
        buffer[: len(piece)] = piece
        self._at += len(piece)
        return len(piece)

    def close(self) -> None:
        self._blob.close()
        super().close()
