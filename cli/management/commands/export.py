"""`export`: configuration as the YAML that `apply` takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.configfile import dump
from syncjobs.configuration.yaml_out import Export, export_configuration
from workspaces.models import Workspace


class Command(WorkspaceCommand):
    help = (
        "Print workspaces, connectors, sync jobs and streams as the YAML that `apply` takes: what differs from the"
        " defaults. Secrets are never in it: each stands as ${env:NAME}, and the names are listed at the top."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--workspace",
            action="append",
            default=[],
            metavar="NAME",
            help="only this one; may be given more than once (default: all)",
        )
        parser.add_argument(
            "--output", type=Path, metavar="FILE", help="write there, not to the terminal"
        )

    def run(self, *args: object, **options: Any) -> None:
        named = [self.get_workspace(name) for name in options["workspace"]]
        export = export_configuration({*(named or Workspace.objects.all())})
        text = as_text(export)
        if options["output"] is None:
            self.stdout.write(text, ending="")
        else:
            try:
                options["output"].write_text(text, encoding="utf-8")
            except OSError as exc:
                raise CommandError(f"cannot write {options['output']}: {exc.strerror}") from None
        for note in export.notes:
            self.stderr.write(f"not told: {note}")


def as_text(export: Export) -> str:
    lines = []
    if export.variables:
        lines.append("# `apply` takes the secrets from these environment variables:")
        lines += [f"#   {name}" for name in export.variables]
    return "".join(f"{line}\n" for line in lines) + dump(export.document)
