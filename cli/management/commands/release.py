"""`release RECORD`: let a held record go on."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_record
from cli.waiting import add_waiting_arguments, finish
from syncjobs.records.asking import AnswerNeeded, release
from syncjobs.records.transition import IllegalMove
from workspaces.acting import actor_now

ANSWERS = ("rebuild", "new_column", "stop")


class Command(WorkspaceCommand):
    help = (
        "Let a held record go on: what its guard stopped is done. `explain RECORD` says what that is. The beginning"
        " of its id is enough."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("record", metavar="RECORD")
        parser.add_argument(
            "--schema-changes",
            choices=ANSWERS,
            help="what becomes of a column that has changed; needed where that is why it is held",
        )
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        record = need_record(self.get_workspace(options["workspace"]), options["record"])
        answer = options["schema_changes"]
        try:
            done = release(record.pk, by=actor_now().name, schema_changes=answer)
        except AnswerNeeded as exc:
            words = str(exc).replace("schema_changes", "--schema-changes")
            raise CommandError(words) from None
        except IllegalMove:
            done = False
        record.refresh_from_db()
        if not done:
            raise CommandError(f"it is {record.state}, not held: there is nothing to release")
        finish(self, record, options)
