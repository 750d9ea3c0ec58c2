"""One JSON-RPC message as MCP has it: no batch, an id that is a text or a whole number, `params` an object.

What parsers read in different ways is refused (a name twice in one object, a number that no float holds, half a
character), so that nobody who stands before us can have understood another message than we do.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import msgspec

from api.mcp.errors import INVALID_REQUEST, PARSE_ERROR, RpcError

BODY_MAX = 1 << 20
DEPTH_MAX = 100
ID_MAX = 256  # characters
METHOD_MAX = 256
# A text without its end goes on to the body's end, so that nothing is read twice.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """`id` is None for a notification."""

    method: str
    params: dict[str, Any]
    id: str | int | None


class _Twice(ValueError):
    """A name stands twice in one object."""


def read_message(body: bytes) -> Message:
    """Raises RpcError."""
    _refuse_depth(body)
    try:
        raw = msgspec.json.decode(body.decode("utf-8"))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise _refused(PARSE_ERROR, f"Parse error: {exc}") from None
    if isinstance(raw, list):
        raise _refused(INVALID_REQUEST, "A batch is not taken: send one message a request")
    if not isinstance(raw, dict):
        raise _refused(INVALID_REQUEST, "A message is an object")
    request_id = raw.get("id")
    known = request_id if _is_id(request_id) else None
    try:
        json.loads(body, object_pairs_hook=_refuse_twice)
    except _Twice as exc:
        raise _refused(
            INVALID_REQUEST, f"The name {exc} stands twice in one object", known
        ) from None
    return _check(raw, known)


def _check(raw: dict[str, Any], known: str | int | None) -> Message:
    method, params = raw.get("method"), raw.get("params", {})
    wrong = None
    if raw.get("jsonrpc") != "2.0":
        wrong = '`jsonrpc` must be "2.0"'
    elif "id" in raw and known is None:
        wrong = f"`id` must be a whole number, or a text of up to {ID_MAX} characters"
    elif not isinstance(method, str) or not 0 < len(method) <= METHOD_MAX:
        wrong = f"`method` must be a text of up to {METHOD_MAX} characters"
    elif not isinstance(params, dict):
        wrong = "`params` must be an object"
    if wrong is not None:
        raise _refused(INVALID_REQUEST, wrong, known)
    return Message(str(method), params, known)


def _is_id(value: Any) -> bool:
    if isinstance(value, str):
        return len(value) <= ID_MAX
    return type(value) is int


def _refuse_depth(body: bytes) -> None:
    if body.count(b"{") + body.count(b"[") <= DEPTH_MAX:
        return
    depth = 0
    for token in _TOKENS.finditer(body):
        first = token[0][:1]
        if first in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                raise _refused(PARSE_ERROR, f"Parse error: nested deeper than {DEPTH_MAX}")
        elif first in b"]}":
            depth -= 1


def _refuse_twice(pairs: list[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise _Twice(repr(name[:50]))
        seen.add(name)


def _refused(code: int, words: str, request_id: str | int | None = None) -> RpcError:
    return RpcError(code, words, status=HTTPStatus.BAD_REQUEST, request_id=request_id)
