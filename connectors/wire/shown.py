"""Text from a far end, made fit for a message: no control characters, no lone surrogates, short."""

from __future__ import annotations

from connectors.contract import Reason, Skipped
from connectors.names import printable

_SHOWN_MAX = 200


def shown(raw: bytes | str, limit: int = _SHOWN_MAX) -> str:
    """Bytes that are no printable UTF-8 appear as backslash escapes; a cut is marked, so that what masks
    secrets knows it (`connectors.masking`)."""
    decoded = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    return printable(decoded, limit).replace("\n", "\\n")


def skipped_name(folder: str, raw: bytes | str, message: str) -> Skipped:
    """An entry whose name is refused. Its path is a form for people that no file system reads."""
    name = shown(raw).replace("/", "\\x2f") or "(empty)"
    return Skipped(f"{folder}/{name}" if folder else name, Reason.UNSAFE_NAME, message)
