"""`test_connector NAME`: every stage of reaching a far end, with what to do where one fails."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import busy
from cli.command import WorkspaceCommand
from cli.finding import need_connector
from connectors.opening import find_capabilities, test_connector
from farends.errors import TransportError
from farends.measuring import describe_capabilities

MARKS = {"passed": "ok", "failed": "FAILED", "skipped": "-"}


class Command(WorkspaceCommand):
    help = (
        "Test a connector stage by stage: resolve, connect, identity, log in, then list and read, or for a client"
        " system the path of readings, without sending one. Exit status 0 where none failed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("name", metavar="NAME")
        parser.add_argument("--json", action="store_true", help="print the stages as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        connector = need_connector(workspace, options["name"])
        try:
            with busy(f"testing {connector.name}"):
                results = test_connector(connector)
        except TransportError as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json([asdict(result) for result in results])
        else:
            for result in results:
                mark = MARKS.get(str(result.outcome), str(result.outcome))
                self.stdout.write(f"{mark:<7} {result.stage:<9} {result.detail}".rstrip())
                if result.advice:
                    self.stdout.write(f"        {result.advice}")
            capabilities = find_capabilities(connector)
            if capabilities is not None:
                self.stdout.write()
                self.stdout.write("What this host can do")
                for title, words in describe_capabilities(capabilities):
                    self.stdout.write(f"  {title:<15} {words}")
        if any(str(result.outcome) == "failed" for result in results):
            sys.exit(1)
