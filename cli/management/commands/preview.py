"""`preview CONNECTOR ENTITY`: the first rows of a table of a far end."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from api.shapes.offers import PREVIEW_MAX, PreviewOut, tell_preview
from cli.command import WorkspaceCommand, whole_number
from cli.finding import need_connector
from cli.lines import make_lines, one_line, print_columns
from cli.offers import asking
from connectors.offers import preview_offer

CELL_SHOWN_MAX = 40


class Command(WorkspaceCommand):
    help = (
        "Show the first rows of a table that a connector of kind sql or rest offers, with the types that its"
        " columns would get. Nothing is stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("connector", metavar="CONNECTOR")
        parser.add_argument("entity", metavar="ENTITY", help="its name, as `entities` lists it")
        parser.add_argument(
            "--limit",
            type=whole_number(1, PREVIEW_MAX),
            default=20,
            metavar="N",
            help="so many rows at most (default: 20)",
        )
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        connector = need_connector(workspace, options["connector"])
        with asking(connector):
            found = preview_offer(connector, options["entity"], options["limit"])
        told = tell_preview(found)
        if options["json"]:
            self.write_json(PreviewOut(**told).model_dump(mode="json"))
            return
        heads = [one_line(column.name) for column in found.columns]
        types = [column.type for column in found.columns]
        rows = [[_show(cell) for cell in row] for row in found.rows]
        if heads:
            self.stdout.write(make_lines(print_columns([heads, types, *rows])))
        if not found.complete:
            self.stderr.write("there are further rows")


def _show(cell: str | None) -> str:
    if cell is None:
        return "NULL"
    shown = one_line(cell)
    return shown if len(shown) <= CELL_SHOWN_MAX else f"{shown[: CELL_SHOWN_MAX - 1]}…"
