"""Holds the progress of a running attempt. The work writes it, the heartbeat reads it."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, replace

from syncjobs.core.states import Stage

# A hostile listing must not fill memory or the ledger.
TROUBLES_MAX = 10_000  # of each kind
TROUBLES_BYTES_MAX = 32 << 20  # of all kinds
MESSAGE_MAX = 2_000  # characters of one
PACE_S = 10.0  # of which the rate is the mean
WORDS_MAX = 200  # characters of what a record waits for


@dataclass(frozen=True, slots=True)
class Snapshot:
    """`percentage` covers the whole record: 10 % for looking, 85 % for files, the rest to publish and to index."""

    stage: Stage = Stage.INITIALIZING
    listed: int = 0
    rows_read: int | None = None  # None: the work reads no rows
    total_files: int | None = None
    current_file_index: int = 0
    total_bytes: int | None = None  # None: not known, or not of every file
    bytes_done: int = 0  # of these: received now or before, or given up
    bytes_per_s: int | None = None  # lately; None: not known yet
    bytes_transferred: int = 0  # by this attempt, in vain or not
    files_failed: int = 0
    files_skipped: int = 0
    files_deferred: int = 0
    deadline_s: float | None = None
    expected_s: float | None = None
    kept_files: int = 0  # durable and receipted: what a next attempt need not fetch again
    kept_bytes: int = 0  # of files that were cut: where a next attempt goes on
    indexed: int = 0  # texts of the version that was published
    to_index: int = 0
    percentage_before: float = 0.0  # what earlier attempts had reached: looking takes nothing back
    waiting_for: str = ""  # within the attempt, such as for a host that asked for patience

    @property
    def got_further(self) -> bool:
        """Whether a next attempt has less to do than this one had."""
        return self.kept_files > 0 or self.kept_bytes > 0

    @property
    def has_moved(self) -> bool:
        """Whether the far end gave anything at all."""
        return self.listed > 0 or self.bytes_transferred > 0

    @property
    def percentage(self) -> float:
        if self.stage in (Stage.INITIALIZING, Stage.DETECTING_CHANGES):
            return max(self.percentage_before, 0.0 if self.listed == 0 else 5.0)
        if self.stage in (Stage.FINALIZING, Stage.UPDATING_EMBEDDINGS):
            share = self.indexed / self.to_index if self.to_index else 0.0
            return round(95.0 + 4.0 * min(1.0, share), 1)
        if self.total_bytes:
            share = self.bytes_done / self.total_bytes
        else:
            share = self.current_file_index / self.total_files if self.total_files else 1.0
        return round(10.0 + 85.0 * min(1.0, share), 1)


@dataclass(frozen=True, slots=True)
class Trouble:
    """One file that was not synced, and why. `path` is in text form."""

    path: str
    action: str  # failed | skipped | deferred
    code: str
    message: str


class _Pace:
    """Bytes per second over the last seconds."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def measure(self, count: int) -> int | None:
        now = time.monotonic()
        marks = self._marks
        if not marks or now - marks[-1][0] >= 1:
            marks.append((now, count))
        while len(marks) > 2 and now - marks[1][0] >= PACE_S:
            marks.popleft()
        passed_s = now - marks[0][0]
        return round((count - marks[0][1]) / passed_s) if passed_s >= 1 else None


class Progress:
    """The latest snapshot, the troubles met so far, and whether anything moves.

    `moves` grows with every sign of movement; whoever looks twice sees whether there was one. It says
    nothing of how much: a heartbeat tells that the process lives, this that its work does.

    Counting happens for every piece of every file, telling once in seconds: the counts are plain
    attributes, and a snapshot is made when somebody asks.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._snapshot = Snapshot()  # but for what is counted here:
        self._index = 0
        self._bytes = 0
        self._other_bytes = 0  # done without a transfer by this attempt; less where one was in vain
        self._pace = _Pace()
        self.moves = 0
        self.deadline_s: float | None = None  # of the attempt, as far as is known
        self.expected_s: float | None = None
        self.troubles: list[Trouble] = []
        self._troubles_bytes = 0
        self.first_failed: Trouble | None = None

    @property
    def snapshot(self) -> Snapshot:
        with self._lock:
            told = self._snapshot
            done = max(0, self._bytes + self._other_bytes)
            fetches = told.stage is Stage.PROCESSING_FILES
            return replace(
                told,
                current_file_index=self._index,
                bytes_done=done if told.total_bytes is None else min(done, told.total_bytes),
                bytes_per_s=self._pace.measure(self._bytes) if fetches else None,
                bytes_transferred=self._bytes,
                deadline_s=self.deadline_s,
                expected_s=self.expected_s,
            )

    def moved(self) -> None:
        """Any thread calls this for every piece, so there is no lock: of two at once one may be lost."""
        self.moves += 1

    def resume(
        self,
        *,
        percentage: float,
        files: int,
        total_files: int | None,
        total_bytes: int | None,
        bytes_done: int,
    ) -> None:
        """Goes on from where an earlier attempt was last seen, until the plan of this one is known."""
        with self._lock:
            self._snapshot = replace(
                self._snapshot,
                percentage_before=percentage,
                total_files=total_files,
                total_bytes=total_bytes,
            )
            self._index, self._other_bytes = files, bytes_done

    def enter(self, stage: Stage) -> None:
        with self._lock:
            self._snapshot = replace(self._snapshot, stage=stage)
        self.moved()

    def waits(self, words: str) -> None:
        """Tells what a wait within the attempt is for; empty when it is over."""
        with self._lock:
            self._snapshot = replace(self._snapshot, waiting_for=words[:WORDS_MAX])
        self.moved()

    def expect(self, deadline_s: float, expected_s: float | None = None) -> None:
        self.deadline_s = float(deadline_s)  # a whole number would not go into one list with others
        self.expected_s = None if expected_s is None else float(expected_s)

    def listed(self, count: int) -> None:
        self.moved()
        with self._lock:
            self._snapshot = replace(self._snapshot, listed=self._snapshot.listed + count)

    def read_rows(self, count: int) -> None:
        self.moved()
        with self._lock:
            told = self._snapshot
            self._snapshot = replace(
                told, listed=told.listed + count, rows_read=(told.rows_read or 0) + count
            )

    def planned(
        self,
        *,
        files: int,
        size_bytes: int | None,
        deadline_s: float,
        expected_s: float | None = None,
        done_files: int = 0,
        done_bytes: int = 0,
    ) -> None:
        """What this attempt fetches: `size_bytes` None where not every file's size is known. An earlier attempt has
        fetched `done_files` more, so that the bar goes on from there."""
        total = None if size_bytes is None else size_bytes + done_bytes
        with self._lock:
            self._snapshot = replace(
                self._snapshot, total_files=files + done_files, total_bytes=total
            )
            self._index, self._other_bytes = done_files, done_bytes
        self.expect(deadline_s, expected_s)
        self.moved()

    def received(self, size_bytes: int) -> None:
        self.moved()
        with self._lock:  # transports may receive in several threads
            self._bytes += size_bytes

    def counted(self, size_bytes: int) -> None:
        """So many bytes count as done without being received, such as those of an earlier attempt or of a file that
        is given up; negative: what was received is in vain."""
        self.moved()
        with self._lock:
            self._other_bytes += size_bytes

    def finished_file(self) -> None:
        self.moved()
        with self._lock:
            self._index += 1

    def indexing(self, done: int, total: int) -> None:
        self.moved()
        with self._lock:
            self._snapshot = replace(self._snapshot, indexed=done, to_index=total)

    def kept(self, count: int) -> None:
        self.moved()
        with self._lock:
            self._snapshot = replace(self._snapshot, kept_files=self._snapshot.kept_files + count)

    def left(self, size_bytes: int) -> None:
        """So many bytes of a file that was cut are there for a next attempt."""
        with self._lock:
            kept = self._snapshot.kept_bytes + size_bytes
            self._snapshot = replace(self._snapshot, kept_bytes=kept)

    def trouble(self, trouble: Trouble) -> None:
        self.moved()
        if len(trouble.message) > MESSAGE_MAX:
            trouble = replace(trouble, message=f"{trouble.message[:MESSAGE_MAX]}…")
        with self._lock:
            counter = f"files_{trouble.action}"
            count = getattr(self._snapshot, counter) + 1
            self._snapshot = replace(self._snapshot, **{counter: count})
            if trouble.action == "failed" and self.first_failed is None:
                self.first_failed = trouble
            self._troubles_bytes += len(trouble.path) + len(trouble.message)
            if count <= TROUBLES_MAX and self._troubles_bytes <= TROUBLES_BYTES_MAX:
                self.troubles.append(trouble)
