"""What stands in an answer of `/v1/embeddings`: vectors as lists of numbers or as base64, in any order."""

from __future__ import annotations

import binascii
import json
import sys
from array import array
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from farends.wire.far_text import show
from search.embedding.contract import EmbedCode, EmbedFailed

_LOOKED_AT = 200  # bytes of what is no answer
_SHOWN = 80


class _Item(msgspec.Struct):
    embedding: Any
    index: int | None = None


class _Reply(msgspec.Struct):
    data: list[_Item]


def iter_vectors(body: bytes, count: int) -> Iterator[tuple[int, Sequence[float]]]:
    """Yields each vector with the place of its text. An answer without any index is in the order of the texts. Raises
    EmbedFailed."""
    items = _read_reply(body)
    is_numbered = any(item.index is not None for item in items)
    seen: set[int] = set()
    for position, item in enumerate(items):
        place = item.index if is_numbered else position
        if place is None or not 0 <= place < count or place in seen:
            raise EmbedFailed(
                EmbedCode.PROTOCOL, f"the answer has a vector for text {place} of {count} texts"
            )
        seen.add(place)
        values = _read_values(item.embedding)
        if values:
            yield place, values


def _read_reply(body: bytes) -> list[_Item]:
    try:
        return msgspec.json.decode(body, type=_Reply).data
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        pass
    try:  # Python's own way also reads NaN, which JSON does not have and services send
        return msgspec.convert(json.loads(body), type=_Reply).data
    except (ValueError, RecursionError):  # msgspec's error is a ValueError
        begins = show(body[:_LOOKED_AT].decode("utf-8", "replace"), _SHOWN)
        raise EmbedFailed(
            EmbedCode.PROTOCOL, f"the answer is no JSON with vectors; it begins: {begins}"
        ) from None


def _read_values(found: Any) -> Sequence[float]:
    """The numbers of a vector; none where it has none."""
    if isinstance(found, str):  # base64 of 32-bit floats, as OpenAI offers
        try:
            values = array("f", binascii.a2b_base64(found, strict_mode=True))
        except (binascii.Error, ValueError):
            raise EmbedFailed(EmbedCode.PROTOCOL, "a vector is no base64 of floats") from None
        if sys.byteorder == "big":
            values.byteswap()
        return values
    if not isinstance(found, list):
        return ()
    if set(map(type, found)) <= {int, float}:
        return found
    return [float("nan")] * len(found)  # no direction
