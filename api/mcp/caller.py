"""Who calls over MCP: a token, in its own workspace. No argument of any tool names another."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
from django_mcpz.elicitation import Elicitation
from django_mcpz.server import elicit

from workspaces.models import ApiToken, Role, Workspace
from workspaces.tokens import is_live

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(slots=True)
class McpCaller:
    """One call's caller. django-mcpz takes it where it wants a request: it reads `user` and `mcp_elicitation`."""

    token: ApiToken
    mcp_elicitation: Elicitation | None = field(default=None)  # set for the time of a tool's call

    @property
    def workspace(self) -> Workspace:
        return self.token.workspace

    @property
    def role(self) -> Role:
        return Role(self.token.role)

    @property
    def name(self) -> str:
        """As it stands in records, events and the audit trail."""
        return f"token {self.token.name}"

    @property
    def principal(self) -> str:
        """What a plan, a question or a count of calls is bound to."""
        return str(self.token.pk)

    def is_still_let_in(self) -> bool:
        """Asks the database: for what goes on after the call was let in."""
        return is_live(self.token.pk)

    @property
    def can_be_asked(self) -> bool:
        """Whether the client says that it puts questions to its user (elicitation, form mode)."""
        return self.mcp_elicitation is not None and self.mcp_elicitation.unavailable is None

    def ask(self, words: str, answer: type[S]) -> S:
        """Asks the user, once a call. The first time it ends the call by an exception that no tool may catch
        (`InputRequired`), the second time it returns the answer: what stands above it runs twice.

        Raises ElicitationUnavailableError, ElicitationDeclinedError.
        """
        request: Any = self
        return elicit(request, words, answer, key="answer")

    @property
    def user(self) -> Principal:
        return Principal(self.principal)


@dataclass(frozen=True, slots=True)
class Principal:
    """What django-mcpz binds its questions to."""

    pk: str
    is_authenticated: bool = True
