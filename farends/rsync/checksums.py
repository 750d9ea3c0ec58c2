"""The digest with which rsync ends each file that it sends.

It also tells where the sender could not read a file to its end: the sender then fills the file up with
zeros and spoils the digest. The program verifies it only where it writes files itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import xxhash


class Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...
    def digest(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    """`name` as `--checksum-choice` calls it."""

    name: str
    size_bytes: int
    start: Callable[[], Hash]
    is_reversed: bool = False  # sent with its last byte first

    def verifies(self, hashed: Hash, sent: bytes) -> bool:
        return hashed.digest() == (sent[::-1] if self.is_reversed else sent)


MD5 = Checksum("md5", 16, lambda: hashlib.md5(usedforsecurity=False))
XXH128 = Checksum("xxh128", 16, xxhash.xxh3_128, is_reversed=True)
