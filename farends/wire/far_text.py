"""Text from a far end, made fit for a message: no control characters, no lone surrogates, short."""

from __future__ import annotations

from farends.contract import Reason, Skipped
from farends.names import printable

_SHOWN_MAX = 200


def show(raw: bytes | str, limit: int = _SHOWN_MAX) -> str:
    """Bytes that are no printable UTF-8 appear as backslash escapes; a cut is marked, so that what masks
    secrets knows it (`farends.masking`)."""
    decoded = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return printable(decoded, limit).replace("\n", "\\n")


def skipped_name(folder: str, raw: bytes | str, message: str) -> Skipped:
    """An entry whose name is refused. Its path is a form for people that no file system reads."""
    return Skipped(_seen_in(folder, raw), Reason.UNSAFE_NAME, message)


def skipped_row(folder: str, raw: bytes | str, message: str) -> Skipped:
    """A row of a listing that is not understood: the folder may hold more than the other rows tell."""
    return Skipped(_seen_in(folder, raw), Reason.UNREADABLE_ROW, message)


def _seen_in(folder: str, raw: bytes | str) -> str:
    name = show(raw).replace("/", "\\x2f") or "(empty)"
    return f"{folder}/{name}" if folder else name
