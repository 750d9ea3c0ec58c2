"""What a tool is: one function, and beside it all that surfaces tell of it and all that is checked before it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from pydantic import BaseModel

from api.mcp.caller import McpCaller
from workspaces.models import Role

Answer = type[BaseModel] | type[msgspec.Struct] | dict[str, Any]


class Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The arguments of a tool: each tool with arguments has a child of it. An argument that it does not name is refused."""


@dataclass(frozen=True, slots=True)
class Hints:
    """What the client is told of what a call does (ToolAnnotations). `writes` also decides: only a tool that writes takes an
    Idempotency-Key."""

    writes: bool = False
    destroys: bool = False
    idempotent: bool = True
    open_world: bool = False  # it speaks to a far end


@dataclass(frozen=True, slots=True)
class Tool:
    """`answer` is the shape of what `call` returns: of a pydantic model or a msgspec struct, an instance or a dict that fills
    it; of a JSON schema, plain values. `untrusted`: fields of the answer hold text or rows of far ends."""

    name: str
    title: str
    description: str
    role: Role
    hints: Hints
    arguments: type[Arguments]
    answer: Answer
    call: Callable[[McpCaller, Any], Any]
    untrusted: bool = False
    keeps_answer: bool = True  # for its Idempotency-Key; not where it tells how a far end is now


class ToolFailed(Exception):
    """The call failed: the client is told in-band, so that its model can do better. `code` is one of SHAPES' list, or an
    error code of the product; `detail` says what to do and holds no text of files."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Mapping[str, list[str]] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.errors = dict(errors or {})
        self.retry_after_s = retry_after_s
