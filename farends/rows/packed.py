"""Rows that lie one behind the other in large pieces: they are taken apart only where somebody asks for one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload


class PackedRows(Sequence[bytes]):
    """Each piece is one row, or some whose only line ends are their own."""

    def __init__(self) -> None:
        self._pieces: list[tuple[bytes, int]] = []
        self._count = 0
        self._apart: list[bytes] | None = None

    def add(self, piece: bytes, count: int = 1) -> None:
        self._pieces.append((piece, count))
        self._count += count
        self._apart = None

    def join(self) -> bytes:
        return b"".join([piece for piece, _ in self._pieces])

    def count_bytes(self) -> int:
        return sum(len(piece) for piece, _ in self._pieces)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        return self._take_apart()[index]

    def _take_apart(self) -> list[bytes]:
        if self._apart is None:
            self._apart = []
            for piece, count in self._pieces:
                self._apart += [piece] if count == 1 else piece.splitlines(keepends=True)
        return self._apart


def join_rows(rows: Sequence[bytes]) -> bytes:
    return rows.join() if isinstance(rows, PackedRows) else b"".join(rows)


def count_row_bytes(rows: Sequence[bytes]) -> int:
    return rows.count_bytes() if isinstance(rows, PackedRows) else sum(map(len, rows))
