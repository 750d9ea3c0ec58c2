"""Publishes what was staged of one table: rows, history, columns, version, mark, quarantine and counts in one
transaction, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from datasets.fencing import Fenced
from datasets.models import Table
from datasets.tables.ledger import TableChange, move_mark, next_number, write_table_version
from datasets.tables.row_plan import (
    RowChanges,
    TableLayout,
    count_rows,
    plan_rows,
    sample_removed,
)
from datasets.tables.row_writing import (
    alter_columns,
    apply_changes,
    create_filled,
    keep_images,
    need_key,
    settle_key,
)
from datasets.tables.staging import Fence, RowStaging, StagedReading
from events.writing import NewEvent, write_events_by
from syncjobs.core.row_guards import RowCounts, RowWaiver, judge_rows
from syncjobs.core.states import Stage, State
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Claim
from syncjobs.works.rows.failpoints import BEFORE_COMMIT, die_at
from syncjobs.works.rows.layout import list_published
from syncjobs.works.rows.outcome import RowsHeld, RowTally, TableOutcome, TableState, sum_up
from syncjobs.works.rows.quarantine import move_to_quarantine

_TIME = "SET LOCAL statement_timeout = '15min'"
_RECORD = """
UPDATE syncjobs_syncrecord SET tables = %(tables)s, dataset_version = coalesce(%(number)s, dataset_version, (
        SELECT number FROM datasets_version WHERE dataset_id = %(dataset)s AND is_current)),
    rows_read = %(rows_read)s, rows_added = %(rows_added)s, rows_changed = %(rows_changed)s,
    rows_removed = %(rows_removed)s, rows_unchanged = %(rows_unchanged)s, rows_failed = %(rows_failed)s,
    rows_without_cursor = %(rows_without_cursor)s, rows_duplicate = %(rows_duplicate)s,
    values_nulled = %(values_nulled)s, cursor_column = %(cursor_column)s, mark = %(mark)s
 WHERE id = %(record)s AND token = %(token)s AND lease_owner = %(owner)s
"""
# After the record's row, as whoever moves a record does it.
_VERIFIED = """
UPDATE syncjobs_syncjob SET last_verified_at = now()
 WHERE id = (SELECT job_id FROM syncjobs_syncrecord WHERE id = %s)
"""


@dataclass(frozen=True, slots=True)
class Publication:
    """What is to be published of one table."""

    table: Table
    layout: TableLayout
    staged: StagedReading
    read: int  # rows that the source gave; of a sweep, the keys
    alters: bool  # the schema differs from the last version's
    waiver: RowWaiver | None
    cursor_column: str
    events: Sequence[tuple[str, dict[str, Any]]]
    warning: str = ""
    verified: bool = False  # all rows of the source were compared, or their keys

    @property
    def is_first(self) -> bool:
        return self.table.version is None


class Publisher:
    """Publishes tables of one record in the home database."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        record: SyncRecord,
        claim: Claim,
        lease: Lease,
        fence: Fence,
    ) -> None:
        self._session = session
        self._record = record
        self._claim = claim
        self._lease = lease
        self._fence = fence

    def plan(self, wanted: Publication) -> tuple[RowCounts, RowsHeld | None]:
        """What would be published, of which nothing is, and what would hold it."""
        with self._session.transaction(force_rollback=True), self._session.cursor() as cursor:
            cursor.execute(_TIME)
            counts = self._plan(cursor, wanted)
            try:
                self._judge(cursor, wanted, counts)
            except RowsHeld as exc:
                return counts, exc
        return counts, None

    def publish(
        self, wanted: Publication, staging: RowStaging, before: Sequence[TableOutcome]
    ) -> TableOutcome:
        """`before`: the record's tables that ended already. Raises RowsHeld, Fenced, UniqueViolation where the key is
        none, and then nothing was written."""
        with self._session.transaction(), self._session.cursor() as cursor:
            cursor.execute(_TIME)
            counts = self._plan(cursor, wanted)
            self._judge(cursor, wanted, counts)
            self._fence(cursor)
            differs = bool(counts.added or counts.changed or counts.removed)
            number = None
            if differs or wanted.alters or wanted.is_first:
                number = next_number(cursor, self._claim.dataset_id)
                self._write(cursor, wanted, number, differs=differs)
                self._lease.progress.enter(Stage.FINALIZING)
                write_table_version(cursor, self._describe(wanted, counts, number))
            else:
                move_mark(cursor, wanted.table.pk, wanted.staged.mark)
            outcome = make_outcome(wanted, counts, number)
            move_to_quarantine(cursor, self._claim.record_id, wanted.table)
            staging.drop(cursor)
            self._note(cursor, wanted)
            self._lease.check()
            self._keep(cursor, outcome, [*before, outcome], number)
            if wanted.verified:
                cursor.execute(_VERIFIED, [self._claim.record_id])
            die_at(BEFORE_COMMIT)
        return outcome

    def _plan(self, cursor: psycopg.Cursor[Any], wanted: Publication) -> RowCounts:
        layout, staged = wanted.layout, wanted.staged
        if not layout.exists:
            return RowCounts(0, wanted.read, added=staged.rows)
        settle_key(cursor, layout)
        need_key(cursor, layout)
        held = (
            count_rows(cursor, layout.place)
            if wanted.is_first or layout.removes
            else wanted.table.rows
        )
        found: RowChanges = plan_rows(
            cursor, layout, key_sources=_name_key_sources(staged) if staged.failed else ()
        )
        self._lease.progress.moved()
        return RowCounts(
            held,
            wanted.read,
            found.added,
            found.changed,
            found.removed,
            max(0, staged.rows - found.added - found.changed),
            looked_for_gone=layout.removes,
        )

    def _judge(self, cursor: psycopg.Cursor[Any], wanted: Publication, counts: RowCounts) -> None:
        found = judge_rows(counts, wanted.waiver)
        if found is not None:
            rule, reason = found
            raise RowsHeld(
                rule,
                reason,
                removed=counts.removed,
                table_rows=counts.table_rows,
                sample_keys=sample_removed(cursor, wanted.layout),
                tally=tally_of(wanted, counts),
            )

    def _write(
        self, cursor: psycopg.Cursor[Any], wanted: Publication, number: int, *, differs: bool
    ) -> None:
        layout = wanted.layout
        self._lease.progress.enter(Stage.PROCESSING_FILES)
        if not layout.exists:
            create_filled(cursor, layout)
            return
        if differs and not wanted.is_first:
            keep_images(cursor, layout, number)
            self._lease.progress.moved()
        alter_columns(cursor, layout)
        self._lease.progress.moved()
        if differs or any(link.rebuilt for link in layout.links):
            apply_changes(cursor, layout)
            self._lease.progress.moved()

    def _describe(self, wanted: Publication, counts: RowCounts, number: int) -> TableChange:
        removed = 0 if wanted.layout.marks else counts.removed
        return TableChange(
            dataset_id=self._claim.dataset_id,
            table_id=wanted.table.pk,
            record_id=self._claim.record_id,
            number=number,
            rows=counts.table_rows + counts.added - removed,
            added=counts.added,
            changed=counts.changed,
            removed=counts.removed,
            key=tuple(link.name for link in wanted.layout.key),
            keyless=not wanted.staged.key,
            columns=list_published(wanted.layout, wanted.staged),
            mark=wanted.staged.mark,
        )

    def _note(self, cursor: psycopg.Cursor[Any], wanted: Publication) -> None:
        told = [
            make_event(self._record, self._claim, name, {"table": wanted.table.name} | data)
            for name, data in wanted.events
        ]
        write_events_by(cursor, told)

    def _keep(
        self,
        cursor: psycopg.Cursor[Any],
        outcome: TableOutcome,
        outcomes: Sequence[TableOutcome],
        number: int | None,
    ) -> None:
        """Last, because the heartbeat passes the record's row over until the commit."""
        total = sum_up(outcomes)
        cursor.execute(
            _RECORD,
            {
                **{name: getattr(total, name) for name in RowTally.__dataclass_fields__},
                "tables": Jsonb([one.to_json() for one in outcomes]),
                "number": number,
                "dataset": self._claim.dataset_id,
                "cursor_column": outcome.cursor_column,
                "mark": None if outcome.mark is None else Jsonb(outcome.mark),
                "record": self._claim.record_id,
                "token": self._claim.token,
                "owner": self._claim.owner,
            },
        )
        if cursor.rowcount != 1:
            raise Fenced("the record was taken back")


def _name_key_sources(staged: StagedReading) -> tuple[str, ...]:
    """In the order of the relation's key, which is that of its columns."""
    ordered = tuple(one.source_name for one in staged.columns if one.source_name in staged.key)
    return ordered or staged.key_names


def make_event(record: SyncRecord, claim: Claim, name: str, data: dict[str, Any]) -> NewEvent:
    """An event of the running record that moves it nowhere."""
    return NewEvent(
        event=name,
        workspace_id=record.workspace_id,
        record_id=record.pk,
        from_state=State.RUNNING.value,
        to_state=State.RUNNING.value,
        token=claim.token,
        data=data,
    )


def tally_of(wanted: Publication, counts: RowCounts) -> RowTally:
    staged = wanted.staged
    return RowTally(
        rows_read=staged.rows + staged.failed + staged.duplicates,
        rows_added=counts.added,
        rows_changed=counts.changed,
        rows_removed=counts.removed,
        rows_unchanged=counts.unchanged,
        rows_failed=staged.failed,
        rows_without_cursor=staged.without_cursor,
        rows_duplicate=staged.duplicates,
        values_nulled=staged.nulled,
    )


def make_outcome(wanted: Publication, counts: RowCounts, number: int | None) -> TableOutcome:
    failed = wanted.staged.failed
    outcome = TableOutcome(
        name=wanted.table.name,
        state=TableState.SUCCEEDED,
        tally=tally_of(wanted, counts),
        dataset_version=number,
        cursor_column=wanted.cursor_column,
        mark=wanted.staged.mark,
        warning=wanted.warning,
    )
    if not failed:
        return outcome
    words = f"{failed} rows of {wanted.table.name} could not be loaded: they are in quarantine"
    return replace(outcome, state=TableState.PARTIAL, error_code="row_errors", error=words)
