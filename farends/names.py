"""Remote names: made safe where they arrive, and given one text form that every surface can carry.

Inside the process a name is `str` with surrogateescape (PEP 383), so no byte is lost. PostgreSQL and
JSON take no lone surrogates: `to_text` maps them, one to one, into a private-use block, and
`from_text` back. A name never becomes a path in the store.
"""

from __future__ import annotations

from farends.errors import UnsafeName

COMPONENT_BYTES_MAX = 255
PATH_BYTES_MAX = 4096
DEPTH_MAX = 256
SHOWN_MAX = 200  # characters of a refused name that are told: a listing may refuse many long ones

_BLOCK = 0xF0000  # plane 15, private use: byte 0xNN is U+F00NN
_TO_TEXT = {0xDC00 + byte: _BLOCK + byte for byte in range(0x80, 0x100)}
_FROM_TEXT = {text: escaped for escaped, text in _TO_TEXT.items()}
_BLOCK_CHARACTERS = {code: chr(code) for code in _FROM_TEXT}


def decode(raw: bytes) -> str:
    """The name of these bytes, invalid UTF-8 kept as lone surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def encode(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")


def to_text(name: str) -> str:
    """A form that is valid Unicode; reversed by `from_text`."""
    if name.isascii():
        return name
    escaped = name
    if any(ord(character) in _BLOCK_CHARACTERS for character in name):
        # A genuine character of the block is carried byte by byte, so that nothing is ambiguous.
        escaped = "".join(
            encode(character).decode("ascii", "surrogateescape")
            if ord(character) in _BLOCK_CHARACTERS
            else character
            for character in name
        )
    return escaped.translate(_TO_TEXT)


def from_text(text: str) -> str:
    if text.isascii():
        return text
    return decode(encode(text.translate(_FROM_TEXT)))


def printable(text: str, limit: int = 4_000) -> str:
    """Words from outside, fit for a database, a log line and a terminal: control characters and what is
    no Unicode are escaped, and the whole is cut."""
    if text.isprintable() and len(text) <= limit:
        return text
    shown = (
        character if character.isprintable() or character == "\n" else ascii(character)[1:-1]
        for character in text[:limit]
    )
    return "".join(shown) + ("…" if len(text) > limit else "")


def join(folder: str, name: str) -> str:
    """`folder/name`, where name is one component as a far end listed it.

    Raises UnsafeName for what could leave the folder or break a later reader: empty, `.`, `..`, a
    slash, NUL, a component over 255 bytes, a path over 4,096 bytes or 256 levels.
    """
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise UnsafeName(f"unsafe name {printable(name, SHOWN_MAX)!r}")
    path = f"{folder}/{name}" if folder else name
    if len(path) * 4 > COMPONENT_BYTES_MAX:  # only long names pay for counting their bytes
        if len(encode(name)) > COMPONENT_BYTES_MAX:
            raise UnsafeName(f"name over {COMPONENT_BYTES_MAX} bytes")
        if len(encode(path)) > PATH_BYTES_MAX or path.count("/") >= DEPTH_MAX:
            raise UnsafeName(f"path over {PATH_BYTES_MAX} bytes or {DEPTH_MAX} levels")
    return path
