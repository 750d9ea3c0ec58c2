"""`connectivity [CONNECTOR]`: whether far ends can be reached."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import CommandParser

from cli.bars import busy
from cli.command import WorkspaceCommand, tell_as_rest
from cli.finding import need_connector
from cli.lines import Lines
from connectors.models import Connector
from connectors.monitoring import check_now
from connectors.telling import tell_connectivity

_WORDS = {True: "connected", False: "not connected", None: "not checked yet"}


class Command(WorkspaceCommand):
    help = (
        "Tell whether the far ends of a workspace, or of one connector, can be reached, and since when. --check looks"
        " now, without a log-in. Exit status 1 where one of them cannot be reached."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("connector", nargs="?", metavar="CONNECTOR")
        parser.add_argument("--check", action="store_true", help="look now")
        parser.add_argument("--json", action="store_true", help="print the answer as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace, named = self.get_workspace(options["workspace"]), options["connector"]
        rows = Connector.objects.filter(workspace=workspace).order_by("name")
        connectors = [need_connector(workspace, named)] if named else list(rows)
        told = {}
        for connector in connectors:
            if options["check"]:
                with busy(f"checking {connector.name}"):
                    check_now(connector)
            told[connector.name] = tell_connectivity(connector)
        if options["json"]:
            shown = [{"connector": name, **one} for name, one in told.items()]
            self.stdout.write(Lines(json.dumps(shown[0] if named else shown, default=tell_as_rest)))
        else:
            for name, one in told.items():
                self.stdout.write(_line_of(name, one))
        if any(one["is_connected"] is False for one in told.values()):
            sys.exit(1)


def _line_of(name: str, told: dict[str, Any]) -> str:
    since_s = told["uptime"] or told["downtime"]
    since = f" for {since_s} s" if told["is_connected"] is not None else ""
    failures = told["consecutive_failures"]
    return f"{name}: {_WORDS[told['is_connected']]}{since}" + (
        f", {failures} failures in a row" if failures else ""
    )
