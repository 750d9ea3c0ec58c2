"""`quarantine RECORD`: rows that a record could not load."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from api.shapes.quarantine import QuarantinedOut, tell_quarantined
from cli.command import WorkspaceCommand
from cli.finding import need_record
from cli.lines import make_lines
from syncjobs.models import QuarantinedRow, QuarantineState


class Command(WorkspaceCommand):
    help = (
        "List the rows that a record could not load, each with its place, the reason and what it was. The"
        " beginning of the record's id is enough."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("record", metavar="RECORD")
        parser.add_argument("--state", choices=QuarantineState.values, help="only these")
        parser.add_argument("--json", action="store_true", help="print them as JSON")

    def run(self, *args: object, **options: Any) -> None:
        record = need_record(self.get_workspace(options["workspace"]), options["record"])
        rows = QuarantinedRow.objects.filter(record=record).order_by("pk")
        if options["state"]:
            rows = rows.filter(state=options["state"])
        if options["json"]:
            told = [QuarantinedOut(**tell_quarantined(row)).model_dump() for row in rows]
            self.write_json({"items": told})
            return
        for row in rows.iterator(1_000):
            self.stdout.write(make_lines(_lines(row)))


def _lines(row: QuarantinedRow) -> list[str]:
    place = f"{row.path}:{row.line}" if row.path else ", ".join(_key_words(row.key))
    column = f", column {row.column}" if row.column else ""
    head = f"{row.pk}  {row.state}  {row.table}  {place}{column}"
    return [head, f"    {row.code}: {row.message}"]


def _key_words(key: Any) -> list[str]:
    return [f"{name}={value}" for name, value in (key or {}).items()]
