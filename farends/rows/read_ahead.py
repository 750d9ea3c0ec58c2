"""The next chunk is read while the one before is used."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass
from queue import SimpleQueue

from farends.rows.contract import Chunk


@dataclass(frozen=True, slots=True)
class _End:
    """No chunk follows; `error` says why, None where there is no other."""

    error: BaseException | None = None


def read_ahead(
    chunks: Generator[Chunk, None, None], *, leave: Callable[[], None]
) -> Generator[Chunk, None, None]:
    """Gives the chunks of a generator that runs in a thread of its own, and is never more than one chunk ahead.

    Who closes this one early, closes that one too; `leave` then ends what it waits for, from this thread.
    """
    given: SimpleQueue[Chunk | _End] = SimpleQueue()
    turns = threading.Semaphore(1)
    reading, left = threading.Event(), threading.Event()

    def work() -> None:
        error: BaseException | None = None
        try:
            _pass_on(chunks, given, turns, reading, left)
        except BaseException as exc:  # noqa: BLE001 — it is raised where the chunks are used
            error = exc
        given.put(_End(error))

    thread = threading.Thread(target=work, name="rows-ahead", daemon=True)
    thread.start()
    ended = False
    try:
        while not isinstance(item := given.get(), _End):
            turns.release()
            yield item
        ended = True
        if item.error is not None:
            raise item.error
    finally:
        if not ended:
            left.set()
            if reading.is_set():
                leave()
            turns.release()
        thread.join()


def _pass_on(
    chunks: Generator[Chunk, None, None],
    given: SimpleQueue[Chunk | _End],
    turns: threading.Semaphore,
    reading: threading.Event,
    left: threading.Event,
) -> None:
    try:
        while True:
            turns.acquire()
            if left.is_set():
                return
            reading.set()
            chunk = next(chunks, None)
            reading.clear()
            if chunk is None:
                return
            given.put(chunk)
    finally:
        chunks.close()
