"""The revisions of the protocol, and what a request says of its own.

From 2026-07-28 on each request stands alone: it tells its revision and what the client can do in `params._meta`, and
the HTTP headers repeat it for who stands between. Older clients greet with `initialize`, and send a header at most.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django_mcpz.headers import decode_header_value

from api.mcp.envelope import Message
from api.mcp.errors import (
    HEADER_MISMATCH,
    INVALID_PARAMS,
    UNSUPPORTED_VERSION,
    RpcError,
)

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
SUPPORTED = [MODERN, *LEGACY]
META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
META_SERVER_INFO = "io.modelcontextprotocol/serverInfo"
# What `Mcp-Name` repeats, by method.
_NAMED = {"tools/call": "name", "resources/read": "uri", "prompts/get": "name"}


def is_modern_over_http(message: Message, headers: Mapping[str, str]) -> bool:
    """Whether the request is one of 2026-07-28. Raises RpcError where header and body disagree, where the revision is none of
    ours, and where a modern request lacks what it must tell."""
    header = headers.get("MCP-Protocol-Version")
    told = _told_version(message)
    if told is not None and header != told:
        raise _mismatch(message, "MCP-Protocol-Version", header, told)
    need_known_revision(message, headers)
    if header != MODERN:
        return False
    _need_meta(message, told)
    _compare(message, headers, "Mcp-Method", message.method)
    if (field := _NAMED.get(message.method)) and isinstance(message.params.get(field), str):
        _compare(message, headers, "Mcp-Name", message.params[field])
    return True


def need_known_revision(message: Message, headers: Mapping[str, str]) -> None:
    """Raises RpcError where the header names a revision that is none of ours."""
    header = headers.get("MCP-Protocol-Version")
    if header not in (None, MODERN, *LEGACY):
        raise _unsupported(message, header)


def is_modern_over_stdio(message: Message) -> bool:
    """The same where no headers are. Raises RpcError."""
    told = _told_version(message)
    if told is None or told in LEGACY:
        return False
    if told != MODERN:
        raise _unsupported(message, told)
    _need_meta(message, told)
    return True


def client_capabilities(message: Message) -> dict[str, Any]:
    """Those of a modern request."""
    found: dict[str, Any] = message.params["_meta"][META_CAPABILITIES]
    return found


def _told_version(message: Message) -> Any:
    meta = message.params.get("_meta")
    return meta.get(META_VERSION) if isinstance(meta, dict) else None


def _need_meta(message: Message, told: Any) -> None:
    meta = message.params.get("_meta")
    lacking = None
    if told is None:
        lacking = META_VERSION
    elif not isinstance(meta, dict) or not isinstance(meta.get(META_CAPABILITIES), dict):
        lacking = META_CAPABILITIES
    if lacking is not None:
        words = f"params._meta lacks {lacking!r}, which every request of {MODERN} has"
        raise _bad(message, INVALID_PARAMS, words)


def _compare(message: Message, headers: Mapping[str, str], name: str, told: str) -> None:
    header = headers.get(name)
    try:
        same = header is not None and decode_header_value(header) == told
    except ValueError:
        same = False
    if not same:
        raise _mismatch(message, name, header, told)


def _mismatch(message: Message, name: str, header: str | None, told: Any) -> RpcError:
    said = "is missing" if header is None else f"says {header[:100]!r}"
    shown = told[:100] if isinstance(told, str) else told
    return _bad(message, HEADER_MISMATCH, f"The header {name} {said}, and the body has {shown!r}")


def _unsupported(message: Message, asked: Any) -> RpcError:
    shown = asked[:100] if isinstance(asked, str) else None
    data = {"supported": SUPPORTED, "requested": shown}
    return _bad(message, UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _bad(message: Message, code: int, words: str, data: dict[str, Any] | None = None) -> RpcError:
    return RpcError(code, words, status=HTTPStatus.BAD_REQUEST, data=data, request_id=message.id)
