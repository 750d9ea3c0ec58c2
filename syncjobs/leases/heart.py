"""One thread per worker process renews all its leases and reports the progress of their work.

The heartbeat says that the process lives; for how long the work stood still is told as an age by this
machine's boot clock, so that a jump of the database's clock makes nothing look stuck.

It never checks expiry: a lease that ran out and that nobody took is simply renewed, so a restart of
the database kills nothing. What it learns goes to the `Lease` that the work asks: cancelled, lost, or
not renewed lately. Each second it looks whether a cancel was asked, or the row taken; a statement under
way is then cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import Any, TypeVar

import psycopg
import structlog
from django.conf import settings

from database.rows import fetch_splits
from database.sessions import open_session
from syncjobs.engine.progress import Progress, Snapshot
from syncjobs.leases.lease import Lease, boot_clock_s
from syncjobs.leases.leased import Holding, Leased, NoAnswer

log = structlog.get_logger(__name__)

TICK_S = 1.0
Answer = TypeVar("Answer")


Key = tuple[str, Hashable, int]


def _key(lease: Lease) -> Key:
    """Returns the key of a lease, with its token: a row that was taken back may come to this very process again."""
    return lease.leased.table, lease.held.key, lease.held.token


def _by_table(leases: Sequence[Lease]) -> Iterator[tuple[Leased, list[Lease]]]:
    tables = {lease.leased.table: lease.leased for lease in leases}
    for name, leased in tables.items():
        yield leased, [lease for lease in leases if lease.leased.table == name]


class Heart:
    """The process's heartbeat. `hold` starts its thread when the first lease comes.

    A thread that hangs after its row was taken back keeps its slot for good, so its process is to be
    replaced: `retire` is called once (no further row is claimed, the others are drained), and `leave`
    when only such threads are left.
    """

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self.retire: Callable[[], None] = lambda: None
        self.leave: Callable[[], None] = lambda: None
        self._retiring = False
        self._lock = threading.Lock()
        self._leases: dict[Key, Lease] = {}
        self._thread: threading.Thread | None = None
        self._wake = threading.Event()
        self._session: psycopg.Connection[Any] | None = None
        self._draining = False

    def hold(self, leased: Leased, held: Holding, progress: Progress) -> Lease:
        """A lease on a row that was just claimed; renewed until it is released."""
        lease = Lease(leased, held, progress)
        with self._lock:
            self._leases[_key(lease)] = lease
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
            self._leases.pop(_key(lease), None)

    def drain(self) -> None:
        """Asks all work of this process to stop, so that others can take it."""
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
                # without this thread every row of the process would be taken for dead.
                log.exception("heartbeat.crashed")
                self._close()

    def _is_due(self, lease: Lease) -> bool:
        """Progress goes out every second, unchanged work every heartbeat interval, a lost one never."""
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
        for leased, ours in _by_table(leases):
            snapshots = [lease.progress.snapshot for lease in ours]
            rows = self._ask(
                leased.renewal, self._parameters(leased, ours, snapshots, sent_at), NoAnswer
            )
            if rows is None:
                return False
            renewed = {(key, token) for (key, token), _ in rows}
            for lease, snapshot in zip(ours, snapshots, strict=True):
                if (lease.held.key, lease.held.token) in renewed:
                    lease.renewed(sent_at, snapshot)
        return True

    def _look(self, leases: list[Lease]) -> None:
        """Hears of cancels, closed windows and losses within a second, by one small question a table."""
        for leased, ours in _by_table(leases):
            keys = [lease.held.key for lease in ours]
            rows = self._ask(leased.look, {"keys": keys, "owner": self.owner}, leased.answer)
            if rows is None:
                return
            answers = {(key, token): answer for (key, token), answer in rows}
            for lease in ours:
                answer = answers.get((lease.held.key, lease.held.token))
                if answer is None:
                    lease.lose()
                else:
                    leased.hear(lease, answer)
                lease.cut_off()

    def _ask(
        self, query: str, parameters: dict[str, Any], answer: type[Answer]
    ) -> list[tuple[Sequence[Any], Answer]] | None:
        """Returns key and token of each row, and its other columns as an `answer`; None if the database does
        not answer."""
        try:
            if self._session is None:
                self._session = open_session(statement_timeout_s=5, name="heartbeat")
            return fetch_splits(self._session.execute(query, parameters), 2, answer)
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
                log.error("worker.thread_hangs", key=str(lease.held.key))
            self.drain()
            self.retire()
        with self._lock:
            only_hung = all(lease.is_hung(now) for lease in self._leases.values())
        if only_hung:
            self.leave()

    def _parameters(
        self, leased: Leased, leases: list[Lease], snapshots: list[Snapshot], now: float
    ) -> dict[str, Any]:
        told = {one.name: [one.of(snapshot) for snapshot in snapshots] for one in leased.tells}
        return told | {
            "keys": [lease.held.key for lease in leases],
            "tokens": [lease.held.token for lease in leases],
            "silent_s": [lease.silent_s(now) for lease in leases],
            "lease_s": settings.SYNC.lease_s,
            "owner": self.owner,
        }

    def _close(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            session.close()
