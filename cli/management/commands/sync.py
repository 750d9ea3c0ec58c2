"""`sync JOB`: one run now, watched to its end where asked."""

from __future__ import annotations

import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_job
from cli.records import describe_progress
from cli.waiting import add_waiting_arguments, finish
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import AlreadyApplied, ConnectorPaused, NoPlan, approve


class Command(WorkspaceCommand):
    help = (
        "Run a sync job now. With --wait, show its progress and end with its state: 0 succeeded,"
        " 1 failed or timed out, 3 cancelled, 4 partial, 5 held for a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="JOB")
        parser.add_argument(
            "--full", action="store_true", help="trust no metadata: compare every file's content"
        )
        parser.add_argument(
            "--dry-run", action="store_true", help="say what would change, fetch nothing"
        )
        parser.add_argument(
            "--apply",
            type=uuid.UUID,
            metavar="RECORD",
            help="do what the plan of this dry run says; where anything differs by now, do nothing",
        )
        add_waiting_arguments(parser)

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        job = need_job(workspace, options["job"])
        record = self._apply(job, options) if options["apply"] else self._enqueue(job, options)
        finish(self, record, options)

    def _enqueue(self, job: SyncJob, options: dict[str, Any]) -> SyncRecord:
        try:
            return request_sync(
                job,
                mode=SyncMode.FULL if options["full"] else None,
                by="command line",
                dry_run=options["dry_run"],
            )
        except AlreadyQueued as exc:
            record = exc.record
            if options["full"] or options["dry_run"]:
                raise CommandError(
                    f"record {record.pk} is queued already; wait for it or cancel it first"
                ) from None
            self.stderr.write(f"queued already as record {record.pk}")
            return record
        except ConnectorPaused as exc:
            raise CommandError(str(exc)) from None
        except (WorkspaceBusy, JobBusy) as exc:
            raise CommandError(
                f"{exc}: {describe_progress(exc.record)}; wait for record {exc.record.pk}, or cancel it"
            ) from None

    def _apply(self, job: SyncJob, options: dict[str, Any]) -> SyncRecord:
        if options["full"] or options["dry_run"]:
            raise CommandError("--apply goes with the plan's own mode: leave --full and --dry-run")
        plan = SyncRecord.either.select_related("job").filter(job=job, pk=options["apply"]).first()
        if plan is None:
            raise CommandError(f"job {job.name} has no record {options['apply']}")
        try:
            return approve(plan, by="command line")
        except (NoPlan, AlreadyApplied, ConnectorPaused) as exc:
            raise CommandError(str(exc)) from None
