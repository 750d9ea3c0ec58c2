"""`records`: what runs, and what ran."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from api.shapes.records import SHOWN, RecordOut, tell_line
from cli.command import WorkspaceCommand, whole_number
from cli.finding import need_connector, need_job
from cli.lines import make_lines, print_columns
from syncjobs.core.states import State
from syncjobs.queries.records import lines_of

_MOST = 10_000
_HEADS = ["RECORD", "JOB", "STATE", "QUEUED (UTC)", "TOOK", "DONE", "WHY"]
_WHY_SHOWN = 90


class Command(WorkspaceCommand):
    help = (
        "List the sync records of a workspace, the newest first. `explain RECORD` tells more of one; the beginning of"
        " its id is enough."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--job", metavar="NAME", help="only those of this job")
        parser.add_argument("--connector", metavar="NAME", help="only those of this connector")
        parser.add_argument("--state", choices=[state.value for state in State], help="only these")
        parser.add_argument(
            "--dry-run", action="store_true", help="list dry runs, which are no syncs, instead"
        )
        parser.add_argument(
            "--limit",
            type=whole_number(1, _MOST),
            default=20,
            metavar="N",
            help="how many at most (default: 20)",
        )
        parser.add_argument("--json", action="store_true", help="print them as JSON, as REST does")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        lines = lines_of(workspace, SHOWN, plans=options["dry_run"])
        if options["job"]:
            lines = lines.filter(job=need_job(workspace, options["job"]))
        if options["connector"]:
            lines = lines.filter(connector=need_connector(workspace, options["connector"]))
        if options["state"]:
            lines = lines.filter(state=options["state"])
        told = [tell_line(line) for line in lines.order_by("-queued_at", "-pk")[: options["limit"]]]
        if options["json"]:
            self.write_json({"items": [RecordOut(**one).model_dump() for one in told]})
        elif told:
            self.stdout.write(make_lines(print_columns([_HEADS, *map(_cells, told)])))
        else:
            self.stderr.write("there are none")


def _cells(record: dict[str, Any]) -> list[str]:
    why = record["waiting_for"] or record["error"] or record["warning"] or ""
    began, ended = record["started_at"], record["finished_at"]
    took = f"{(ended - began).total_seconds():.0f} s" if began and ended else "-"
    return [
        str(record["id"]),
        record["job"],
        record["state"].replace("_", " "),
        f"{record['queued_at']:%Y-%m-%d %H:%M:%S}",
        took,
        _counts(record),
        why if len(why) <= _WHY_SHOWN else f"{why[: _WHY_SHOWN - 1]}…",
    ]


def _counts(record: dict[str, Any]) -> str:
    noun = "files" if record["rows_read"] is None else "rows"
    signs = {"added": "+", "changed": "~", "removed": "-", "failed": "!"}
    counted = [
        f"{sign}{record[f'{noun}_{how}']:,}"
        for how, sign in signs.items()
        if record[f"{noun}_{how}"]
    ]
    return " ".join(counted) or "-"
