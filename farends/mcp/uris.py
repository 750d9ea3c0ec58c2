"""Tells whether two URIs are one, as RFC 3986 §6.2.2 has it. Pure."""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

_PARTS = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*:)(//[^/?#]*)?(.*)", re.DOTALL)
_ESCAPE = re.compile(r"%[0-9A-Fa-f]{2}")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")


def is_same_uri(one: str, other: str) -> bool:
    """Libraries write schemes and hosts in lower case, and an empty path as `/`."""
    return one == other or normalize_uri(one) == normalize_uri(other)


def normalize_uri(uri: str) -> str:
    found = _PARTS.fullmatch(uri)
    if found is None:
        return uri
    scheme, authority, rest = found.groups("")
    if authority and not rest.startswith("/"):
        rest = f"/{rest}"
    return scheme.lower() + authority.lower() + _ESCAPE.sub(_normalize_escape, rest)


def _normalize_escape(found: re.Match[str]) -> str:
    character = unquote_to_bytes(found[0]).decode("latin-1")
    return character if _UNRESERVED.fullmatch(character) else found[0].upper()
