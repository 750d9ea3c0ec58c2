"""What the source of rows asks of those who hold the files."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO, Protocol


@dataclass(frozen=True, slots=True)
class HeldFile:
    """A file whose content never changes: `sha256` names it. `path` is the text form of `farends.names`."""

    path: str
    size_bytes: int
    sha256: bytes


class FileHolder(Protocol):
    def find(self, pattern: str) -> Iterable[HeldFile]:
        """The files whose path matches the glob, by path, bytewise."""
        ...

    def open(self, file: HeldFile) -> BinaryIO:
        """The content; it can seek."""
        ...
