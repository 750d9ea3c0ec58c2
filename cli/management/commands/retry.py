"""`retry RECORD`: do again what did not succeed."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_record
from cli.waiting import add_waiting_arguments, finish
from syncjobs.queries.records import reread
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NothingToRetry, retry, retry_failed
from syncjobs.records.asking import AlreadyApplied, ConnectorPaused, NoPlan
from workspaces.acting import actor_now


class Command(WorkspaceCommand):
    help = (
        "Do a record again, as a new one, where it failed, timed out, was cancelled or is partial. The beginning of"
        " its id is enough. With --wait, end with the new record's state as `sync --wait` does."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("record", metavar="RECORD")
        parser.add_argument(
            "--failed-only",
            action="store_true",
            help="take its failed files alone: nothing else is fetched, changed or removed",
        )
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        record = need_record(self.get_workspace(options["workspace"]), options["record"])
        try:
            begin = retry_failed if options["failed_only"] else retry
            again = begin(record, by=actor_now().name)
        except (NothingToRetry, NoPlan, ConnectorPaused) as exc:
            raise CommandError(str(exc)) from None
        except (AlreadyQueued, JobBusy, WorkspaceBusy, AlreadyApplied) as exc:
            raise CommandError(f"{exc}; wait for record {exc.record.pk}, or cancel it") from None
        finish(self, reread(again), options)
