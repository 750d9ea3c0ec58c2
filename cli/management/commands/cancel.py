"""`cancel RECORD`: ask for the end of a record."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_record
from cli.waiting import add_waiting_arguments, finish
from syncjobs.records.asking import cancel
from workspaces.acting import actor_now


class Command(WorkspaceCommand):
    help = (
        "Cancel a record that waits, runs or is held. A running one ends within seconds, and publishes nothing. The"
        " beginning of its id is enough."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("record", metavar="RECORD")
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        record = need_record(self.get_workspace(options["workspace"]), options["record"])
        if not cancel(record.pk, by=actor_now().name):
            record.refresh_from_db()
            raise CommandError(f"nothing was cancelled: the record has ended, {record.state}")
        record.refresh_from_db()
        finish(self, record, options)
