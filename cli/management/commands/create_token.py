"""`create_token WORKSPACE --role R`: an API token, printed once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from cli.command import WorkspaceCommand
from workspaces.models import Role
from workspaces.tokens import create_token


class Command(WorkspaceCommand):
    help = "Create an API token for a workspace and print it: it cannot be shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", metavar="WORKSPACE")
        parser.add_argument(
            "--role",
            choices=Role.values,
            default=Role.VIEWER,
            help="what its bearer may do (default: viewer)",
        )
        parser.add_argument("--name", default="command line", help="what it is for")
        parser.add_argument(
            "--days", type=int, default=None, help="days until it expires (default: never)"
        )

    def run(self, *args: Any, **options: Any) -> None:
        days = options["days"]
        _, token = create_token(
            self.get_workspace(options["workspace"]),
            name=options["name"],
            role=Role(options["role"]),
            expires_at=timezone.now() + timedelta(days=days) if days is not None else None,
        )
        self.stdout.write(token)
