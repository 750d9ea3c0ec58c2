"""`backfill JOB`: the fires of a range that has passed, each with a record of its own."""

from __future__ import annotations

import sys
import uuid
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_job
from cli.lines import Lines, make_lines
from cli.watching import watch
from syncjobs.core.states import State
from syncjobs.models import PARALLEL_MAX, Backfill, BackfillState, SyncJob, SyncMode
from syncjobs.queries.backfills import (
    BackfillProgress,
    UnreadableMoment,
    find_zone_of_job,
    latest_backfills,
    load_progress,
    read_moment,
)
from syncjobs.queueing.backfilling import (
    NoFires,
    TooManyFires,
    cancel_backfill,
    request_backfill,
)
from timing.clock import database_now

# The worst of its records decides.
WORST = (
    (State.FAILED, 1),
    (State.TIMED_OUT, 1),
    (State.HELD, 5),
    (State.CANCELLED, 3),
    (State.PARTIAL, 4),
)


class Command(WorkspaceCommand):
    help = (
        "Run the fires of a job that lie in a range of the past, each as a record of its own, whether or"
        " not they were served then. A day alone is meant whole, and times without an offset are on the"
        " clock of the job's schedule. Without --since, list the job's backfills. With --wait, show the"
        " progress and end with the worst state of its records: 0 all succeeded, 1 failed or timed out, 3"
        " cancelled, 4 partial, 5 held for a person."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("job", metavar="JOB", nargs="?")
        parser.add_argument("--since", metavar="TIME", help="from this fire on: 2026-11-01")
        parser.add_argument(
            "--until",
            metavar="TIME",
            help="to this fire, included: 2026-11-07T12:00 (default: now)",
        )
        parser.add_argument(
            "--parallel",
            type=int,
            default=1,
            metavar="N",
            help="records queued and running at once (default: 1)",
        )
        parser.add_argument("--full", action="store_true", help="trust no metadata in any of them")
        parser.add_argument("--wait", action="store_true", help="wait for the end")
        parser.add_argument(
            "--cancel", type=uuid.UUID, metavar="ID", help="stop this backfill and its records"
        )
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def run(self, *args: object, **options: Any) -> None:
        if options["cancel"]:
            self._cancel(options)
            return
        if not options["job"]:
            raise CommandError("name a job, or a backfill with --cancel")
        job = need_job(self.get_workspace(options["workspace"]), options["job"])
        if not options["since"]:
            self._list(job, options)
            return
        progress = _look(_request(job, options))
        if options["wait"]:
            progress = self._wait(progress)
        self._tell(progress, options)
        if options["wait"]:
            sys.exit(_status(progress))

    def _list(self, job: SyncJob, options: dict[str, Any]) -> None:
        if options["until"] or options["wait"]:
            raise CommandError("say where the range begins: --since 2026-11-01")
        found = latest_backfills(job)
        if options["json"]:
            self.write_json([progress.as_json() for progress in found])
            return
        for progress in found:
            self.stdout.write(_lines(progress))
        if not found:
            self.stdout.write(f"{job.name} has no backfills")

    def _cancel(self, options: dict[str, Any]) -> None:
        rows = Backfill.objects.select_related("job")
        if options["workspace"]:
            rows = rows.filter(workspace=self.get_workspace(options["workspace"]))
        backfill = rows.filter(pk=options["cancel"]).first()
        named = options["job"]
        if backfill is None or named not in (None, backfill.job.name, str(backfill.job_id)):
            raise CommandError(f"no backfill {options['cancel']}")
        if not cancel_backfill(backfill, by="command line"):
            backfill.refresh_from_db()
            raise CommandError(f"backfill {backfill.pk} is {backfill.state} already")
        self._tell(_look(backfill), options)

    def _tell(self, progress: BackfillProgress, options: dict[str, Any]) -> None:
        if options["json"]:
            self.write_json(progress.as_json())
        else:
            self.stdout.write(_lines(progress))

    def _wait(self, progress: BackfillProgress) -> BackfillProgress:
        row = progress.backfill

        def ended() -> bool:
            nonlocal progress
            progress = _look(row)
            return _is_over(progress)

        def look() -> tuple[str, float]:
            return f"{row.job.name}: {progress.describe()}", progress.ended

        if not _is_over(progress):
            watch(ended, look, self.stderr.write, total=row.fires, unit="fires")
        return progress


def _request(job: SyncJob, options: dict[str, Any]) -> Backfill:
    if not 1 <= options["parallel"] <= PARALLEL_MAX:
        raise CommandError(f"--parallel is from 1 to {PARALLEL_MAX}")
    now, zone = database_now(), find_zone_of_job(job)
    try:
        since = read_moment(options["since"], zone, now)
        until = read_moment(options["until"], zone, now, ends=True) if options["until"] else now
        return request_backfill(
            job,
            since,
            until,
            parallel=options["parallel"],
            mode=SyncMode.FULL if options["full"] else None,
            by="command line",
        )
    except (UnreadableMoment, NoFires, TooManyFires) as exc:
        raise CommandError(str(exc)) from None


def _look(backfill: Backfill) -> BackfillProgress:
    backfill.refresh_from_db()
    return load_progress([backfill])[0]


def _is_over(progress: BackfillProgress) -> bool:
    """A cancelled one is over when its records are, too."""
    live = progress.states.get(State.QUEUED, 0) + progress.states.get(State.RUNNING, 0)
    ended = progress.backfill.state != BackfillState.ACTIVE and not live
    return ended or progress.waits_for_person


def _status(progress: BackfillProgress) -> int:
    for state, status in WORST:
        if progress.states.get(state):
            return status
    return 3 if progress.backfill.state == BackfillState.CANCELLED else 0


def _lines(progress: BackfillProgress) -> Lines:
    row = progress.backfill
    lines = [
        f"{row.job.name}: backfill {row.state} ({row.pk})",
        f"  {row.since:%Y-%m-%d %H:%M:%S} to {row.until:%Y-%m-%d %H:%M:%S} UTC",
        f"  {progress.describe()}",
    ]
    if progress.waits_for_person:
        lines.append("  held for a person: release or cancel what is held")
    return make_lines(lines)
