"""Which validators of a web server prove that a file has the content that it had. Pure."""

from __future__ import annotations

import re

from farends.contract import RemoteEntry

_PART = re.compile(r"[0-9A-Za-z]+")
_BASES = (10, 16, 36)
_UNITS_NS = (1, 1_000, 1_000_000, 1_000_000_000)
_PART_MAX = 24  # longer than any size or time in any of the bases


def proves_content(entry: RemoteEntry) -> bool:
    """Whether the entry's ETag can tell its content from another of the same size and time.

    Many servers make it of nothing but these: nginx `"time-size"`, Apache `"size-time"`, Caddy and servers on
    Go's WebDAV both without a sign between them (RFC 9110 §8.8.1 allows it). Every part of such a one is a size
    or a time.
    """
    if entry.etag is None:
        return False
    return not all(_is_known(part, entry) for part in _PART.findall(entry.etag))


def _is_known(part: str, entry: RemoteEntry) -> bool:
    if len(part) > _PART_MAX:
        return False
    if any(_is_size(part, base, entry) or _is_time(part, base, entry) for base in _BASES):
        return True
    return any(_is_time_and_size(part, base, entry) for base in _BASES)


def _is_time_and_size(part: str, base: int, entry: RemoteEntry) -> bool:
    size = "" if entry.size_bytes is None else _write_number(entry.size_bytes, base)
    return part.lower().endswith(size) and _is_time(part[: len(part) - len(size)], base, entry)


def _is_size(part: str, base: int, entry: RemoteEntry) -> bool:
    return entry.size_bytes is not None and _number(part, base) == entry.size_bytes


def _is_time(part: str, base: int, entry: RemoteEntry) -> bool:
    """Whether it is a time, also one finer than the second that Last-Modified tells."""
    number, modified_ns = _number(part, base), entry.modified_ns
    if number is None or modified_ns is None:
        return False
    return any(number * unit_ns // 10**9 == modified_ns // 10**9 for unit_ns in _UNITS_NS)


def _number(part: str, base: int) -> int | None:
    try:
        return int(part, base)
    except ValueError:
        return None


def _write_number(number: int, base: int) -> str:
    digits = ""
    while number:
        number, rest = divmod(number, base)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[rest] + digits
    return digits or "0"
