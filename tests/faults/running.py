"""One run: faults and changes as planned, then quiet, in which all must come to its end."""

from __future__ import annotations

import heapq
import itertools
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests.faults.injecting import Cancelled, Injector
from tests.faults.plans import Change, Fault
from tests.faults.stand import Stand, start_processes, switch_on
from tests.proxy import Weather

READY_S = 300.0  # a busy machine takes long to start
STEP_S = 0.05
HEAL_S = 90.0  # after the last fault, with every process at work, until every job has synced its source as it is
END_S = 60.0  # after the jobs were switched off, until every record is final
INDEX_S = 120.0  # then, until every index is current
_PERSON_S = 2.0  # how often a person looks at held records

Say = Callable[[str], None]


@dataclass(slots=True)
class Report:
    """What the runner knows of the run; the checker judges it."""

    began_at: float = 0.0
    quiet_at: float = 0.0
    off_at: float = 0.0
    healed_s: float | None = None  # from quiet; None: some job did not come back
    ended_s: float | None = None  # from switching off; None: some record is not final
    indexed_s: float | None = None  # from the last record's end; None: some index is not current
    unindexed: list[str] = field(default_factory=list)  # indexes that are not current, and why
    behind: list[str] = field(default_factory=list)  # jobs that did not sync after the faults
    ready_s: float = 0.0  # from quiet, until every process was at work
    unready: list[str] = field(default_factory=list)  # processes that did not come to work
    cancelled: list[Cancelled] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    released: int = 0
    journal: list[str] = field(default_factory=list)


class Runner:
    def __init__(self, stand: Stand, say: Say, *, verbose: bool = False) -> None:
        self.report = Report()
        self._stand = stand
        self._say = say
        self._verbose = verbose
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._planned: set[int] = set()  # numbers of what the plan put on the agenda
        self._number = itertools.count()
        self._injector = Injector(
            stand, self._later, self.report.cancelled, outages=self.report.outages
        )
        self._began = 0.0  # monotonic
        self._injected = 0
        self._now_doing = ""
        self._line = Line(say)

    def run(self) -> Report:
        start_processes(self._stand)
        self._wait_for_start()
        switch_on(self._stand)
        self._begin()
        while time.monotonic() < self._began + self._stand.plan.seconds:
            self._step()
        return self._finish()

    def _begin(self) -> None:
        self._began = time.monotonic()
        self.report.began_at = time.time()
        for fault in self._stand.plan.faults:
            self._at(fault.at_s, partial(self._inject, fault))
        for change in self._stand.plan.changes:
            self._at(change.at_s, partial(self._change, change))
        self._every(_PERSON_S, self._release_held)
        self._every(1.0, self._show)

    def _finish(self) -> Report:
        self._heal()
        self._wait_for_every_process()
        self._wait_for_every_job()
        self._switch_off()
        self._wait_for_every_record()
        self._wait_for_every_index()
        self._end_processes()
        self._line.end()
        return self.report

    def _wait_for_start(self) -> None:
        processes = self._stand.processes
        deadline = time.monotonic() + READY_S
        while not all(process.is_ready() for process in processes.all):
            processes.look()
            if processes.deaths or time.monotonic() > deadline:
                raise RuntimeError(f"the product did not start: {processes.deaths}")
            time.sleep(STEP_S)

    def _wait_for_every_process(self) -> None:
        """Those that were brought back are to work again: how long a start takes is the machine's."""
        began = time.monotonic()
        while time.monotonic() < began + READY_S:
            waiting = [each.name for each in self._stand.processes.working if not each.is_ready()]
            self.report.unready, self.report.ready_s = waiting, time.monotonic() - began
            if not waiting:
                return
            self._step()

    def _step(self) -> None:
        while self._agenda and self._agenda[0][0] <= time.monotonic():
            heapq.heappop(self._agenda)[2]()
        for process in self._stand.processes.look():
            if not process.dying.startswith(("SIG", "at a point")):  # else somebody brings it back
                self._bring_back(process.name)
        time.sleep(STEP_S)

    def _bring_back(self, name: str) -> None:
        """What died of itself is a finding; the run goes on with another."""
        for process in self._stand.processes.working:
            if process.name == name and process.kind == "worker":
                self._stand.start_worker_in_place_of(process)
            elif process.name == name:
                self._stand.processes.replace(process)

    def _at(self, at_s: float, act: Callable[[], None]) -> None:
        number = next(self._number)
        self._planned.add(number)
        heapq.heappush(self._agenda, (self._began + at_s, number, act))

    def _later(self, seconds: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._agenda, (time.monotonic() + seconds, next(self._number), act))

    def _every(self, seconds: float, act: Callable[[], None]) -> None:
        def again() -> None:
            act()
            self._later(seconds, again)

        self._later(seconds, again)

    def _inject(self, fault: Fault) -> None:
        came = self._injector.inject(fault)
        self._injected += 1
        self._now_doing = came
        line = f"{time.monotonic() - self._began:7.2f} s  {fault.kind.value:16} {came}"
        self.report.journal.append(line)
        if self._verbose:
            self._line.end()
            self._say(line)

    def _change(self, change: Change) -> None:
        self._stand.jobs[change.source].source.apply(change)

    def _release_held(self) -> None:
        """A person lets held records go on."""
        from django.db import Error, connection

        from syncjobs.records.asking import release
        from syncjobs.records.transition import IllegalMove

        rows = self._stand.query("SELECT id FROM syncjobs_syncrecord WHERE state = 'held'")
        if rows:
            connection.close()  # it may be of a database that was restarted
        for (record_id,) in rows or []:
            try:
                self.report.released += bool(release(record_id, by="a person"))
            except (Error, IllegalMove):
                pass  # the next look finds it, if it is still held

    def _heal(self) -> None:
        """Every fault is over: what was to be taken back later is taken back now."""
        self._now_doing = "quiet"
        for proxy in self._stand.proxies:
            proxy.weather = Weather()
            proxy.cut()  # what a deaf proxy has swallowed never comes
        for arm in self._stand.arms.iterdir():
            arm.unlink(missing_ok=True)
        pending, self._agenda = sorted(self._agenda), []
        for _, number, act in pending:
            if number not in self._planned:
                act()
        for process in self._stand.processes.all:
            process.stopped = False
            process.send(signal.SIGCONT)
        self.report.quiet_at = time.time()

    def _wait_for_every_job(self) -> None:
        """Until each job has a record that began in the quiet and found everything in order."""
        deadline = time.monotonic() + HEAL_S
        began = time.monotonic()
        while time.monotonic() < deadline:
            self._step()
            behind = self._find_behind()
            self.report.behind = behind or []
            if behind == []:
                self.report.healed_s = time.monotonic() - began
                return

    def _find_behind(self) -> list[str] | None:
        rows = self._stand.query(
            "SELECT j.name FROM syncjobs_syncjob j WHERE NOT EXISTS ("
            " SELECT FROM syncjobs_syncrecord r JOIN faults.history h ON h.record = r.id"
            "  WHERE r.job_id = j.id AND r.state = 'succeeded' AND h.what = 'event'"
            "  AND h.data->>'event' = 'claimed' AND h.at > to_timestamp(%(quiet)s))"
            " ORDER BY j.name",
            {"quiet": self.report.quiet_at},
        )
        return None if rows is None else [name for (name,) in rows]

    def _switch_off(self) -> None:
        self._now_doing = "switched off"
        while self._stand.query("UPDATE syncjobs_syncjob SET enabled = false") is None:
            self._step()
        self.report.off_at = time.time()

    def _wait_for_every_record(self) -> None:
        began = time.monotonic()
        while time.monotonic() < began + END_S:
            self._step()
            rows = self._stand.query(
                "SELECT count(*) FROM syncjobs_syncrecord WHERE finished_at IS NULL"
            )
            if rows and rows[0][0] == 0:
                self.report.ended_s = time.monotonic() - began
                return

    def _wait_for_every_index(self) -> None:
        if not self._stand.processes.slots["index"]:
            return
        began = time.monotonic()
        while time.monotonic() < began + INDEX_S:
            self._step()
            rows = self._stand.query(
                "SELECT d.name || ': ' || i.state || ' ' || i.reason FROM search_datasetindex i"
                " JOIN datasets_dataset d ON d.id = i.dataset_id"
                " WHERE i.state <> 'current' OR i.pending_texts > 0 OR i.pending_chunks > 0"
            )
            self.report.unindexed = [words for (words,) in rows or []]
            if rows == []:
                self.report.indexed_s = time.monotonic() - began
                return

    def _end_processes(self) -> None:
        self._now_doing = "ending"
        processes = self._stand.processes
        for process in processes.all:
            if not process.dying:
                process.drain("SIGTERM at the end")
        while any(process.is_alive() for process in processes.all):
            processes.look()
            time.sleep(STEP_S)
        processes.look()

    def _show(self) -> None:
        rows = self._stand.query(
            "SELECT count(*), count(*) FILTER (WHERE state = 'succeeded'),"
            " count(*) FILTER (WHERE state IN ('failed', 'timed_out', 'partial')),"
            " count(*) FILTER (WHERE finished_at IS NULL) FROM syncjobs_syncrecord"
        )
        shown = "the database is away"
        if rows:
            total, good, bad, going = rows[0]
            shown = f"{total} records, {good} succeeded, {bad} failed, {going} open"
        plan = self._stand.plan
        self._line.show(
            f"{time.monotonic() - self._began:5.0f} of {plan.seconds:.0f} s,"
            f" fault {self._injected} of {len(plan.faults)}, {shown}: {self._now_doing}"
        )


class Line:
    """One line of a terminal that is written anew; elsewhere, one now and then."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._is_terminal = sys.stderr.isatty()
        self._shown_at = 0.0

    def show(self, text: str) -> None:
        if self._is_terminal:
            sys.stderr.write(f"\r\x1b[K{text[:150]}")
            sys.stderr.flush()
        elif time.monotonic() - self._shown_at >= 30:
            self._shown_at = time.monotonic()
            self._say(text)

    def end(self) -> None:
        if self._is_terminal:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()


def sweep() -> int:
    """As the platform's own chore does it, and at once; what it removed."""
    from django.db import connection

    from syncjobs.upkeep.sweeping import sweep_partials

    connection.close()  # it may be of a database that was restarted
    return sweep_partials(older_than_s=0)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]
