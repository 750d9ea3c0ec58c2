"""URIs of resources: `sync://{dataset}/manifest` and `sync://{dataset}/files/{+path}`, each also below `versions/{number}`.

A dataset and each segment of a path are percent-encoded (RFC 3986). What a URI says beside it, `offset` and `length` of a
file, `after` of a manifest, stands in its query.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import quote, unquote

SCHEME = "sync"
URI_MAX = 16_000  # characters
READ_MAX = 1 << 20  # bytes of one read
_NUMBER_MAX = 2_147_483_647
_OFFSET_MAX = (1 << 63) - 1


class NoResourceUri(ValueError):
    """It is no URI of a resource."""


@dataclass(frozen=True, slots=True)
class ResourceAddress:
    """`path` None: the manifest. `number` None: the current version."""

    dataset: str
    number: int | None = None
    path: str | None = None
    offset: int = 0
    length: int = READ_MAX
    after: str = ""  # of a manifest: the path behind which it begins

    def __str__(self) -> str:
        of_version = "" if self.number is None else f"versions/{self.number}/"
        where = "manifest" if self.path is None else f"files/{encode_path(self.path)}"
        return f"{SCHEME}://{quote(self.dataset, safe='')}/{of_version}{where}{self._query()}"

    def at(self, offset: int) -> ResourceAddress:
        return replace(self, offset=offset)

    def behind(self, path: str) -> ResourceAddress:
        return replace(self, after=path)

    def _query(self) -> str:
        given = []
        if self.after:
            given.append(f"after={encode_path(self.after)}")
        if self.offset:
            given.append(f"offset={self.offset}")
        if self.length != READ_MAX:
            given.append(f"length={self.length}")
        return "?" + "&".join(given) if given else ""


def encode_path(path: str) -> str:
    return "/".join(quote(segment, safe="") for segment in path.split("/"))


def parse_uri(uri: object) -> ResourceAddress:
    """Raises NoResourceUri."""
    if not isinstance(uri, str) or len(uri) > URI_MAX or "#" in uri:
        raise NoResourceUri
    scheme, mark, rest = uri.partition("://")
    if not mark or scheme.lower() != SCHEME:
        raise NoResourceUri
    place, asks, query = rest.partition("?")
    dataset, *segments = [_decode(segment) for segment in place.split("/")]
    number = None
    if segments[:1] == ["versions"]:
        number = _number(segments[1] if len(segments) > 1 else "", 1, _NUMBER_MAX)
        segments = segments[2:]
    if segments == ["manifest"]:
        given = _read_query(query, ("after",)) if asks else {}
        return ResourceAddress(dataset, number, after=given.get("after", ""))
    if segments[:1] != ["files"] or len(segments) < 2 or any("/" in each for each in segments):
        raise NoResourceUri
    given = _read_query(query, ("offset", "length")) if asks else {}
    return ResourceAddress(
        dataset,
        number,
        "/".join(segments[1:]),
        offset=_number(given.get("offset", "0"), 0, _OFFSET_MAX),
        length=min(READ_MAX, _number(given.get("length", str(READ_MAX)), 1, _OFFSET_MAX)),
    )


def _read_query(query: str, names: tuple[str, ...]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in query.split("&"):
        name, mark, value = each.partition("=")
        if not mark or name not in names or name in given:
            raise NoResourceUri
        given[name] = _decode(value)
    return given


def _decode(text: str) -> str:
    try:
        plain = unquote(text, errors="strict")
        plain.encode()
    except UnicodeError:
        raise NoResourceUri from None
    if not plain or "\0" in plain:
        raise NoResourceUri
    return plain


def _number(text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 19):
        raise NoResourceUri
    if not least <= int(text) <= most:
        raise NoResourceUri
    return int(text)
