"""Makes text from a far end fit for a message: no control characters, no lone surrogates, short."""

from __future__ import annotations

from farends.contract import Reason, Skipped
from farends.names import printable

_SHOWN_MAX = 200


def show(raw: bytes | str, limit: int = _SHOWN_MAX) -> str:
    """Returns printable text. Bytes that are no printable UTF-8 become backslash escapes. A cut is marked, so that
    the masking of secrets knows of it (`farends.masking`)."""
    decoded = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return printable(decoded, limit).replace("\n", "\\n")


def skipped_name(folder: str, raw: bytes | str, message: str) -> Skipped:
    """Makes the `Skipped` for a refused name. Its path is for people to read; no file system reads it."""
    return Skipped(_seen_in(folder, raw), Reason.UNSAFE_NAME, message)


def skipped_row(folder: str, raw: bytes | str, message: str) -> Skipped:
    """Makes the `Skipped` for a row that is not understood: the folder may hold more than the other rows tell."""
    return Skipped(_seen_in(folder, raw), Reason.UNREADABLE_ROW, message)


def _seen_in(folder: str, raw: bytes | str) -> str:
    name = show(raw).replace("/", "\\x2f") or "(empty)"
    return f"{folder}/{name}" if folder else name
