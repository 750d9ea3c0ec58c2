"""`status`: a workspace at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core.management.base import CommandParser

from api.shapes.overview import EndedOut, RunningOut, StatusOut, WaitingOut, tell_overview
from cli.command import WorkspaceCommand
from cli.lines import make_lines
from syncjobs.queries.overview import look_over

_SHOWN = 20


class Command(WorkspaceCommand):
    help = "Say what runs and how far it is, what waits and for what, the latest results, and what is due next."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument(
            "--json", action="store_true", help="print it as JSON, as REST's /status does"
        )

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        told = tell_overview(workspace, look_over(workspace, most=_SHOWN))
        if options["json"]:
            self.write_json(told.model_dump())
        else:
            self.stdout.write(make_lines(_lines(told)))


def _lines(told: StatusOut) -> Iterator[str]:
    counts = f"{told.running_count} running, {told.queued_count} waiting, {told.held_count} held"
    yield f"{told.workspace}: {told.status}; {counts}"
    yield from _section("running", map(_running, told.running))
    yield from _section("waiting", map(_waiting, told.queued))
    yield from _section("latest", map(_ended, told.last_results))
    due = (f"{_moment(one.next_run_at)}  {one.job}" for one in told.next_due)
    yield from _section("due next", due)
    if told.held_count:
        yield "`records --state held` lists what waits for a person"


def _section(title: str, lines: Iterator[str]) -> Iterator[str]:
    for number, line in enumerate(lines):
        if number == 0:
            yield title
        yield f"  {line}"


def _running(one: RunningOut) -> str:
    files = f", file {one.current_file_index} of {one.total_files}" if one.total_files else ""
    stage = one.stage.replace("_", " ")
    return f"{one.job}: {one.percentage:.0f} %, {stage}{files}  ({one.id})"


def _waiting(one: WaitingOut) -> str:
    until = f" until {_moment(one.not_before)}" if one.not_before else ""
    return f"{one.job}: waits for {one.waiting_for or 'a worker'}{until}  ({one.id})"


def _ended(one: EndedOut) -> str:
    at = _moment(one.finished_at) if one.finished_at else ""
    why = f": {one.error}" if one.error else ""
    return f"{at}  {one.job}: {one.state.replace('_', ' ')}{why}"


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
