"""`apply FILE.yaml`: configuration as text becomes connectors and jobs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import Command as DatabaseCommand
from cli.configfile import UnreadableFile, load
from syncjobs.lifecycle.applying import InvalidConfiguration, apply_configuration


class Command(DatabaseCommand):
    help = (
        "Create and change workspaces, connectors and sync jobs as a YAML file says: all of it, or"
        " nothing where anything in it is wrong. Running it again changes nothing. Secrets are given"
        " as ${env:NAME} or ${file:PATH}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.yaml")

    def run(self, *args: Any, file: Path, **options: Any) -> None:
        try:
            config = load(file)
            changes = apply_configuration(config.document)
        except UnreadableFile as exc:
            raise CommandError(str(exc)) from None
        except InvalidConfiguration as exc:
            lines = [
                f"{file}:{config.line_of(problem.path)}: {problem.message}"
                for problem in exc.problems
            ]
            raise CommandError("\n".join([*lines, "nothing was changed"])) from None
        for change in changes:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            self.stdout.write(f"{change.action:<9}  {change.noun} {change.name}{fields}")
            for note in change.notes:
                self.stdout.write(f"{'':<9}  {note}")
