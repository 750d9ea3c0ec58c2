"""The options of a connector of kind `mcp`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from farends.mcp.globs import UriGlob
from farends.reaching import Reach, ReachSecret
from farends.spec import Waypoint, option
from farends.wire.tls import PrivateAuthority

RESOURCES_MAX = 100_000
_UNENCRYPTED = Waypoint("plain http", None, None)
_HEADER_NAME = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# The protocol's own, and those of HTTP that the conversation decides on.
_TAKEN = re.compile(
    r"(?i:mcp-.*|accept|accept-.*|content-.*|connection|cookie|host|last-event-id|origin|range|transfer-encoding"
    r"|user-agent|proxy-.*)"
)
_NO_COMMAND = (
    "a connector never names a command to run or a file to read: only MCP servers that speak streamable HTTP can be"
    " reached"
)


def _check_path(path: str) -> None:
    if not path.startswith("/") or "#" in path or not path.isascii() or not path.isprintable():
        raise ValueError("must begin with / and be the path of a URL, percent-encoded, without #")
    if " " in path:
        raise ValueError("must not hold blanks")


def _check_globs(globs: tuple[str, ...]) -> None:
    for glob in globs:
        UriGlob(glob)


def _check_header(name: str) -> None:
    if name and (not _HEADER_NAME.fullmatch(name) or _TAKEN.fullmatch(name)):
        raise ValueError("must be the name of a header field for credentials, such as X-API-Key")


@dataclass(frozen=True, slots=True)
class McpOptions(PrivateAuthority, Reach):
    scheme: Literal["https", "http"] = option(
        "Scheme",
        "With http everybody on the way sees the token. If you change it, enter the secret again.",
        default="https",
    )
    path: str = option(
        "Path", "Where the server takes requests.", default="/mcp", check=_check_path
    )
    include_uris: tuple[str, ...] = option(
        "URIs",
        "Globs of the URIs to take, such as wiki://**. ? and * stand for characters other than /, ** for any."
        " Empty: all.",
        default=(),
        check=_check_globs,
    )
    max_resources: int = option(
        "Resources",
        f"How many the server may list, 1 to {RESOURCES_MAX}; with more the record fails and removes nothing.",
        default=10_000,
        least=1,
        most=RESOURCES_MAX,
    )
    protocol: Literal["auto", "2026-07-28", "2025-11-25"] = option(
        "Protocol",
        "auto asks for revision 2026-07-28 first, then for 2025-11-25; both together may take the connect time-out.",
        default="auto",
    )
    header_name: str = option(
        "Header",
        "The header field of the secret's header_value, where the server takes no bearer token.",
        default="",
        check=_check_header,
    )

    never: ClassVar[Mapping[str, str]] = dict.fromkeys(
        ("command", "args", "env", "stdio", "file"), _NO_COMMAND
    )

    def detour(self) -> tuple[Waypoint, ...]:
        """Without TLS everybody on the way sees the token, so it is stored for that alone."""
        way = super(McpOptions, self).detour()
        return (*way, _UNENCRYPTED) if self.scheme == "http" else way

    @property
    def root(self) -> str:
        """There is no folder to walk."""
        return ""

    @property
    def lists_whole(self) -> bool:
        return True

    @property
    def nothing_listed(self) -> str:
        if self.include_uris:
            return "no resource matches options.include_uris"
        return "no resource is offered"


@dataclass(frozen=True, slots=True, repr=False)
class McpSecret(ReachSecret):
    token: str = option("Token", "Sent as a bearer token.", default="")
    header_value: str = option(
        "Value of the header", "For servers that want the header field header_name.", default=""
    )
