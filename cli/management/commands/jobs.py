"""`jobs`: what is synced, and when."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from api.shapes.jobs import JobPage, tell_jobs
from cli.command import WorkspaceCommand
from cli.finding import need_connector
from cli.lines import make_lines, print_columns
from syncjobs.models import SyncJob

_HEADS = ["JOB", "SOURCE", "STATE", "SCHEDULE", "NEXT (UTC)", "LAST SUCCESS (UTC)", "LAST ERROR"]
_ERROR_SHOWN = 80


class Command(WorkspaceCommand):
    help = (
        "List the sync jobs of a workspace: what each reads, when it is due, and how it went last."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--connector", metavar="NAME", help="only those of this connector")
        parser.add_argument("--json", action="store_true", help="print them as JSON, as REST does")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        jobs = SyncJob.objects.filter(workspace=workspace).order_by("name")
        if options["connector"]:
            jobs = jobs.filter(connector=need_connector(workspace, options["connector"]))
        told = tell_jobs(list(jobs.select_related("connector", "source_dataset", "dataset")))
        if options["json"]:
            page = JobPage.model_validate({"items": told, "next": None})
            self.write_json({"items": page.model_dump()["items"]})
        elif told:
            self.stdout.write(make_lines(print_columns([_HEADS, *map(_cells, told)])))
        else:
            self.stderr.write(f"workspace {workspace.name} has no sync jobs yet")


def _cells(job: dict[str, Any]) -> list[str]:
    source = job["connector"] or f"dataset {job['source_dataset']}"
    state = "off" if not job["enabled"] else "paused" if job["paused_reason"] else "on"
    error = job["last_error"] or "-"
    return [
        job["name"],
        source,
        state,
        job["schedule_words"],
        _moment(job["next_run_at"]),
        _moment(job["last_run_at"]),
        error if len(error) <= _ERROR_SHOWN else f"{error[: _ERROR_SHOWN - 1]}…",
    ]


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else "-"
