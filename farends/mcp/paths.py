"""Makes a path of ours from each URI of a server: no name of theirs leads anywhere. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Container, Iterable, Iterator
from urllib.parse import unquote_to_bytes

from farends.errors import UnsafeName
from farends.names import COMPONENT_BYTES_MAX, decode, encode, join

_PARTS = re.compile(
    r"(?:([A-Za-z][A-Za-z0-9+.\-]*):)?(?://([^/?#]*))?([^?#]*)", re.DOTALL
)  # RFC 3986, Appendix B
_DOTS = {".": "_", "..": "__"}
_MARKS_MAX = 8
_ENDING = re.compile(r"\.[^./]{1,32}\Z")


def assign_paths(uris: Iterable[str]) -> Iterator[tuple[str, str | UnsafeName]]:
    """Yields each URI with its path, in the order given. Where two come to one path, the later has its mark in its
    name; so has one whose path is a folder of another, whatever the order. In place of a path that the product's
    rules forbid stands the error."""
    made = [(uri, make_path(uri)) for uri in uris]
    taken = {folder for _, path in made if isinstance(path, str) for folder in _iter_above(path)}
    for uri, path in made:
        if isinstance(path, str) and path in taken:
            path = _find_free(path, uri, taken)
        if isinstance(path, str):
            taken.add(path)
        yield uri, path


def make_path(uri: str) -> str | UnsafeName:
    """Scheme, authority and path of the URI as folders, each segment decoded once."""
    found = _PARTS.match(uri)
    scheme, authority, path = found.groups("") if found else ("", "", uri)
    made = ""
    try:
        for segment in (scheme.lower(), authority, *path.split("/")):
            if segment:
                made = join(made, _make_name(segment))
    except UnsafeName as exc:
        return exc
    return made or "resource"


def digest_uri(uri: str) -> str:
    return hashlib.sha256(encode(uri)).hexdigest()[:8]


def _make_name(segment: str) -> str:
    name = decode(unquote_to_bytes(encode(segment))).replace("/", "_").replace("\0", "_")
    name = _DOTS.get(name, name)
    return name if len(encode(name)) <= COMPONENT_BYTES_MAX else _add_mark(name, segment)


def _find_free(path: str, uri: str, taken: Container[str]) -> str | UnsafeName:
    """A server may list names that look marked, so a mark alone may not be enough."""
    for _ in range(_MARKS_MAX):
        folder, _, name = path.rpartition("/")
        try:
            path = join(folder, _add_mark(name, uri))
        except UnsafeName as exc:
            return exc
        if path not in taken:
            return path
    return UnsafeName("no name is free for it beside the others")


def _add_mark(name: str, uri: str) -> str:
    """`a.md` becomes `a (1a2b3c4d).md`; what is too long loses its end, never its ending."""
    ending = _ENDING.search(name)
    stem, ext = (name[: ending.start()], ending[0]) if ending and ending.start() else (name, "")
    mark = f" ({digest_uri(uri)}){ext}"
    most = COMPONENT_BYTES_MAX - len(encode(mark))
    stem = stem[:most]
    while len(encode(stem)) > most:
        stem = stem[:-1]
    return f"{stem}{mark}"


def _iter_above(path: str) -> Iterator[str]:
    at = path.find("/")
    while at >= 0:
        yield path[:at]
        at = path.find("/", at + 1)
