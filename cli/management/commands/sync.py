"""`sync JOB`: one run now, watched to its end where asked."""

from __future__ import annotations

import sys
import time
import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.bars import on_terminal
from cli.command import WorkspaceCommand
from cli.finding import need_job
from cli.lines import Lines, as_json, make_lines
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.approving import AlreadyApplied, NoPlan, approve

EXIT_STATUS = {
    State.SUCCEEDED: 0,
    State.FAILED: 1,
    State.TIMED_OUT: 1,
    State.CANCELLED: 3,
    State.PARTIAL: 4,
    State.HELD: 5,
}
LOOK_S = 0.25
QUIET_S = 15.0
FILES_SHOWN = 20


class Command(WorkspaceCommand):
    help = (
        "Run a sync job now. With --wait, show its progress and end with its state: 0 succeeded,"
        " 1 failed or timed out, 3 cancelled, 4 partial, 5 held for a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="JOB")
        parser.add_argument("--wait", action="store_true", help="wait for the end")
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
        parser.add_argument("--json", action="store_true", help="print the record as JSON")

    def run(self, *args: Any, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        job = need_job(workspace, options["job"])
        record = self._apply(job, options) if options["apply"] else self._enqueue(job, options)
        if options["wait"]:
            self._wait(record)
        if options["json"]:
            self.stdout.write(as_json(_as_json(record)))
        else:
            self.stdout.write(describe_record(record))
        if options["wait"]:
            sys.exit(EXIT_STATUS[State(record.state)])

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
        except (WorkspaceBusy, JobBusy) as exc:
            raise CommandError(
                f"{exc}: {_line(exc.record)}; wait for record {exc.record.pk}, or cancel it"
            ) from None

    def _apply(self, job: SyncJob, options: dict[str, Any]) -> SyncRecord:
        if options["full"] or options["dry_run"]:
            raise CommandError("--apply goes with the plan's own mode: leave --full and --dry-run")
        plan = SyncRecord.objects.select_related("job").filter(job=job, pk=options["apply"]).first()
        if plan is None:
            raise CommandError(f"job {job.name} has no record {options['apply']}")
        try:
            return approve(plan, by="command line")
        except (NoPlan, AlreadyApplied) as exc:
            raise CommandError(str(exc)) from None

    def _wait(self, record: SyncRecord) -> None:
        if on_terminal():
            _wait_with_bar(record)
            return
        said = None
        quiet_since = time.monotonic()
        while not _is_over(record):
            now_says = _line(record)
            if now_says != said and time.monotonic() - quiet_since >= QUIET_S:
                self.stderr.write(now_says)
                said, quiet_since = now_says, time.monotonic()
            time.sleep(LOOK_S)
            record.refresh_from_db()


def _wait_with_bar(record: SyncRecord) -> None:
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    ) as progress:
        task = progress.add_task(_line(record), total=100)
        while not _is_over(record):
            time.sleep(LOOK_S)
            record.refresh_from_db()
            progress.update(task, completed=record.percentage, description=_line(record))


def _is_over(record: SyncRecord) -> bool:
    return record.state in FINAL or record.state == State.HELD


def _line(record: SyncRecord) -> str:
    if record.state == State.QUEUED:
        return f"queued: waits for {record.waiting_for or 'a worker'}"
    if record.total_files is None:
        return record.stage.replace("_", " ") or record.state
    return f"{record.stage.replace('_', ' ')}: file {record.current_file_index} of {record.total_files}"


def describe_record(record: SyncRecord) -> Lines:
    """One record in a few lines, for a terminal."""
    lines = [f"{record.job.name}: {record.state} ({record.pk})"]
    if record.state in (State.SUCCEEDED, State.PARTIAL):
        changed = (
            f"{record.files_added} added, {record.files_changed} changed,"
            f" {record.files_removed} removed, {record.files_unchanged} unchanged"
        )
        if record.files_failed:
            changed += f", {record.files_failed} failed"
        if record.files_skipped:
            changed += f", {record.files_skipped} skipped"
        if record.files_deferred:
            changed += f", {record.files_deferred} deferred"
        lines.append(f"  {changed}")
        took = ""
        if record.started_at and record.finished_at:
            took = f", {(record.finished_at - record.started_at).total_seconds():.1f} s"
        version = f", dataset version {record.dataset_version}" if record.dataset_version else ""
        lines.append(f"  {record.bytes_transferred:,} bytes{took}{version}")
    if record.files_cleared or record.files_left:
        lines.append(f"  at the source: {record.files_cleared} cleared, {record.files_left} left")
    if record.warning:
        lines.append(f"  warning: {record.warning}")
    lines += [f"  {line}" for line in _plan_lines(record)]
    if record.waiting_for:
        lines.append(f"  waits for {record.waiting_for}")
    if record.error:
        lines.append(f"  {record.error_code}: {record.error}")
    return make_lines(lines)


def _plan_lines(record: SyncRecord) -> list[str]:
    lines = []
    if record.dry_run and record.plan is not None:
        lines.append(f"{record.plan['files']} files, {record.plan['bytes']:,} bytes to fetch")
        if guard := record.plan["guard"]:
            lines.append(f"would be held: {guard['reason']}")
        if (afterwards := record.plan["terms"]["afterwards"]) != "keep":
            lines.append(f"published files would then go from the source ({afterwards})")
        if not record.plan["listing_complete"]:
            lines.append("the listing is not complete, so nothing would be removed")
        for item in record.items.order_by("pk")[:FILES_SHOWN]:
            size = "" if item.size_bytes is None else f" ({item.size_bytes:,} bytes)"
            lines.append(f"{item.action:<8} {item.path}{size}")
        if more := record.items.count() - FILES_SHOWN:
            lines += [f"… and {more} more"] if more > 0 else []
        lines.append(f"apply it with: sync {record.job.name} --apply {record.pk}")
    for file in (record.drift or {}).get("files", [])[:FILES_SHOWN]:
        lines.append(f"{file['what']:<8} {file['path']}")
    return lines


def _as_json(record: SyncRecord) -> dict[str, Any]:
    fields = (
        "state verdict stage percentage files_added files_changed files_removed files_unchanged"
        " files_failed files_skipped bytes_transferred attempt dataset_version error_code error"
        " waiting_for plan drift files_cleared files_left warning"
    )
    return {"id": str(record.pk), "job": record.job.name} | {
        name: getattr(record, name) for name in fields.split()
    }
