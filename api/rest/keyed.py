"""Lists by the page whose rows have keys of other people's making: the cursor holds the last key, and what else says
which list it belongs to.

It is no secret and no promise: whoever makes one up gets rows of the same list, from another place, or none.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from http import HTTPStatus

from ninja import Schema
from pydantic import Field

from api.rest.answers import Refused
from api.rest.pages import LIMIT_MAX

CURSOR_MAX = 20_000


class KeyedQuery(Schema):
    limit: int = Field(50, ge=1, le=LIMIT_MAX, description="How many at most.")
    cursor: str | None = Field(
        None,
        max_length=CURSOR_MAX,
        pattern=r"^[A-Za-z0-9_-]+$",
        description="`next` of the page before; without: the first page.",
    )


def no_such_page() -> Refused:
    return Refused(
        HTTPStatus.NOT_FOUND,
        "This list has no such page: give `next` of the page before as it came.",
    )


def pack_key(parts: Sequence[str | int]) -> str:
    text = json.dumps(list(parts), ensure_ascii=False, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def unpack_key(cursor: str, numbers: int) -> tuple[list[int], list[str]]:
    """The parts: so many numbers, and the texts behind them. Raises Refused."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise no_such_page() from None
    if not isinstance(parts, list):
        raise no_such_page()
    first, rest = parts[:numbers], parts[numbers:]
    if len(first) < numbers or not rest:
        raise no_such_page()
    if not all(type(part) is int and 0 <= part < 1 << 31 for part in first):
        raise no_such_page()
    if not all(isinstance(part, str) and _can_be_read(part) for part in rest):
        raise no_such_page()
    return first, rest


def _can_be_read(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text
