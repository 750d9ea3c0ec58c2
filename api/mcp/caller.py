"""Who calls over MCP: a token, in its own workspace. No argument of any tool names another."""

from __future__ import annotations

from dataclasses import dataclass

from workspaces.models import ApiToken, Role, Workspace
from workspaces.tokens import is_live


@dataclass(frozen=True, slots=True)
class McpCaller:
    """One call's caller."""

    token: ApiToken

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
        """What a count of calls is bound to."""
        return str(self.token.pk)

    def is_still_let_in(self) -> bool:
        """Asks the database: for what goes on after the call was let in."""
        return is_live(self.token.pk)
