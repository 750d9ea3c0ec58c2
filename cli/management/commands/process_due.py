"""`process_due`: what is due is synced by this very process, for hosts with cron and no workers."""

from __future__ import annotations

import sys
import uuid
from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandParser

from cli.command import Command as DatabaseCommand
from cli.records import EXIT_STATUS, describe_record, dump_record
from cli.working import EXIT_LEFT, work_on, working
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.queries.halts import find_halt_here, halt_words
from syncjobs.queueing.due import clean_up_where_nobody_does, dispatch_all, take_next
from syncjobs.upkeep.counting import count_events
from syncjobs.upkeep.workers import Worker

# The worst outcome of several is the one that the exit status tells.
WORST_FIRST = (1, 5, 4, 3, EXIT_LEFT, 0)


class Command(DatabaseCommand):
    help = (
        "Queue what is due and sync it in this process, one record after the other: for cron on a host"
        " without workers. Safe beside workers, beats and other calls. SIGTERM hands the record in work back"
        " to the queue. Exit status, the worst of all: 0 succeeded or nothing was due, 1 failed or timed out,"
        " 5 held for a person, 4 partial, 3 cancelled, 75 something goes on in a later call."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "limit",
            metavar="LIMIT",
            type=_positive,
            nargs="?",
            help="records at most (default: all that are due)",
        )
        parser.add_argument("--json", action="store_true", help="print the records as JSON")

    def run(self, *args: object, **options: Any) -> None:
        self._as_json = options["json"]
        self._broke = False
        with working() as worker:
            done = self._work(worker, options["limit"])
        count_events()
        self._tell_end(done, drained=worker.heart.draining)

    def _work(self, worker: Worker, limit: int | None) -> list[SyncRecord]:
        if count := clean_up_where_nobody_does(by="process_due"):
            self.stderr.write(f"taken back, because their worker is gone: {count}")
        if (halt := find_halt_here()) is not None:
            self.stderr.write(f"what is due waits for {halt_words(halt)}")
        dispatched = dispatch_all()
        self.stderr.write(f"due: {dispatched}")
        done: list[SyncRecord] = []
        seen: set[uuid.UUID] = set()
        while not worker.heart.draining and (limit is None or len(done) < limit):
            record_id = take_next(seen)
            if record_id is None:
                break
            seen.add(record_id)
            record = self._sync(worker, record_id)
            if record is not None:
                done.append(record)
        return done

    def _sync(self, worker: Worker, record_id: uuid.UUID) -> SyncRecord | None:
        """Returns None if it could not be claimed (a worker took it, or a limit stops it), and where an error
        that is not the record's own, such as the database's, ended the work on it."""
        ended = work_on(worker, record_id, self.stderr.write)
        record = SyncRecord.either.select_related("job").get(pk=record_id)
        if not ended:  # the thread has told its traceback
            self.stderr.write(f"{record.job.name}: broke off, {record.state} ({record_id})")
            self._broke = True
            return None
        if ended[0] is None:
            what = f", waits for {record.waiting_for}" if record.waiting_for else ""
            self.stderr.write(f"{record.job.name}: not taken, {record.state}{what} ({record_id})")
            return None
        if not self._as_json:
            self.stdout.write(describe_record(record))
        return record

    def _tell_end(self, done: list[SyncRecord], *, drained: bool) -> None:
        if self._as_json:
            told = [dump_record(record) for record in done]
            self.write_json({"records": told, "drained": drained})
        elif not done:
            self.stdout.write("Nothing was due.")
        statuses = {EXIT_STATUS.get(State(record.state), EXIT_LEFT) for record in done}
        statuses |= {EXIT_LEFT if drained else 0, 1 if self._broke else 0}
        if status := next(status for status in WORST_FIRST if status in statuses):
            sys.exit(status)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no whole number from 1")
    return int(text)
