"""`browse CONNECTOR [PATH]`: what lies in a folder of a far end."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.folders import FolderOut, PathOut, tell_browsed
from cli.bars import busy
from cli.command import WorkspaceCommand
from cli.finding import need_connector
from cli.lines import make_lines, print_columns
from connectors.folders import look_into
from farends.errors import RootMissing, TransportError, UnsafeName
from farends.registry import UnknownKind


class Command(WorkspaceCommand):
    help = (
        "List a folder of a far end, before a job is made for it: folders first. PATH counts from the connector's"
        " root. Folders without files are not seen. Nothing is stored."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("connector", metavar="CONNECTOR")
        parser.add_argument("folder", metavar="PATH", nargs="?", default="")
        parser.add_argument("--json", action="store_true", help="print it as JSON, as REST does")

    def run(self, *args: object, **options: Any) -> None:
        connector = need_connector(self.get_workspace(options["workspace"]), options["connector"])
        try:
            with busy(f"asking {connector.name}"):
                folder = look_into(connector, options["folder"])
        except (UnsafeName, RootMissing):
            raise CommandError(f"{connector.name} has no folder {options['folder']!r}") from None
        except (TransportError, UnknownKind) as exc:
            raise CommandError(f"{exc}; `test_connector {connector.name}` looks closer") from None
        rows = sorted(folder.rows.values(), key=lambda row: (not row.is_folder, row.name))
        items = [PathOut(**tell_browsed(row)) for row in rows]
        if options["json"]:
            self.write_json(
                FolderOut(path=folder.path, items=items, complete=folder.complete).model_dump()
            )
            return
        if items:
            self.stdout.write(make_lines(print_columns([_cells(item) for item in items])))
        if not folder.complete:
            self.stderr.write("there is more: this is what could be seen in the time for a look")


def _cells(item: PathOut) -> list[str]:
    size = f"{item.size_bytes:,}" if item.size_bytes is not None else "-"
    at = f"{item.modified_at:%Y-%m-%d %H:%M:%S}" if item.modified_at else "-"
    name = f"{item.name}/" if item.type == "folder" else item.name
    return [size, at, name, f"not synced: {item.skipped}" if item.skipped else ""]
