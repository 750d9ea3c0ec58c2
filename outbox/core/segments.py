"""A segment's body: lines of readings, compressed. It is written once and never changed."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

# Lines repeat one another's names: the lowest level takes what there is to take, and costs least.
_LEVEL = 1


def pack_lines(lines: Sequence[bytes]) -> bytes:
    return zlib.compress(b"\n".join(lines), _LEVEL)


def unpack_lines(body: bytes | memoryview) -> list[bytes]:
    """Raises ValueError where these are not the bytes that were written."""
    try:
        return zlib.decompress(body).split(b"\n")
    except zlib.error as exc:
        raise ValueError(f"a segment cannot be read: {exc}") from None
