"""Fetches files in batches, each with one rsync run into a folder of its own, read as it fills."""

from __future__ import annotations

import secrets
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

from connectors.contract import Fetched, RemoteEntry, Sink
from connectors.errors import ProtocolViolation, Unstable
from connectors.names import encode
from connectors.wire.rsync_child import RsyncChild
from connectors.wire.rsync_exits import exit_error
from connectors.wire.rsync_far import Far, Place
from connectors.wire.rsync_lines import Listed, parse_complaint, parse_listed, unescape
from connectors.wire.rsync_staged import Staged
from connectors.wire.rsync_tree import raise_for_root
from connectors.wire.shown import shown
from connectors.wire.wanted import Wanted

# The first batch is small, so that answers come soon. What a batch may hold bounds the staging folder.
_FILES_MIN, _FILES_MAX = 128, 8192
_BYTES_MAX = 512 * 1024 * 1024
_BYTES_UNKNOWN = 1024 * 1024
_KEPT_BYTES_MAX = 64 * 1024 * 1024
_KEPT_RUNS_MAX = 8
_FOLLOW_S = 0.02
_WAIT_S = 0.5


class RsyncFetch:
    """One call of `fetch`."""

    def __init__(self, far: Far, place: Place, entries: Iterable[RemoteEntry], sink: Sink) -> None:
        self._far = far
        self._place = place
        self._entries = iter(entries)
        self._sink = sink
        self._files_max = _FILES_MIN
        self._put_off: deque[RemoteEntry] = deque()
        self._batch: dict[bytes, Wanted] = {}
        self._staged: list[Path] = []
        self._staged_bytes = 0
        self._marker = secrets.token_hex(8) + " "

    def __iter__(self) -> Iterator[Fetched]:
        try:
            while batch := self._next_batch():
                while rest := [w.path for w in batch.values() if not w.whole and w.error is None]:
                    if self._run(rest):
                        break
                if self._staged_bytes > _KEPT_BYTES_MAX or len(self._staged) > _KEPT_RUNS_MAX:
                    self._clear()
                found = self._look_again()
                while self._batch:
                    path = next(iter(self._batch))
                    answer = _answer(self._batch[path], found.get(path))
                    del self._batch[path]
                    yield answer
                self._files_max = _FILES_MAX  # each run costs a tenth of a second of its own
        finally:
            with ExitStack() as work:
                work.callback(self._clear)
                for wanted in self._batch.values():
                    if wanted.receiver is not None:
                        work.callback(wanted.receiver.abandon)

    def _next_batch(self) -> dict[bytes, Wanted]:
        self._batch = {}
        batch_bytes = 0
        put_off, self._put_off = self._put_off, deque()
        while len(self._batch) < self._files_max and batch_bytes < _BYTES_MAX:
            entry = put_off.popleft() if put_off else next(self._entries, None)
            if entry is None:
                break
            if encode(entry.path) in self._batch:
                self._put_off.append(entry)  # the same path twice
                continue
            wanted = Wanted.of(entry)
            self._batch[wanted.path] = wanted
            batch_bytes += _BYTES_UNKNOWN if entry.size_bytes is None else entry.size_bytes
        self._put_off.extend(put_off)
        return self._batch

    def _run(self, paths: list[bytes]) -> bool:
        """One rsync over these files. False where it was cut short and the others are still due."""
        staging = self._far.make_staging()
        self._staged.append(staging)
        names = [self._place.name(path) for path in paths]
        child = self._far.fetch(self._place, names, staging, self._marker)
        try:
            if not self._follow(child, staging):
                return False
            self._listen(child)
        finally:
            child.close()
        return True

    def _clear(self) -> None:
        """Many small files are removed at the end only: ext4 makes new ones many times slower where
        others have just gone."""
        while self._staged:
            shutil.rmtree(self._staged.pop(), ignore_errors=True)
        self._staged_bytes = 0

    def _follow(self, child: RsyncChild, staging: Path) -> bool:
        """Passes on what arrives. False where a file without end was cut."""
        current: Staged | None = None
        try:
            while child.running:
                followed = current is not None and current.followed
                for line in child.poll(_FOLLOW_S if followed else _WAIT_S):
                    wanted = self._named(line)
                    if wanted is None:
                        continue
                    if current is not None:
                        self._staged_bytes += current.complete()
                    current = Staged(staging, wanted, self._sink)
                if current is not None and current.grew():
                    child.progressed()
                    if current.exceeds:
                        current.wanted.fail(Unstable("more came than was listed"))
                        return False
            error = exit_error(child.wait(), child.complaints)
            if error is not None:
                raise error
            if current is not None:
                self._staged_bytes += current.complete()
        finally:
            if current is not None:
                current.close()
        return True

    def _named(self, line: bytes) -> Wanted | None:
        """The file that a line of the run begins; None for lines of other things."""
        marker = self._marker.encode("ascii")
        if not line.startswith(marker + b">f"):
            return None
        path = unescape(line[len(marker) :].partition(b" ")[2])
        wanted = self._batch.get(path)
        if wanted is None:
            raise ProtocolViolation(f"rsync brought {shown(path)}, which was not asked for")
        if wanted.whole or wanted.receiver is not None:
            wanted.fail(Unstable("the file changed while rsync read it"))
        return wanted

    def _listen(self, child: RsyncChild) -> None:
        for complaint in filter(None, map(parse_complaint, child.complaints)):
            raise_for_root(complaint, self._place)
            path = self._place.inside(complaint.path)
            wanted = self._batch.get(complaint.path if path is None else path)
            if wanted is not None:
                wanted.fail(complaint.error)

    def _look_again(self) -> dict[bytes, Listed]:
        """What the files are like now, after their bytes came."""
        names = [self._place.name(path) for path in self._batch]
        child = self._far.list_only(self._place, ["--dirs"], names)
        found: dict[bytes, Listed] = {}
        try:
            while child.running:
                for line in child.poll():
                    listed = parse_listed(line)
                    if listed.path in self._batch:
                        found[listed.path] = listed
            error = exit_error(child.wait(), child.complaints)
            if error is not None:
                raise error
        finally:
            child.close()
        return found


def _answer(wanted: Wanted, listed: Listed | None) -> Fetched:
    if listed is None:
        return wanted.answer(None)
    if listed.kind != b"-":
        return wanted.answer(None, gone="it is no regular file any more")
    return wanted.answer(RemoteEntry(wanted.entry.path, listed.size_bytes, listed.modified_ns))
