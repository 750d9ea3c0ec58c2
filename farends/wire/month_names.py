"""Finds months by their names in many languages (CLDR), as `ls` and web servers write them."""

from __future__ import annotations

import functools
from pathlib import Path

_TABLE = Path(__file__).with_suffix(".txt")
_SIGNS = ("月", "월", "月份")  # Chinese, Japanese, Korean: the number and a sign
_BYTES_MAX = 60


@functools.cache
def _names() -> dict[str, int]:
    found = {}
    for line in _TABLE.read_text("utf-8").splitlines():
        number, *names = line.split(" ")
        if number != "#":
            found.update(dict.fromkeys(names, int(number)))
    return found


def find_month(raw: bytes) -> int | None:
    """1 to 12; 0 for a month that languages disagree on (`lis`); None for what is no month's name.
    In UTF-8, or Latin-1."""
    return _month_of(raw) if 2 <= len(raw) <= _BYTES_MAX else None


@functools.lru_cache(maxsize=1024)
def _month_of(raw: bytes) -> int | None:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    text = text.lower().rstrip(".")
    for sign in _SIGNS:
        number = text.removesuffix(sign)
        if number != text:
            is_month = number.isascii() and number.isdigit() and 1 <= int(number) <= 12
            return int(number) if is_month else _names().get(text)
    return _names().get(text)
