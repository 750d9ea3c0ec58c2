"""One thread per worker process renews the leases of all its records and reports their progress.

The heartbeat says that the process lives, `progress_at` when its work last moved: as an age by this
machine's boot clock, so that a jump of the database's clock makes nothing look stuck.

It never checks expiry: a lease that ran out and that nobody took is simply renewed, so a restart of
the database kills nothing. What it learns goes to the `Lease` that the work asks: cancelled, lost, or
not renewed lately. Each second it looks whether a cancel was asked, or the record taken; a statement under
way is then cut off. The work may begin new side effects only within the trust window, which is counted
on this machine's boot clock from before the heartbeat was sent (River's leader leases do the same).
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
from django.conf import settings

from farends.budget import Obstacle
from syncjobs.claims.claiming import Claim
from syncjobs.claims.sessions import open_session
from syncjobs.claims.windowing import CALENDARS, find_closed
from syncjobs.engine.progress import Progress, Snapshot
from syncjobs.engine.stops import (
    CancelAsked,
    DeadlinePassed,
    DrainAsked,
    LeaseLost,
    NoProgress,
    WindowClosed,
)
from syncjobs.queries.rules import stall_rule

log = structlog.get_logger(__name__)

TICK_S = 1.0
MARGIN = 0.25  # share of the lease that is left alone at its end
DOUBT_LEASES = 10  # so long without an answer, the record is somebody else's by now
CUT_OFF_S = 2.0  # what asking the database to end a statement may take

_BEAT = """
UPDATE syncjobs_syncrecord r SET
    lease_expires_at = now() + make_interval(secs => %(lease_s)s), heartbeat_at = now(),
    progress_at = now() - make_interval(secs => b.silent),
    stage = b.stage, percentage = b.percentage, current_file_index = b.current,
    total_files = b.total, bytes_transferred = b.bytes, files_failed = b.failed,
    files_skipped = b.skipped, deadline_s = b.deadline, expected_duration_s = b.expected,
    crash_count = CASE WHEN b.kept > 0 THEN 0 ELSE r.crash_count END
  FROM unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(stages)s::text[], %(percentages)s::float[],
              %(currents)s::bigint[], %(totals)s::bigint[], %(bytes)s::bigint[],
              %(faileds)s::bigint[], %(skippeds)s::bigint[], %(deadlines)s::float[],
              %(expecteds)s::float[], %(kepts)s::bigint[], %(silents)s::float[])
    AS b(id, token, stage, percentage, current, total, bytes, failed, skipped, deadline, expected,
         kept, silent)
 WHERE r.id = b.id AND r.token = b.token AND r.lease_owner = %(owner)s
   -- A row that is locked, as at the end of a publish, is passed over: it must not hold up the others.
   AND r.id IN (SELECT id FROM syncjobs_syncrecord WHERE id = ANY(%(ids)s)
                   FOR NO KEY UPDATE SKIP LOCKED)
RETURNING r.id, r.token
"""

_LOOK = f"""
SELECT r.id, r.token, r.cancel_asked_at IS NOT NULL, now(), {CALENDARS}
  FROM syncjobs_syncrecord r
  JOIN syncjobs_syncjob j ON j.id = r.job_id
  JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE r.id = ANY(%(ids)s) AND r.lease_owner = %(owner)s
"""  # noqa: S608 — no values


def boot_clock_s() -> float:
    """Seconds that also count while the machine sleeps, untouched by `date -s`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A claim as the work sees it. `check` is what the engine calls between steps."""

    def __init__(self, claim: Claim, progress: Progress) -> None:
        self.claim = claim
        self.progress = progress
        self.patience_s = 0.0  # the silence that a person granted the far end
        self.lost_at: float | None = None
        self.beaten: Snapshot | None = None  # what the database knows
        self.beaten_at = self._started_at = boot_clock_s()
        self._trusted_until = boot_clock_s() + settings.SYNC.lease_s * (1 - MARGIN)
        self._changed = threading.Condition()
        self._cancelled = False
        self._lost = False
        self._draining = False
        self._closed: Obstacle | None = None
        self._stuck: NoProgress | None = None
        self._stall = stall_rule()
        self._moves = progress.moves
        self._moved_at = self._started_at
        self._cuttable: psycopg.Connection[Any] | None = None
        self._cutting = threading.Lock()

    @property
    def worked_s(self) -> float:
        return boot_clock_s() - self._started_at

    def check(self) -> None:
        """Returns at once in the usual case; waits while the lease is in doubt. Raises a Stop."""
        if self._lost:
            raise LeaseLost
        if self._cancelled:
            raise CancelAsked
        if self._draining:
            raise DrainAsked
        if (closed := self._closed) is not None:
            raise WindowClosed(closed.words, closed.until)
        now = boot_clock_s()
        deadline_s = self.progress.deadline_s
        if deadline_s is not None and now - self._started_at > deadline_s:
            raise DeadlinePassed(f"the record has used up its {deadline_s:.0f} s")
        if now > self._trusted_until:
            self._wait_for_trust()
        else:
            self._check_progress(now)

    def _check_progress(self, now: float) -> None:
        silent_s = self.silent_s(now)
        if self._stuck is None and silent_s > self._stall.working_s:  # no stage has less
            stage = self.progress.snapshot.stage
            limit_s = self._stall.limit_s(stage, patience_s=self.patience_s)
            if silent_s > limit_s:
                self._stuck = NoProgress(stage, silent_s, limit_s)
        if self._stuck is not None:
            raise self._stuck

    def silent_s(self, now: float) -> float:
        """Since the work last moved. While the lease is in doubt, it is we who keep the work waiting."""
        moves = self.progress.moves
        if moves != self._moves or now > self._trusted_until:
            self._moves, self._moved_at = moves, now
        return max(0.0, now - self._moved_at)

    @contextmanager
    def cutting(self, session: psycopg.Connection[Any]) -> Iterator[None]:
        """A statement of this session is cut off when a cancel is asked or the lease is lost: no check
        would be reached before it ends by itself. Raises the Stop in its place."""
        with self._cutting:
            self._cuttable = session
        try:
            yield
        except psycopg.errors.QueryCanceled:
            self.check()
            raise
        finally:
            with self._cutting:
                self._cuttable = None

    def cut_off(self) -> None:
        """Ends what the database does for work that must end. The heart calls it each second, because
        the next statement may have begun since."""
        if not (self._cancelled or self._lost):
            return
        with self._cutting:
            if self._cuttable is None or self._cuttable.closed:
                return
            try:
                self._cuttable.cancel_safe(timeout=CUT_OFF_S)
            except psycopg.Error as exc:
                log.warning("lease.not_cut_off", error=str(exc).partition("\n")[0])

    def _wait_for_trust(self) -> None:
        log.warning("lease.doubtful", record=str(self.claim.record_id))
        with self._changed:
            answered = self._changed.wait_for(
                lambda: (
                    self._lost
                    or self._cancelled
                    or self._draining
                    or self._closed is not None
                    or boot_clock_s() < self._trusted_until
                ),
                timeout=DOUBT_LEASES * settings.SYNC.lease_s,
            )
        if not answered:
            raise LeaseLost
        self.progress.moved()
        self.check()

    def renewed(self, sent_at: float, snapshot: Snapshot) -> None:
        with self._changed:
            self.beaten, self.beaten_at = snapshot, sent_at
            self._trusted_until = sent_at + settings.SYNC.lease_s * (1 - MARGIN)
            self._changed.notify_all()

    def ask_to_cancel(self) -> None:
        with self._changed:
            self._cancelled = True
            self._changed.notify_all()

    def heed_window(self, closed: Obstacle | None) -> None:
        """What is under way ends at its next check, unless the window has opened again by then."""
        with self._changed:
            self._closed = closed
            self._changed.notify_all()

    def lose(self) -> None:
        with self._changed:
            if not self._lost:
                self._lost, self.lost_at = True, boot_clock_s()
            self._changed.notify_all()

    def is_hung(self, now: float) -> bool:
        """Whether the record was lost so long ago that its thread will hardly come back."""
        return self.lost_at is not None and now - self.lost_at > settings.SYNC.hung_s

    def drain(self) -> None:
        with self._changed:
            self._draining = True
            self._changed.notify_all()


Key = tuple[uuid.UUID, int]


def _key(claim: Claim) -> Key:
    return claim.record_id, claim.token


class Heart:
    """The process's heartbeat. `hold` starts its thread when the first lease comes.

    A thread that hangs after its record was taken back keeps its slot for good, so its process is to be
    replaced: `retire` is called once (no further record is claimed, the others are drained), and `leave`
    when only such threads are left.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.retire: Callable[[], None] = lambda: None
        self.leave: Callable[[], None] = lambda: None
        self._retiring = False
        self._lock = threading.Lock()
        # By record and token: a reaped record may come back to this very process.
        self._leases: dict[Key, Lease] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._session: psycopg.Connection[Any] | None = None
        self._draining = False

    def hold(self, claim: Claim, progress: Progress) -> Lease:
        lease = Lease(claim, progress)
        with self._lock:
            self._leases[_key(claim)] = lease
            if self._draining:
                lease.drain()
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._run, name=f"heartbeat {self.owner}", daemon=True
                )
                self._thread.start()
        return lease

    def release(self, lease: Lease) -> None:
        with self._lock:
            self._leases.pop(_key(lease.claim), None)

    def drain(self) -> None:
        """Every record of this process is to go back to the queue."""
        with self._lock:
            self._draining = True
            for lease in self._leases.values():
                lease.drain()

    @property
    def draining(self) -> bool:
        return self._draining

    def _run(self) -> None:
        while True:
            self._wake.wait(TICK_S)
            with self._lock:
                leases = list(self._leases.values())
                if not leases:
                    self._thread = None
                    self._close()
                    return
            due = [lease for lease in leases if self._is_due(lease)]
            try:
                if not due or self._beat(due):
                    self._look(leases)
                self._look_for_hung(leases)
            except Exception:
                # Whatever it is (no file descriptors, no memory): the next tick tries again, because
                # without this thread every record of the process would be taken for dead.
                log.exception("heartbeat.crashed")
                self._close()

    def _is_due(self, lease: Lease) -> bool:
        """Progress goes out every second, an unchanged record every heartbeat interval, a lost one never."""
        if lease.lost_at is not None:
            return False
        silent_s = boot_clock_s() - lease.beaten_at
        return (
            lease.progress.snapshot != lease.beaten
            or silent_s >= settings.SYNC.heartbeat_interval_s - TICK_S / 2
        )

    def _beat(self, leases: list[Lease]) -> bool:
        """Whether the database answered. Who is not in its answer is locked, or lost: `_look` tells."""
        sent_at = boot_clock_s()
        snapshots = [lease.progress.snapshot for lease in leases]
        rows = self._ask(_BEAT, self._parameters(leases, snapshots, sent_at))
        renewed = set(rows or ())
        for lease, snapshot in zip(leases, snapshots, strict=True):
            if _key(lease.claim) in renewed:
                lease.renewed(sent_at, snapshot)
        return rows is not None

    def _look(self, leases: list[Lease]) -> None:
        """Hears of cancels, closed windows and losses within a second, by one small question for all records."""
        ids = [lease.claim.record_id for lease in leases]
        rows = self._ask(_LOOK, {"ids": ids, "owner": self.owner})
        if rows is None:
            return
        answers = {(record_id, token): told for record_id, token, *told in rows}
        for lease in leases:
            told = answers.get(_key(lease.claim))
            if told is None:
                lease.lose()
            else:
                cancelled, now, calendars = told
                if cancelled:
                    lease.ask_to_cancel()
                lease.heed_window(find_closed(calendars, now))
            lease.cut_off()

    def _ask(self, query: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]] | None:
        """None where the database does not answer."""
        try:
            if self._session is None:
                self._session = open_session(statement_timeout_s=5, name="heartbeat")
            return self._session.execute(query, parameters).fetchall()
        except psycopg.Error as exc:
            log.warning("heartbeat.failed", error=str(exc).partition("\n")[0])
            self._close()
            return None

    def _look_for_hung(self, leases: list[Lease]) -> None:
        now = boot_clock_s()
        hung = [lease for lease in leases if lease.is_hung(now)]
        if not hung:
            return
        if not self._retiring:
            self._retiring = True
            for lease in hung:
                log.error("worker.thread_hangs", record=str(lease.claim.record_id))
            self.drain()
            self.retire()
        with self._lock:
            only_hung = all(lease.is_hung(now) for lease in self._leases.values())
        if only_hung:
            self.leave()

    def _parameters(
        self, leases: list[Lease], snapshots: list[Snapshot], now: float
    ) -> dict[str, Any]:
        return {
            "silents": [lease.silent_s(now) for lease in leases],
            "expecteds": [snapshot.expected_s for snapshot in snapshots],
            "lease_s": settings.SYNC.lease_s,
            "owner": self.owner,
            "ids": [lease.claim.record_id for lease in leases],
            "tokens": [lease.claim.token for lease in leases],
            "stages": [snapshot.stage for snapshot in snapshots],
            "percentages": [snapshot.percentage for snapshot in snapshots],
            "currents": [snapshot.current_file_index for snapshot in snapshots],
            "totals": [snapshot.total_files for snapshot in snapshots],
            "bytes": [snapshot.bytes_transferred for snapshot in snapshots],
            "faileds": [snapshot.files_failed for snapshot in snapshots],
            "skippeds": [snapshot.files_skipped for snapshot in snapshots],
            "deadlines": [snapshot.deadline_s for snapshot in snapshots],
            "kepts": [snapshot.kept_files for snapshot in snapshots],
        }

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
