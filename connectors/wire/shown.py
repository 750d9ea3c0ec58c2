"""Text from a far end, made fit for a message: no control characters, no lone surrogates, short."""

from __future__ import annotations

from connectors.contract import Reason, Skipped

_SHOWN_MAX = 200


def shown(raw: bytes | str) -> str:
    """Bytes that are no printable UTF-8 appear as backslash escapes."""
    decoded = raw.decode("utf-8", "backslashreplace") if isinstance(raw, bytes) else raw
    cut = decoded[:_SHOWN_MAX]
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in cut
    )


def skipped_name(folder: str, raw: bytes | str, message: str) -> Skipped:
    """An entry whose name is refused. Its path is a form for people that no file system reads."""
    name = shown(raw).replace("/", "\\x2f") or "(empty)"
    return Skipped(f"{folder}/{name}" if folder else name, Reason.UNSAFE_NAME, message)
