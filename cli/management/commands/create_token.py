"""`create_token WORKSPACE --role R`: an API token, printed once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from cli.command import WorkspaceCommand, whole_number
from workspaces.models import ApiToken, Role
from workspaces.tokens import create_token

NAME_MAX = ApiToken._meta.get_field("name").max_length or 0
DAYS_MAX = 36_500


class Command(WorkspaceCommand):
    help = (
        "Create an API token for a workspace and print it: it cannot be shown again. The token is all that"
        " stands on standard output, so that a script can take it."
    )

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
            "--expires-in",
            type=whole_number(1, DAYS_MAX),
            metavar="DAYS",
            help="days until it expires (default: never)",
        )
        parser.add_argument("--json", action="store_true", help="print it with its id as JSON")

    def run(self, *args: object, **options: Any) -> None:
        name, days = options["name"], options["expires_in"]
        if not 1 <= len(name) <= NAME_MAX or not name.isprintable():
            raise CommandError(f"--name takes 1 to {NAME_MAX} characters that can be shown")
        row, token = create_token(
            self.get_workspace(options["workspace"]),
            name=name,
            role=Role(options["role"]),
            expires_at=timezone.now() + timedelta(days=days) if days is not None else None,
        )
        if not options["json"]:
            self.stdout.write(token)
            return
        told = {"id": str(row.pk), "token": token, "name": row.name, "role": row.role}
        self.write_json(told | {"expires_at": row.expires_at})
