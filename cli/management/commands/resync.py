"""`resync JOB`: a job of rows reads its tables from nothing."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_job
from cli.waiting import add_waiting_arguments, finish
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import NotOfRows, request_resync
from syncjobs.records.asking import ConnectorPaused


class Command(WorkspaceCommand):
    help = (
        "Let a job of rows forget where its source stood and read its tables from nothing. Guards hold as ever, and"
        " versions stay. With --wait, end with the state: 0 succeeded, 1 failed or timed out, 3 cancelled, 4 partial,"
        " 5 held."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="JOB")
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        job = need_job(self.get_workspace(options["workspace"]), options["job"])
        try:
            record = request_resync(job, by="command line")
        except (NotOfRows, ConnectorPaused) as exc:
            raise CommandError(str(exc)) from None
        except (AlreadyQueued, WorkspaceBusy, JobBusy) as exc:
            raise CommandError(f"{exc}: wait for record {exc.record.pk}, or cancel it") from None
        finish(self, record, options)
