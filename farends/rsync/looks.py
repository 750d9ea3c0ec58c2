"""A second look at files that have come, group by group, while the next ones arrive: whether each is still
what was listed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from farends.contract import Fetched, RemoteEntry
from farends.rsync.exits import exit_error
from farends.rsync.far import Far, RsyncSource
from farends.rsync.folders import Folders
from farends.rsync.lines import RsyncRow, parse_listed
from farends.wire.wanted import WantedFile

_PENDING_MAX = 3
_SLICE_S = 0.1


class _Left(Exception):
    """Nobody waits for the answers any more."""


class SecondLooks:
    """Each look is a listing in a thread of its own: most of its time is spent in waiting. Leaving the context ends it."""

    def __init__(self, far: Far, place: RsyncSource, folders: Folders) -> None:
        self._far = far
        self._place = place
        self._folders = folders
        self._pool = ThreadPoolExecutor(_PENDING_MAX, thread_name_prefix="rsync-look")
        self._pending: deque[tuple[list[WantedFile], Future[dict[bytes, RsyncRow]]]] = deque()
        self._left = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        with ExitStack() as work:
            for group, _ in self._pending:
                for wanted in group:
                    if wanted.receiver is not None:
                        work.callback(wanted.receiver.abandon)

    def ask(self, wanted: Iterable[WantedFile]) -> None:
        """Looks at these files once more, of which everything has come that will."""
        group = list(wanted)
        paths = {item.path for item in group}
        names = list(map(self._place.name, self._folders.names_around(paths)))
        known: Future[dict[bytes, RsyncRow]] = Future()
        self._pool.submit(self._look, names, paths, known)
        self._pending.append((group, known))

    def answers(self, *, all_of_them: bool = False) -> Iterator[Fetched]:
        """Yields those that are known, and as many more as keep the others few."""
        while self._pending and (
            all_of_them or len(self._pending) > _PENDING_MAX or self._pending[0][1].done()
        ):
            group, look = self._pending[0]
            found = look.result()
            group.reverse()
            while group:
                wanted = group.pop()
                yield _answer(wanted, found.get(wanted.path))
            self._pending.popleft()

    def _look(
        self, names: list[bytes], paths: set[bytes], known: Future[dict[bytes, RsyncRow]]
    ) -> None:
        try:
            found: dict[bytes, RsyncRow] = {}
            for listed in self._listed(names):
                if listed.path in paths:
                    found[listed.path] = listed
                    if len(found) == len(paths):
                        known.set_result(found)  # and the far end's good-bye is waited for here
                        paths = set()
            if paths:
                known.set_result(found)
        except BaseException as exc:  # noqa: BLE001 — carried to the caller, who raises it
            if not known.done():
                known.set_exception(exc)

    def _listed(self, names: list[bytes]) -> Iterator[RsyncRow]:
        child = self._far.list_only(self._place, ["--dirs"], names)
        try:
            while child.running:
                if self._left.is_set():
                    raise _Left
                yield from filter(None, map(parse_listed, child.poll(_SLICE_S)))
            error = exit_error(child.wait(), child.complaints)
            if error is not None:
                raise error
        finally:
            child.close()


def _answer(wanted: WantedFile, listed: RsyncRow | None) -> Fetched:
    if listed is None:
        return wanted.answer(None)
    if listed.kind != b"-":
        return wanted.answer(None, gone="it is no regular file any more")
    return wanted.answer(RemoteEntry(wanted.entry.path, listed.size_bytes, listed.modified_ns))
