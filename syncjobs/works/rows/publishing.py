"""Publishes what was staged of one table: rows, history, columns, version, mark, quarantine and counts in one
transaction, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import psycopg

from datasets.models import Table
from datasets.tables.ledger import TableChange, next_number
from datasets.tables.row_plan import (
    RowChanges,
    TableLayout,
    count_rows,
    digest_changes,
    plan_rows,
    sample_changes,
    sample_removed,
)
from datasets.tables.row_writing import (
    alter_columns,
    apply_changes,
    can_swap,
    create_filled,
    keep_images,
    need_key,
    settle_key,
)
from datasets.tables.staged_reading import StagedReading
from datasets.tables.staging import RowStaging
from datasets.tables.table_state import PlaceFence
from syncjobs.core.row_guards import RowCounts, RowWaiver, judge_rows
from syncjobs.core.row_terms import RowTerms, confirm_terms
from syncjobs.core.states import Stage
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Claim
from syncjobs.works.rows.access import RowDatabases
from syncjobs.works.rows.failpoints import BEFORE_COMMIT, die_at
from syncjobs.works.rows.home import TableReport, write_at_home, write_into_record
from syncjobs.works.rows.layout import list_published
from syncjobs.works.rows.outcome import RowsHeld, RowTally, TableOutcome, TableState
from syncjobs.works.rows.quarantine import move_to_quarantine
from syncjobs.works.rows.telling import tell_home
from syncjobs.works.verified import note_verified

_TIME = "SET LOCAL statement_timeout = '15min'"


@dataclass(frozen=True, slots=True)
class Publication:
    """What a publication of one table writes."""

    table: Table
    layout: TableLayout
    staged: StagedReading
    read: int  # rows that the source gave; of a sweep, the keys
    alters: bool  # the schema differs from the last version's
    waiver: RowWaiver | None
    cursor_column: str
    events: Sequence[tuple[str, dict[str, Any]]]
    warning: str = ""
    swaps: bool = False  # changed rows are taken out before they are put back
    redriven: tuple[int, ...] = ()  # rows of the quarantine that were sent again
    verified: bool = False  # all rows of the source were compared, or their keys
    approved: RowTerms | None = None  # with the plan that the record applies

    @property
    def is_first(self) -> bool:
        return self.table.version is None


class Publisher:
    """Publishes tables of one record."""

    def __init__(
        self, databases: RowDatabases, record: SyncRecord, claim: Claim, lease: Lease
    ) -> None:
        self._databases = databases
        self._session = databases.place
        self._record = record
        self._claim = claim
        self._lease = lease

    def plan(self, wanted: Publication) -> tuple[TableOutcome, RowsHeld | None]:
        """What would be published, of which nothing is, and what would hold it."""
        with self._session.transaction(force_rollback=True), self._session.cursor() as cursor:
            cursor.execute(_TIME)
            counts = self._plan(cursor, wanted)
            outcome = replace(
                make_outcome(wanted, counts, None),
                sample=sample_changes(cursor, wanted.layout),
                terms=_list_terms(cursor, wanted, counts),
            )
            try:
                self._judge(cursor, wanted, counts)
            except RowsHeld as exc:
                return outcome, exc
        return outcome, None

    def publish(
        self, wanted: Publication, staging: RowStaging, before: Sequence[TableOutcome]
    ) -> TableOutcome:
        """`before`: the record's tables that ended already. Raises RowsHeld, RowsDrifted, Fenced, UniqueViolation where
        the key is none, and then nothing was written."""
        if self._databases.is_home:
            return self._publish_at_home(wanted, staging, before)
        return self._publish_elsewhere(wanted, staging, before)

    def _publish_at_home(
        self, wanted: Publication, staging: RowStaging, before: Sequence[TableOutcome]
    ) -> TableOutcome:
        with self._session.transaction(), self._session.cursor() as cursor:
            cursor.execute(_TIME)
            counts = self._plan(cursor, wanted)
            self._confirm(cursor, wanted, counts)
            self._judge(cursor, wanted, counts)
            self._databases.home_fence(cursor)
            number = None
            if _differs(wanted, counts):
                number = next_number(cursor, self._claim.dataset_id)
                self._write(cursor, wanted, counts, number)
            report = self._report(wanted, counts, number)
            write_at_home(cursor, report)
            move_to_quarantine(cursor, self._claim.record_id, wanted.table)
            staging.drop(cursor)
            self._lease.check()
            write_into_record(cursor, self._record, self._claim, report, before)
            die_at(BEFORE_COMMIT)
        self._note_verified(report)
        return report.outcome

    def _publish_elsewhere(
        self, wanted: Publication, staging: RowStaging, before: Sequence[TableOutcome]
    ) -> TableOutcome:
        """The rows first, with the report beside them; then the home database is told."""
        fence = PlaceFence(wanted.table.pk, self._claim.token)
        with self._session.transaction(), self._session.cursor() as cursor:
            cursor.execute(_TIME)
            counts = self._plan(cursor, wanted)
            self._confirm(cursor, wanted, counts)
            self._judge(cursor, wanted, counts)
            fence.check(cursor)
            number = None
            if _differs(wanted, counts):
                with self._databases.at_home() as home:
                    number = next_number(home, self._claim.dataset_id)
                self._write(cursor, wanted, counts, number)
            report = self._report(wanted, counts, number)
            staging.drop(cursor, but_bad=True)  # until the home database has them
            fence.write(
                cursor,
                record_id=self._claim.record_id,
                version=number,
                mark=report.outcome.mark,
                report=report.to_json(),
            )
            self._lease.check()
            die_at(BEFORE_COMMIT)
        self.tell_home(report, before)
        return report.outcome

    def may_swap(self, wanted: Publication) -> bool:
        with self._session.transaction(), self._session.cursor() as cursor:
            return can_swap(cursor, wanted.layout)

    def tell_home(self, report: TableReport, before: Sequence[TableOutcome]) -> None:
        """What this record has committed in another database."""

        def write(cursor: psycopg.Cursor[Any], told: TableReport) -> None:
            write_into_record(cursor, self._record, self._claim, told, before)

        claim = self._claim
        tell_home(self._databases, claim.dataset_id, claim.record_id, report, write)
        self._note_verified(report)

    def _note_verified(self, report: TableReport) -> None:
        if report.verified:
            note_verified(self._databases.home, self._claim.record_id)

    def _report(self, wanted: Publication, counts: RowCounts, number: int | None) -> TableReport:
        self._lease.progress.enter(Stage.FINALIZING)
        return TableReport(
            table_id=wanted.table.pk,
            outcome=make_outcome(wanted, counts, number),
            change=None if number is None else self._describe(wanted, counts, number),
            events=tuple(wanted.events),
            verified=wanted.verified,
            redriven=wanted.redriven,
        )

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

    def _confirm(self, cursor: psycopg.Cursor[Any], wanted: Publication, counts: RowCounts) -> None:
        if wanted.approved is not None:
            confirm_terms(wanted.table.name, wanted.approved, _list_terms(cursor, wanted, counts))

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
        self, cursor: psycopg.Cursor[Any], wanted: Publication, counts: RowCounts, number: int
    ) -> None:
        layout, moved = wanted.layout, self._lease.progress.moved
        self._lease.progress.enter(Stage.PROCESSING_FILES)
        if not layout.exists:
            create_filled(cursor, layout)
            return
        differs = bool(counts.added or counts.changed or counts.removed)
        if differs and not wanted.is_first:
            keep_images(cursor, layout, number)
            moved()
        alter_columns(cursor, layout)
        moved()
        if differs or any(link.rebuilt for link in layout.links):
            apply_changes(cursor, layout, swaps=wanted.swaps)
            moved()

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


def _differs(wanted: Publication, counts: RowCounts) -> bool:
    """Whether there is a version to write: the first is one even where it is empty."""
    return bool(
        counts.added or counts.changed or counts.removed or wanted.alters or wanted.is_first
    )


def _list_terms(cursor: psycopg.Cursor[Any], wanted: Publication, counts: RowCounts) -> RowTerms:
    return RowTerms(
        digest_changes(cursor, wanted.layout),
        wanted.table.version,
        counts.added,
        counts.changed,
        counts.removed,
    )


def _name_key_sources(staged: StagedReading) -> tuple[str, ...]:
    """In the order of the relation's key, which is that of its columns."""
    ordered = tuple(one.source_name for one in staged.columns if one.source_name in staged.key)
    return ordered or staged.key_names


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
