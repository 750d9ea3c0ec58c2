"""What the commands share: the workspace, and errors that say what to do."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError

from workspaces.models import Workspace


class Command(BaseCommand):
    """A command that talks to the database. Subclasses write `run`."""

    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        if not settings.SYNC.has_database:
            raise CommandError(
                f"no stack is running here: {settings.SYNC.data_dir}/stack.env is missing."
                " Start one with `make up`, or set DATABASE_URL and REDIS_URL."
            )
        try:
            self.run(**options)
        except OperationalError as exc:
            reason = str(exc).splitlines()[0]
            raise CommandError(f"the database does not answer: {reason}") from None

    def run(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError


class WorkspaceCommand(Command):
    """A command that works within one workspace."""

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workspace",
            default=settings.SYNC.workspace,
            help="name of the workspace (default: SYNC_WORKSPACE, or the only one there is)",
        )

    def get_workspace(self, name: str | None) -> Workspace:
        if name:
            workspace = Workspace.objects.filter(name=name).first()
            if workspace is None:
                raise CommandError(f"no workspace {name!r}; there are: {_names()}")
            return workspace
        several = list(Workspace.objects.all()[:2])
        if len(several) != 1:
            raise CommandError(f"name one with --workspace; there are: {_names()}")
        return several[0]


def _names() -> str:
    return ", ".join(Workspace.objects.values_list("name", flat=True)) or "none"
