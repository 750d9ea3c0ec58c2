"""Reads blobs so that no wrong byte of them goes out.

A blob of up to WHOLE_BYTES is read and hashed before its first byte goes out. For a large blob this would make every
range cost a reading of the whole. So the first reader hashes the whole blob, compares the result with the blob's
name, and writes the digests of its blocks into a file beside it. Each later reader checks every block as it reads the
block. The file of digests only saves work: if it is missing, torn or damaged, it is built again from proved bytes.

Layout of such a file: a header line, the SHA-256 of what follows (32 bytes), the blob's own SHA-256 (32), its size
(8, little endian), and for each block of BLOCK_BYTES the first SUM_BYTES of its SHA-256.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Self

from store.errors import BlobDamaged

BLOCK_BYTES = 1 << 20
WHOLE_BYTES = 4 << 20
SUM_BYTES = 16
HEADER = b"SYNCPROJECT-SUMS 1\n"
_DIGEST_BYTES = 32
# Errors of a disk that cannot read the bytes; any other error says nothing about the blob.
UNREADABLE = {errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA}


class Damage(StrEnum):
    CORRUPT = "corrupt"  # it is there, and is something else
    MISSING = "missing"
    UNREADABLE = "unreadable"  # the disk says so


@dataclass(frozen=True, slots=True)
class Sums:
    """What the blocks of one blob must be."""

    size_bytes: int
    blocks: bytes  # the sums of all blocks, one behind the other

    def prove(self, number: int, block: bytes) -> bool:
        wanted = self.blocks[number * SUM_BYTES : (number + 1) * SUM_BYTES]
        return _sum_block(block) == wanted


def read_sums(path: str, sha256: bytes) -> Sums | None:
    """Reads the sums of a blob; None if there are none, or none that can be trusted."""
    try:
        content = Path(path).read_bytes()
    except OSError:
        return None
    start = len(HEADER) + _DIGEST_BYTES
    told = content[start:]
    if content[:start] != HEADER + hashlib.sha256(told).digest():
        return None
    if told[:_DIGEST_BYTES] != sha256:
        return None
    size = told[_DIGEST_BYTES : _DIGEST_BYTES + 8]
    return Sums(int.from_bytes(size, "little"), told[_DIGEST_BYTES + 8 :])


def write_sums(path: str, partial: str, sha256: bytes, sums: Sums) -> None:
    """Writes the sums, under the name `partial` first. They are not flushed to disk: a reader notices a file that a crash
    has torn, and builds it again. If the disk refuses the write, there are no sums."""
    told = sha256 + sums.size_bytes.to_bytes(8, "little") + sums.blocks
    with suppress(OSError):
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(partial).write_bytes(HEADER + hashlib.sha256(told).digest() + told)
        os.rename(partial, path)  # noqa: PTH104 — paths are text here


def hash_file(file: BinaryIO, advance: Callable[[int], None]) -> bytes:
    """The SHA-256 of the whole file; `advance` is told how many bytes were read."""
    digest = hashlib.sha256()
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        advance(len(block))
    return digest.digest()


def measure_sums(file: BinaryIO) -> tuple[bytes, Sums]:
    """Reads the whole file: its SHA-256, and the sums of its blocks."""
    digest = hashlib.sha256()
    blocks = []
    size_bytes = 0
    while block := file.read(BLOCK_BYTES):
        digest.update(block)
        blocks.append(_sum_block(block))
        size_bytes += len(block)
    return digest.digest(), Sums(size_bytes, b"".join(blocks))


class CheckedBlob:
    """An open blob. Without `sums` its bytes are proved already. With `sums` each block is proved as it is read,
    within `noting`."""

    def __init__(
        self,
        file: BinaryIO,
        size_bytes: int,
        sums: Sums | None = None,
        noting: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        self._file = file
        self.size_bytes = size_bytes
        self._sums = sums
        self._noting = noting

    def part(self, start: int = 0, stop: int | None = None) -> Part:
        """Returns these bytes in pieces. The first piece is read at once. Raises BlobDamaged, OSError."""
        try:
            return Part(self, start, self.size_bytes if stop is None else stop)
        except BaseException:
            self.close()
            raise

    def read_block(self, number: int) -> bytes:
        """Raises BlobDamaged, OSError."""
        with self._noting():
            self._file.seek(number * BLOCK_BYTES)
            block = self._file.read(BLOCK_BYTES)
            if self._sums is not None and not self._sums.prove(number, block):
                raise BlobDamaged(f"block {number} of it is not what was stored")
        return block

    def close(self) -> None:
        self._file.close()


class Part:
    """Iterates over a range of a blob. Closing it closes the blob, even if no byte was taken."""

    def __init__(self, blob: CheckedBlob, start: int, stop: int) -> None:
        self._blob = blob
        self._at = start
        self._stop = stop
        self._ahead: bytes | None = self._read()  # damage here is to be told before any byte

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        piece, self._ahead = self._read() if self._ahead is None else self._ahead, None
        if not piece:
            raise StopIteration
        return piece

    def close(self) -> None:
        self._ahead = b""
        self._blob.close()

    def _read(self) -> bytes:
        """Nothing at the end."""
        if self._at >= self._stop:
            return b""
        number, skipped = divmod(self._at, BLOCK_BYTES)
        piece = self._blob.read_block(number)[skipped : skipped + self._stop - self._at]
        self._at += len(piece)
        return piece


def _sum_block(block: bytes) -> bytes:
    return hashlib.sha256(block).digest()[:SUM_BYTES]
