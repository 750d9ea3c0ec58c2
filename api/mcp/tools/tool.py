"""What a tool is: its arguments with the one call or query behind them, and beside it all that clients are told of it and
all that is checked before it runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from django.db.models import Model
from pydantic import BaseModel

from api.mcp.caller import McpCaller
from workspaces.models import Role


class Arguments(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """The arguments of a tool. The docstring of a child is what clients read of its tool. An argument that it does not name
    is refused."""

    def answer(self, caller: McpCaller) -> Any:
        """What the call is answered with: a dict that fills the tool's shape, or a `ToolList`. Raises ToolFailed, Refused."""
        raise NotImplementedError


class Planned(Arguments):
    """The arguments of a tool whose first call tells a plan."""

    plan_token: str | None = None

    def plan(self, caller: McpCaller) -> Intent:
        """Looks only, and changes nothing. Raises ToolFailed, Refused."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True)
class Intent:
    """What a call would do: in one sentence each, without text of files or rows. `subject` is what the plan is bound to, and
    what the audit trail names. `act` does it, and returns a dict that fills the tool's shape."""

    effects: Sequence[str]
    subject: Model
    act: Callable[[], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class ToolList:
    """A list that is cut where the answer would become too large. `cursor_behind` tells where the next page begins behind an
    item by its index. `next` stands in the answer always, or, where `next_if_cut`, only if items were left out."""

    items: Sequence[Any]
    next: str | None
    cursor_behind: Callable[[int], str]
    under: str = "items"
    beside: Mapping[str, Any] = field(default_factory=dict)
    next_if_cut: bool = False


@dataclass(frozen=True, slots=True)
class Hints:
    """What clients are told of what a call does (ToolAnnotations). `writes` decides too: whether a call is audited, and
    whether it takes an Idempotency-Key."""

    writes: bool = False
    destroys: bool = False
    idempotent: bool = True
    open_world: bool = False  # it speaks to a far end


@dataclass(frozen=True, slots=True)
class Tool:
    """`answer` is the shape of the structured content. `untrusted`: its fields `text`, `blob`, `snippet`, `heading` and `rows`
    hold what far ends wrote."""

    name: str
    title: str
    role: Role
    hints: Hints
    arguments: type[Arguments]
    answer: type[BaseModel]
    untrusted: bool = False
    keeps_answer: bool = True  # for its Idempotency-Key; not where it tells how a far end is now
    starts: bool = False  # a sync: a token may do so a limited number of times an hour

    @property
    def description(self) -> str:
        return " ".join(inspect.cleandoc(self.arguments.__doc__ or "").split())

    @property
    def is_planned(self) -> bool:
        return issubclass(self.arguments, Planned)


class ToolFailed(Exception):
    """The call failed: the client is told in-band, so that its model can do better. `code` is one of docs/mcp_tools.md,
    or an error code of the product; `detail` says what to do and holds no text of files."""

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


def bad_argument(argument: str, words: str) -> ToolFailed:
    """An argument cannot be meant so."""
    return ToolFailed(
        "invalid_arguments",
        f"The arguments do not fit: {argument}: {words}.",
        errors={argument: [f"{words}."]},
    )


def not_there(noun: str) -> ToolFailed:
    """The same words for what is another workspace's and what does not exist."""
    return ToolFailed("not_found", f"There is no such {noun}.")
