"""`explain RECORD`: why a record waits, stopped or failed, and what to do."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.lines import make_lines
from syncjobs.queries.explaining import (
    AmbiguousRecord,
    Explanation,
    NoSuchRecord,
    explain,
    find_record,
)

USAGE = 2  # exit status for what cannot be meant
_WIDTH = 13


class Command(WorkspaceCommand):
    help = (
        "Say why a record waits, stopped or failed: by which rule, on what evidence, and what to do"
        " next. The beginning of its id is enough."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("record", metavar="RECORD")
        parser.add_argument("--workspace", help="name of the workspace (default: all)")
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def run(self, *args: object, **options: Any) -> None:
        named = options["workspace"]
        workspaces = [self.get_workspace(named).pk] if named else None
        try:
            record = find_record(options["record"], workspace_ids=workspaces)
        except (NoSuchRecord, AmbiguousRecord) as exc:
            raise CommandError(str(exc), returncode=USAGE) from None
        told = explain(record)
        if options["json"]:
            self.write_json(told.as_json())
        else:
            self.stdout.write(make_lines(_lines(told)))


def _lines(told: Explanation) -> Iterator[str]:
    yield f"{told.job} ({told.workspace}): {told.state} since {told.since:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  {told.summary}"
    yield ""
    yield from _fact("record", str(told.id))
    for wait in told.waits:
        until = f" until {wait.until:%Y-%m-%d %H:%M:%S} UTC" if wait.until else ""
        yield from _fact("waits for", f"{wait.what}{until}")
    yield from _fact("verdict", told.verdict)
    yield from _fact("error", f"{told.error_code}: {told.error}" if told.error_code else "")
    yield from _fact("attempt", _attempts(told))
    yield from _movement(told)
    if told.evidence:
        yield "evidence"
        for name, value in told.evidence.items():
            if value not in (None, ""):
                yield f"  {name}: {value}"
    if told.next_steps:
        yield "what to do"
        yield from (f"  - {step}" for step in told.next_steps)
    if told.events:
        yield "what happened"
        for event in told.events:
            yield f"  {event.at:%Y-%m-%d %H:%M:%S}  {event.event:<18} {event.reason}".rstrip()


def _attempts(told: Explanation) -> str:
    attempts = told.attempts
    words = f"{attempts.number}"
    if attempts.without_progress:
        words += f", {attempts.without_progress} in vain of the {attempts.most} that it may have in a row"
    if attempts.workers_lost:
        words += f", {attempts.workers_lost} of {attempts.workers_lost_most} workers lost"
    if attempts.worked_s:
        words += f"; earlier ones worked for {attempts.worked_s:.0f} s"
    return words


def _movement(told: Explanation) -> Iterator[str]:
    movement = told.movement
    if movement is None:
        return
    yield from _fact("worker", movement.owner)
    yield from _fact(
        "heartbeat",
        f"{movement.heartbeat_s:.0f} s ago, lease for {movement.lease_left_s:.0f} s more",
    )
    if movement.progress_s is not None:
        limit = f"limit {movement.progress_limit_s:.0f} s"
        yield from _fact("last moved", f"{movement.progress_s:.0f} s ago ({limit})")
    if movement.worked_s is not None:
        allowed = f" of {movement.deadline_s:.0f} s allowed" if movement.deadline_s else ""
        usual = f"{movement.expected_s:.0f} s" if movement.expected_s else "not known yet"
        yield from _fact("working for", f"{movement.worked_s:.0f} s{allowed}, expected: {usual}")


def _fact(name: str, words: str) -> Iterator[str]:
    if words:
        yield f"{name:<{_WIDTH}}{words}"
