"""Reads one entity into the staging, and goes on where an earlier attempt of the record was cut.

A resumed attempt owes one more pass over the source, from the mark that was taken before the first row was read: what
the first attempt staged may be older than what the second one read. Rows that were deleted between the two are in no such
pass: where all rows are read, the keys tell them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

from datasets.tables.staged_reading import StagedReading, stage_columns
from datasets.tables.staging import RowStaging
from farends.rows.contract import Chunk, Mark, MarkLostReason, Reading, RowSource
from farends.rows.packed import count_row_bytes
from syncjobs.leases.lease import Lease
from syncjobs.works.rows.failpoints import READ, STAGED, die_at

Note = Callable[[str, dict[str, Any]], None]  # an event of the record: its name and data


@dataclass(frozen=True, slots=True)
class ReadResult:
    """What a reading has brought. `staged.mark` is where the next one begins."""

    staged: StagedReading
    warning: str = ""


class EntityReader:
    """Reads for one record."""

    def __init__(
        self, source: RowSource, staging: RowStaging, lease: Lease, record_id: str, note: Note
    ) -> None:
        self._source = source
        self._staging = staging
        self._lease = lease
        self._record_id = record_id
        self._note = note
        self._mark: Mark | None = None  # as the chunks of this pass tell it

    def read(self, reading: Reading, *, by_place: bool, is_first: bool) -> ReadResult:
        """`is_first`: what is staged may become the table itself. Raises TransportError's children, Fenced and TooManyBadRows."""
        begun = self._source.begin(reading)
        self._tell_lost(begun.lost)
        full = reading.since is None or begun.lost is not None
        terms = json.loads(
            json.dumps(
                {
                    "spec": dict(reading.spec),
                    "columns": [(one.name, one.type) for one in reading.columns],
                    "key": reading.key,
                    "cursor": None if reading.cursor is None else asdict(reading.cursor),
                    "since": None if reading.since is None else reading.since.to_json(),
                    "full": full,
                }
            )
        )
        staged = self._find_resumable(terms)
        resumed = staged is not None
        if staged is None:
            staged = self._staging.start(
                StagedReading(
                    self._record_id,
                    terms,
                    stage_columns(reading.columns),
                    reading.key,
                    mark=None if begun.mark is None else begun.mark.to_json(),
                    full=full,
                    by_place=by_place,
                    lasting=is_first and (bool(reading.key) or by_place),
                )
            )
        if not staged.finished:
            chunks = self._source.read(staged.resume)
            staged = self._staging.finish(self._take(staged, chunks, moves_mark=not resumed))
        if resumed or self._source.drifted:
            self._note("second_pass", {"reason": "resumed" if resumed else "drifted"})
            staged = self._read_again(reading, staged)
            if resumed and full:
                staged = self._forget_gone(staged)
        return ReadResult(staged, begun.warning)

    def _find_resumable(self, terms: dict[str, Any]) -> StagedReading | None:
        """What an earlier attempt of this record staged, where it is of use: without a mark nobody could tell what has
        changed since."""
        found = self._staging.find()
        if found is None or found.record_id != self._record_id or found.terms != terms:
            return None
        goes_on = found.finished or (found.resume is not None and self._source.capabilities.resumes)
        return found if goes_on and found.mark is not None else None

    def _read_again(self, reading: Reading, staged: StagedReading) -> StagedReading:
        since = None if staged.mark is None else Mark.from_json(staged.mark)
        begun = self._source.begin(replace(reading, since=since))
        self._tell_lost(begun.lost)
        staged = self._staging.begin_pass(staged, whole=since is None or begun.lost is not None)
        self._mark = begun.mark
        staged = self._take(staged, self._source.read(), moves_mark=False)
        mark = None if self._mark is None else self._mark.to_json()
        # Not written down: an attempt that is cut from here on owes the whole pass again.
        return replace(staged, mark=mark)

    def _forget_gone(self, staged: StagedReading) -> StagedReading:
        """An earlier attempt has staged rows that the source may lack by now."""
        if not staged.key or not self._source.capabilities.sweeps_keys:
            return staged
        self._staging.keys.stage_all(staged, self._source.read_keys())
        return self._staging.keys.forget_others(staged)

    def _take(
        self, staged: StagedReading, chunks: Iterator[Chunk], *, moves_mark: bool
    ) -> StagedReading:
        """`moves_mark`: a mark that only reading tells is kept with the rows. Not of what goes on where another attempt
        was cut: what changed since that one began must be read again."""
        progress = self._lease.progress
        for chunk in chunks:
            die_at(READ)
            self._lease.check()
            if chunk.mark is not None:
                self._mark = chunk.mark
                if moves_mark:
                    staged = replace(staged, mark=chunk.mark.to_json())
            staged = self._staging.take(staged, chunk)
            progress.read_rows(len(chunk.rows))
            progress.received(count_row_bytes(chunk.rows))
            if chunk.resume is not None:
                progress.kept(1)
            die_at(STAGED)
        return staged

    def _tell_lost(self, reason: MarkLostReason | None) -> None:
        if reason is not None:
            self._note("mark_lost", {"reason": reason.value})
