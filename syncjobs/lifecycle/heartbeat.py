"""One thread per worker process renews the leases of all its records and reports their progress.

It never checks expiry: a lease that ran out and that nobody took is simply renewed, so a restart of
the database kills nothing. What it learns goes to the `Lease` that the work asks: cancelled, lost, or
not renewed lately. The work may begin new side effects only within the trust window, which is counted
on this machine's boot clock from before the heartbeat was sent (River's leader leases do the same).
"""

from __future__ import annotations

import threading
import time
import uuid
from typing import Any

import psycopg
import structlog
from django.conf import settings

from syncjobs.engine.progress import Progress, Snapshot
from syncjobs.engine.stops import CancelAsked, DeadlinePassed, DrainAsked, LeaseLost
from syncjobs.lifecycle.claiming import Claim
from syncjobs.lifecycle.sessions import open_session

log = structlog.get_logger(__name__)

TICK_S = 1.0
MARGIN = 0.25  # share of the lease that is left alone at its end
DOUBT_LEASES = 10  # so long without an answer, the record is somebody else's by now

_BEAT = """
UPDATE syncjobs_syncrecord r SET
    lease_expires_at = now() + make_interval(secs => %(lease_s)s), heartbeat_at = now(),
    stage = b.stage, percentage = b.percentage, current_file_index = b.current,
    total_files = b.total, bytes_transferred = b.bytes, files_failed = b.failed,
    files_skipped = b.skipped, expected_duration_s = b.deadline,
    crash_count = CASE WHEN b.kept > 0 THEN 0 ELSE r.crash_count END
  FROM unnest(%(ids)s::uuid[], %(tokens)s::bigint[], %(stages)s::text[], %(percentages)s::float[],
              %(currents)s::bigint[], %(totals)s::bigint[], %(bytes)s::bigint[],
              %(faileds)s::bigint[], %(skippeds)s::bigint[], %(deadlines)s::float[],
              %(kepts)s::bigint[])
    AS b(id, token, stage, percentage, current, total, bytes, failed, skipped, deadline, kept)
 WHERE r.id = b.id AND r.token = b.token AND r.lease_owner = %(owner)s
   -- A row that is locked, as at the end of a publish, is passed over: it must not hold up the others.
   AND r.id IN (SELECT id FROM syncjobs_syncrecord WHERE id = ANY(%(ids)s)
                   FOR NO KEY UPDATE SKIP LOCKED)
RETURNING r.id, r.token, r.cancel_asked_at IS NOT NULL
"""

_STILL_OURS = """
SELECT id, token FROM syncjobs_syncrecord WHERE id = ANY(%(ids)s) AND lease_owner = %(owner)s
"""


def boot_clock_s() -> float:
    """Seconds that also count while the machine sleeps, untouched by `date -s`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """A claim as the work sees it. `check` is what the engine calls between steps."""

    def __init__(self, claim: Claim, progress: Progress) -> None:
        self.claim = claim
        self.progress = progress
        self.beaten: Snapshot | None = None  # what the database knows
        self.beaten_at = self._started_at = boot_clock_s()
        self._trusted_until = boot_clock_s() + settings.SYNC.lease_s * (1 - MARGIN)
        self._changed = threading.Condition()
        self._cancelled = False
        self._lost = False
        self._draining = False

    def check(self) -> None:
        """Returns at once in the usual case; waits while the lease is in doubt. Raises a Stop."""
        if self._lost:
            raise LeaseLost
        if self._cancelled:
            raise CancelAsked
        if self._draining:
            raise DrainAsked
        now = boot_clock_s()
        deadline_s = self.progress.deadline_s
        if deadline_s is not None and now - self._started_at > deadline_s:
            raise DeadlinePassed(f"the record has used up its {deadline_s:.0f} s")
        if now > self._trusted_until:
            self._wait_for_trust()

    def _wait_for_trust(self) -> None:
        log.warning("lease.doubtful", record=str(self.claim.record_id))
        with self._changed:
            answered = self._changed.wait_for(
                lambda: self._lost or self._draining or boot_clock_s() < self._trusted_until,
                timeout=DOUBT_LEASES * settings.SYNC.lease_s,
            )
        if not answered:
            raise LeaseLost
        self.check()

    def renewed(self, sent_at: float, snapshot: Snapshot, *, cancelled: bool) -> None:
        with self._changed:
            self.beaten, self.beaten_at = snapshot, sent_at
            self._trusted_until = sent_at + settings.SYNC.lease_s * (1 - MARGIN)
            self._cancelled = self._cancelled or cancelled
            self._changed.notify_all()

    def lose(self) -> None:
        with self._changed:
            self._lost = True
            self._changed.notify_all()

    def drain(self) -> None:
        with self._changed:
            self._draining = True
            self._changed.notify_all()


Key = tuple[uuid.UUID, int]


def _key(claim: Claim) -> Key:
    return claim.record_id, claim.token


class Heart:
    """The process's heartbeat. `hold` starts its thread when the first lease comes."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
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
                if due:
                    self._beat(due)
            except Exception:
                # Whatever it is (no file descriptors, no memory): the next tick tries again, because
                # without this thread every record of the process would be taken for dead.
                log.exception("heartbeat.crashed")
                self._close()

    def _is_due(self, lease: Lease) -> bool:
        """Progress goes out every second, an unchanged record every heartbeat interval."""
        silent_s = boot_clock_s() - lease.beaten_at
        return (
            lease.progress.snapshot != lease.beaten
            or silent_s >= settings.SYNC.heartbeat_interval_s - TICK_S / 2
        )

    def _beat(self, leases: list[Lease]) -> None:
        sent_at = boot_clock_s()
        snapshots = [lease.progress.snapshot for lease in leases]
        try:
            if self._session is None:
                self._session = open_session(statement_timeout_s=5, name="heartbeat")
            parameters = self._parameters(leases, snapshots)
            rows = self._session.execute(_BEAT, parameters).fetchall()
            ours = set[Key]()
            if len(rows) < len(leases):
                ours = set(self._session.execute(_STILL_OURS, parameters).fetchall())
        except psycopg.Error as exc:
            log.warning("heartbeat.failed", error=str(exc).partition("\n")[0])
            self._close()
            return
        answers = {(record_id, token): cancelled for record_id, token, cancelled in rows}
        for lease, snapshot in zip(leases, snapshots, strict=True):
            key = _key(lease.claim)
            if key in answers:
                lease.renewed(sent_at, snapshot, cancelled=answers[key])
            elif key not in ours:
                lease.lose()

    def _parameters(self, leases: list[Lease], snapshots: list[Snapshot]) -> dict[str, Any]:
        return {
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
