"""`fires JOB`: when a job runs next, and by which rules."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_job
from syncjobs.models import SyncJob
from syncjobs.queries.fires import (
    describe_fire,
    describe_rules,
    describe_schedule,
    find_fires,
    find_opening,
    may_begin,
)

COUNT_MAX = 1_000


class Command(WorkspaceCommand):
    help = (
        "Say when a sync job runs: its schedule in words, what else decides (jitter, missed fires,"
        " overlap, windows), and its next fires on the clock of its zone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="JOB")
        parser.add_argument("--count", type=int, default=5, help="how many fires (default: 5)")
        parser.add_argument("--json", action="store_true", help="print as JSON, times in UTC")

    def run(self, *args: object, **options: Any) -> None:
        count = options["count"]
        if not 1 <= count <= COUNT_MAX:
            raise CommandError(f"--count is from 1 to {COUNT_MAX:,}")
        job = need_job(self.get_workspace(options["workspace"]), options["job"])
        fires = find_fires(job, count)
        if options["json"]:
            told = {
                "job": job.name,
                "schedule": describe_schedule(job),
                "rules": describe_rules(job),
                "enabled": job.enabled,
                "paused": job.paused_at is not None,
                "fires": list(fires),
            }
            self.write_json(told)
            return
        self.stdout.write(f"{job.name}: {describe_schedule(job)}")
        for rule in describe_rules(job):
            self.stdout.write(f"  {rule}")
        for at in fires:
            self.stdout.write(f"{describe_fire(job, at)}{_waits(job, at)}")
        if not fires:
            self.stdout.write(_why_none(job))


def _waits(job: SyncJob, at: datetime) -> str:
    opens_at = find_opening(job, at)
    if opens_at is not None:
        return f"  waits for its window, {opens_at:%a %d %b %Y %H:%M} UTC"
    return "" if may_begin(job, at) else "  no window for it within a year"


def _why_none(job: SyncJob) -> str:
    if not job.enabled:
        return "disabled: it runs by hand only"
    if job.paused_at is not None:
        return f"paused: {job.paused_reason or 'it runs by hand only'}"
    return "no fire is planned"
