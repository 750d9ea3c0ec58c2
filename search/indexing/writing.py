"""Writes one batch of texts while the next one is staged, so that the worker and the database work at the same time.

A staging table belongs to a session. So there are two: a thread writes what was staged in one, and the caller stages in
the other. The second session is opened when a second batch comes.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

import psycopg

from database.sessions import open_session
from search.indexing.batches import TextBatch
from search.indexing.plan import IndexBusy

STATEMENT_TIMEOUT_S = 300.0


@dataclass(slots=True)
class BatchWriter:
    """One batch is being written at most. `session` is free again once this is closed."""

    session: psycopg.Connection[Any]
    _second: psycopg.Connection[Any] | None = None
    _written_by: psycopg.Connection[Any] | None = None
    _writing: Future[int] | None = None
    _thread: ThreadPoolExecutor = field(
        default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="index writes")
    )

    def __enter__(self) -> BatchWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if exc is None:
                self.wait()
            else:
                with suppress(psycopg.Error, IndexBusy):  # what is raised already tells more
                    self.wait()
        finally:
            self._thread.shutdown()
            if self._second is not None:
                self._second.close()

    @property
    def free_session(self) -> psycopg.Connection[Any]:
        """The session in which nothing is written now."""
        if self._written_by is not self.session:
            return self.session
        if self._second is None:
            self._second = open_session(
                statement_timeout_s=STATEMENT_TIMEOUT_S, name="index writes"
            )
        return self._second

    def write(self, batch: TextBatch) -> None:
        """Begins to write a batch, whose chunks are staged in its session. Raises what writing the batch before it
        has raised, and IndexBusy where that one found nothing to write."""
        self.wait()
        self._written_by = batch.session
        self._writing = self._thread.submit(batch.write)

    def wait(self) -> None:
        """Returns when nothing is being written. Raises as `write` does."""
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            if not writing.result():
                raise IndexBusy
        finally:
            self._written_by = None
