"""One request that was let in, and what it is answered with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from api.mcp.caller import McpCaller
from api.mcp.envelope import Message

UNTRUSTED = "syncproject/untrusted"  # of a result that holds text or rows of far ends
SERVER_INFO = {"name": "syncproject", "title": "SyncProject", "version": "1"}


@dataclass(frozen=True, slots=True)
class Call:
    """`is_modern`: of 2026-07-28; else of an older revision. `key` is the Idempotency-Key, where one was given."""

    caller: McpCaller
    message: Message
    is_modern: bool
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """`is_final` is False where the server asks something first (`input_required`)."""

    body: dict[str, Any]
    is_final: bool = True

    @classmethod
    def of_tool(cls, told: bytes, *, failed: bool = False, untrusted: bool = False) -> Result:
        """`told` is one JSON object; clients of old revisions read it as text."""
        body: dict[str, Any] = {
            "content": [{"type": "text", "text": told.decode()}],
            "structuredContent": msgspec.Raw(told),
            "isError": failed,
        }
        return cls(body | ({"_meta": {UNTRUSTED: True}} if untrusted else {}))


def cache_fields(call: Call, ttl_ms: int = 300_000) -> dict[str, Any]:
    """How long who asked may keep an answer; nobody else may. Older revisions know nothing of it."""
    return {"ttlMs": ttl_ms, "cacheScope": "private"} if call.is_modern else {}


def encode_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


def encode_answer(request_id: str | int | None, **what: Any) -> bytes:
    """A JSON-RPC answer: with a `result`, or an `error`."""
    return encode_json({"jsonrpc": "2.0", "id": request_id, **what})
