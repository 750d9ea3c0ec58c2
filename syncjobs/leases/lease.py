"""A lease as the work sees it: it asks here whether it may go on.

The work may begin new side effects only within the trust window, which is counted on this machine's boot
clock from before the heartbeat was sent (River's leader leases do the same).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import structlog
from django.conf import settings

from farends.budget import Obstacle
from syncjobs.engine.progress import Progress, Snapshot
from syncjobs.engine.stops import (
    CancelAsked,
    DeadlinePassed,
    DrainAsked,
    LeaseLost,
    NoProgress,
    WindowClosed,
)
from syncjobs.leases.leased import Holding, Leased
from syncjobs.queries.rules import stall_rule

log = structlog.get_logger(__name__)

MARGIN = 0.25  # share of the lease that is left alone at its end
DOUBT_LEASES = 10  # so long without an answer, the row is somebody else's by now
CUT_OFF_S = 2.0  # what asking the database to end a statement may take


def boot_clock_s() -> float:
    """Seconds that also count while the machine sleeps, untouched by `date -s`."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """`check` is what the work calls between its steps."""

    def __init__(self, leased: Leased, held: Holding, progress: Progress) -> None:
        self.leased = leased
        self.held = held
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
        log.warning("lease.doubtful", key=str(self.held.key))
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

    def obey_window(self, closed: Obstacle | None) -> None:
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
        """Whether the row was lost so long ago that its thread will hardly come back."""
        return self.lost_at is not None and now - self.lost_at > settings.SYNC.hung_s

    def drain(self) -> None:
        with self._changed:
            self._draining = True
            self._changed.notify_all()
