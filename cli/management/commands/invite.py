"""`invite WORKSPACE NAME --role R`: a link by which a person becomes a member, printed once."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.urls import reverse

from cli.command import WorkspaceCommand
from workspaces.invitations import AlreadyInvited, AlreadyMember, invite
from workspaces.models import Role, valid_invited
from workspaces.races import work_again_after_races


class Command(WorkspaceCommand):
    help = (
        "Invite a person to a workspace, by their user name or e-mail address, and print the path of the link"
        " that they accept by, once. It is all that stands on standard output; put the console's address before"
        " it. It is open for a week."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("workspace", metavar="WORKSPACE")
        parser.add_argument("name", metavar="NAME")
        parser.add_argument(
            "--role",
            choices=Role.values,
            default=Role.VIEWER,
            help="what they may do there (default: viewer)",
        )
        parser.add_argument("--json", action="store_true", help="print it with its id as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace, name = self.get_workspace(options["workspace"]), options["name"]
        try:
            valid_invited(name)
            row, token = work_again_after_races(
                lambda: invite(workspace, name, Role(options["role"]))
            )
        except ValidationError as exc:
            raise CommandError(f"{name!r}: {exc.message}") from None
        except (AlreadyInvited, AlreadyMember) as exc:
            raise CommandError(str(exc)) from None
        path = reverse("invitation", args=[token])
        if not options["json"]:
            self.stdout.write(path)
            return
        told = {"id": str(row.pk), "path": path, "name": row.name, "role": row.role}
        self.write_json(told | {"expires_at": row.expires_at})
