"""Writes figures and names for people: sizes, spans, moments, remote names."""

from __future__ import annotations

from datetime import datetime

from farends import names

NOTHING = "–"  # noqa: RUF001 — a dash is what a table shows for nothing
_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def size_words(size_bytes: float | None) -> str:
    if size_bytes is None:
        return NOTHING
    size = float(size_bytes)
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.0f} {unit}" if unit == "B" or size >= 100 else f"{size:.1f} {unit}"


def group_digits(count: int) -> str:
    """`12,345`: of a million the eye counts no zeros."""
    return f"{count:,}"


def code_words(code: str) -> str:
    """A word of the program for people: `too_large` is "too large"."""
    return str(code).replace("_", " ")


def span_words(seconds: float | None) -> str:
    """`48 s`, `4 min 10 s`, `3 h 20 min`, `2 d 4 h`: the two largest units that say something."""
    if seconds is None:
        return NOTHING
    if seconds < 10:
        return f"{max(seconds, 0):.1f}".removesuffix(".0") + " s"
    left = round(seconds)
    parts = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        count, left = divmod(left, length)
        if count:
            parts.append(f"{count} {unit}")
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(parts)


def moment_words(moment: datetime | None, now: datetime) -> str:
    """`in 5 min`, `20 s ago`, one unit only: the exact time stands beside it."""
    if moment is None:
        return NOTHING
    seconds = (moment - now).total_seconds()
    if abs(seconds) < 1:
        return "now"
    span = " ".join(span_words(max(1, round(abs(seconds)))).split(" ")[:2])
    return f"in {span}" if seconds > 0 else f"{span} ago"


def path_words(text: str) -> str:
    """A stored remote name, whole, with every unprintable character or stray byte made visible."""
    return show_unprintable(names.encode(names.from_text(text)).decode("utf-8", "backslashreplace"))


def show_unprintable(text: str) -> str:
    r"""Control and bidirectional characters as `\u202e`: text that others wrote says what it holds."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def hex_words(digest: bytes | memoryview | None) -> str:
    return bytes(digest).hex() if digest else ""
