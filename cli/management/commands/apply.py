"""`apply FILE.yaml`: configuration as text becomes connectors and jobs."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import count_bar
from cli.command import Command as DatabaseCommand
from cli.command import need_keys_of_stack
from cli.configfile import UnreadableFile, load
from cli.lines import make_lines
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.yaml_in import apply_configuration


class Command(DatabaseCommand):
    help = (
        "Create and change workspaces, connectors, sync jobs and streams as a YAML file says: all of it, or"
        " nothing where anything in it is wrong. Running it again changes nothing. Secrets are given"
        " as ${env:NAME} or ${file:PATH}."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", type=Path, metavar="FILE.yaml")
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, change nothing"
        )
        parser.add_argument("--json", action="store_true", help="print the changes as JSON")

    def run(self, *args: object, file: Path, **options: Any) -> None:
        dry_run = options["dry_run"]
        need_keys_of_stack()
        try:
            config = load(file)
            with count_bar(f"applying {file.name}", _count(config.document)) as bar:
                changes = apply_configuration(
                    config.document, dry_run=dry_run, tell=lambda change: bar(1)
                )
        except UnreadableFile as exc:
            raise CommandError(str(exc)) from None
        except InvalidConfiguration as exc:
            lines = [
                f"{file}:{config.line_of(problem.path)}: {problem.message}"
                for problem in exc.problems
            ]
            raise CommandError(make_lines([*lines, "nothing was changed"])) from None
        if options["json"]:
            told = {"dry_run": dry_run, "changes": [asdict(change) for change in changes]}
            self.write_json(told)
            return
        for change in changes:
            fields = f" ({', '.join(change.fields)})" if change.fields else ""
            self.stdout.write(f"{change.action:<9}  {change.noun} {change.name}{fields}")
            for note in change.notes:
                self.stdout.write(f"{'':<9}  {note}")
        if dry_run:
            self.stdout.write("nothing was changed: this is what would be")


def _count(document: Any) -> int:
    """Counts the objects that the file names, as far as it is a configuration at all."""
    given = document.get("workspaces") if isinstance(document, dict) else None
    workspaces = given if isinstance(given, list) else []
    entries = [each for each in workspaces if isinstance(each, dict)]
    lists = [each.get(name) for each in entries for name in ("connectors", "sync_jobs", "streams")]
    return len(entries) + sum(len(each) for each in lists if isinstance(each, list))
