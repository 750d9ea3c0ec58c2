"""`entities CONNECTOR`: the tables that a far end offers, or the files of a dataset that can be read as tables."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from api.shapes.offers import OfferedEntityOut, tell_offer, write_cursor
from cli.command import WorkspaceCommand
from cli.lines import make_lines, print_columns
from cli.offers import add_source_arguments, asking, need_source
from connectors.models import Connector
from connectors.offers import list_offers
from farends.rows.contract import Entity
from syncjobs.queries.offered_files import list_offered_files

MOST = 10_000


class Command(WorkspaceCommand):
    help = (
        "List the tables that a connector of kind sql or rest offers, each with the key and the cursor that are"
        " proposed for it; or the files of a dataset that a job of rows can read. Nothing is stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_source_arguments(parser)
        parser.add_argument("--prefix", default="", help="only those whose name begins so")
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        source, prefix = need_source(workspace, options), options["prefix"]
        with asking(source):
            if isinstance(source, Connector):
                found, has_more = list_offers(source, prefix, most=MOST)
            else:
                found, has_more = list_offered_files(
                    source, options["format"], prefix, after=None, most=MOST
                )
        if options["json"]:
            told = [OfferedEntityOut(**tell_offer(entity)).model_dump() for entity in found]
            self.write_json({"items": told})
        elif found:
            heads = ["NAME", "KIND", "KEY", "CURSOR", "ROWS"]
            self.stdout.write(make_lines(print_columns([heads, *map(_cells, found)])))
        if has_more:
            self.stderr.write(f"these are the first {MOST:,}: give --prefix")


def _cells(entity: Entity) -> list[str]:
    cursor = entity.proposed_cursor
    told = "-" if cursor is None else write_cursor(cursor)
    shown = told if isinstance(told, str) else str(told["field"])
    key = ", ".join(entity.key) or "-"
    rows = "-" if entity.estimated_rows is None else f"{entity.estimated_rows:,}"
    return [entity.name, entity.kind.value, key, shown, rows]
