"""Sends a file through a browser as an attachment. The browser saves it and never shows it: it may be anything."""

from __future__ import annotations

import unicodedata
from urllib.parse import quote

from farends import names


def attachment_fields(path: str, content_type: str = "application/octet-stream") -> dict[str, str]:
    """Header fields of an answer with the content of a stored path."""
    return {
        "Content-Type": content_type,
        "Content-Disposition": content_disposition(path),
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def content_disposition(path: str) -> str:
    """Makes the header for the last component of a stored path: RFC 6266, with RFC 5987's form for what is not ASCII.

    Control and direction characters are dropped: they could end the header or turn a name round.
    """
    name = path.rpartition("/")[2]
    decoded = names.encode(names.from_text(name)).decode("utf-8", "replace")
    clean = "".join(
        character for character in decoded if unicodedata.category(character) not in ("Cc", "Cf")
    )
    clean = clean.replace("\\", "_").strip() or "file"
    plain = "".join(
        character if character.isascii() and character not in '"%' else "_" for character in clean
    )
    if plain == clean:
        return f'attachment; filename="{plain}"'
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(clean, safe='')}"
