"""`preview CONNECTOR ENTITY`: the first rows of a table of a far end, or of files of a dataset."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from api.shapes.offers import PREVIEW_MAX, PreviewOut, tell_preview
from cli.command import WorkspaceCommand, whole_number
from cli.lines import make_lines, one_line, print_columns
from cli.offers import add_source_arguments, asking, need_source
from connectors.models import Connector
from connectors.offers import preview_offer
from syncjobs.queries.offered_files import preview_named

CELL_SHOWN_MAX = 40


class Command(WorkspaceCommand):
    help = (
        "Show the first rows of a table that a connector of kind sql or rest offers, or of files of a dataset,"
        " with the types that its columns would get. Nothing is stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_source_arguments(parser)
        parser.add_argument(
            "entity",
            metavar="ENTITY",
            help="its name, as `entities` lists it; of a dataset also a pattern such as orders/*.csv",
        )
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
        source, entity, limit = need_source(workspace, options), options["entity"], options["limit"]
        with asking(source):
            if isinstance(source, Connector):
                found = preview_offer(source, entity, limit)
            else:
                found = preview_named(source, entity, options["format"], limit)
        told = tell_preview(found)
        if options["json"]:
            self.write_json(PreviewOut(**told).model_dump())
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
