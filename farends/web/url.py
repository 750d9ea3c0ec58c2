"""URLs as the HTTP transport needs them: an origin, and a raw path. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote_from_bytes, unquote_to_bytes, urlsplit

from farends.errors import ProtocolViolation
from farends.names import encode
from farends.wire.far_text import show

DEFAULT_PORTS = {"http": 80, "https": 443}
_SAFE = "!$&'()*+,;=:@~"  # unreserved and sub-delims: RFC 3986 §3.3
_RAW_TARGET = re.compile(r"/[!-~]*")


@dataclass(frozen=True, slots=True)
class Origin:
    """What a credential is bound to."""

    scheme: str
    host: str
    port: int

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Url:
    origin: Origin
    target: str  # path and query, percent-encoded

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def shown(self) -> str:
        """The URL for people and comparisons, without its query, which may hold a secret."""
        return f"{self.origin.scheme}://{self.origin.authority}{self.path}"


def quote_path(path: str) -> str:
    """Percent-encodes a decoded path, keeping its slashes."""
    return quote_from_bytes(encode(path), safe="/" + _SAFE)


def without_user(text: str) -> str:
    """A URL as it may be shown: without the user name and password that it may hold."""
    start = text.find("//") + 2
    if start < 2:
        return text
    ends = [at for mark in "/?#" if (at := text.find(mark, start)) >= 0]
    end = min(ends, default=len(text))
    return text[:start] + text[start:end].rpartition("@")[2] + text[end:]


def components(raw_path: str) -> list[bytes]:
    """The decoded components of a percent-encoded path; an encoded slash stays inside its own."""
    return [unquote_to_bytes(part) for part in raw_path.split("/")]


def resolve(base: Url, reference: str) -> Url:
    """The URL that a reference stands for on the page `base`. Raises ProtocolViolation."""
    try:
        parts = urlsplit(reference.strip())
        port = parts.port
    except ValueError as exc:
        raise ProtocolViolation(f"no URL: {show(reference)}") from exc
    scheme = parts.scheme.lower() or base.origin.scheme
    if scheme not in DEFAULT_PORTS:
        raise ProtocolViolation(f"a URL of scheme {show(scheme)!r}")
    origin = base.origin
    if parts.netloc:
        if parts.username is not None or not parts.hostname:
            raise ProtocolViolation("a URL with a user name, or without a host")
        origin = Origin(scheme, parts.hostname.lower(), port or DEFAULT_PORTS[scheme])
    elif parts.scheme:
        raise ProtocolViolation(f"a URL without a host: {show(reference)}")
    path = parts.path
    if not path.startswith("/"):
        path = "/" if parts.netloc else _merge(base.path, path)
    target = quote_from_bytes(encode(path), safe="/%" + _SAFE)
    if parts.query:
        target += "?" + quote_from_bytes(encode(parts.query), safe="/?%" + _SAFE)
    if not _RAW_TARGET.fullmatch(target):
        raise ProtocolViolation(f"no URL path: {show(reference)}")
    return Url(origin, target)


def read_base_url(text: str) -> Url:
    """The URL that a service stands at, as a person writes it. Raises ValueError, which says what is wrong."""
    if not re.match(r"https?://", text, re.IGNORECASE):
        raise ValueError("the URL must begin with http:// or https://")
    if "?" in text or "#" in text:
        raise ValueError("the URL must have neither a query nor a fragment")
    try:
        return resolve(Url(Origin("http", "localhost", DEFAULT_PORTS["http"]), "/"), text)
    except ProtocolViolation as exc:
        raise ValueError(f"{exc}") from None


def _merge(base_path: str, relative: str) -> str:
    """RFC 3986 §5.2.3 and §5.2.4. An empty reference is the page itself."""
    if not relative:
        return base_path
    merged: list[str] = base_path.split("/")[:-1]
    parts = relative.split("/")
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "..":
            if len(merged) > 1:
                merged.pop()
            if last:
                merged.append("")
        elif part == ".":
            if last:
                merged.append("")
        else:
            merged.append(part)
    return "/".join(merged)
