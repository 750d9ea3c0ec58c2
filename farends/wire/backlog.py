"""How many folders of a listing may wait to be read: what waits lies in memory, and a host tells as many
as it likes."""

from __future__ import annotations

import sys

from farends.errors import ConnectionStage, ProtocolViolation

FOLDERS_MAX = 1_000_000
BYTES_MAX = 128 * 1024 * 1024


class Backlog:
    """Counts what waits; the walk that owns it keeps the folders themselves."""

    def __init__(self) -> None:
        self._count = 0
        self._size_bytes = 0

    def add(self, path: str) -> None:
        """Raises ProtocolViolation where more would wait than a listing may cost."""
        self._count += 1
        self._size_bytes += sys.getsizeof(path)
        if self._count > FOLDERS_MAX or self._size_bytes > BYTES_MAX:
            raise ProtocolViolation(
                f"{self._count} folders wait to be listed: more than a listing may hold",
                stage=ConnectionStage.LIST,
            )

    def remove(self, path: str) -> None:
        self._count -= 1
        self._size_bytes -= sys.getsizeof(path)
