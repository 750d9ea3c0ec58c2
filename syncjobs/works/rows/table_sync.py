"""Syncs one table of a record: reads, stages, plans, asks the guards, publishes."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg

from datasets.models import Table
from datasets.tables.bad_rows import read_bad_rows
from datasets.tables.ledger import ensure_table, find_columns, get_place
from datasets.tables.place import list_columns_of
from datasets.tables.row_plan import TableLayout
from datasets.tables.staged_keys import SAMPLE, KeyNotUnique
from datasets.tables.staged_reading import StagedReading
from datasets.tables.staging import RowStaging, TooManyBadRows
from datasets.tables.table_state import PlaceFence
from events.models import SyncEvent
from events.writing import write_events
from farends.errors import SchemaGone
from farends.rows.contract import Column, EntityKind, Mark, MarkKind, Reading, RowSource
from farends.rows.inference import ValueType, join_columns, make_column
from syncjobs.core.row_guards import RowRule, RowWaiver, exceeds_share
from syncjobs.core.row_terms import RowsDrifted
from syncjobs.core.schema_drift import SchemaOffer, SchemaPlan, SourceColumn, plan_schema
from syncjobs.core.states import Event, Stage
from syncjobs.models import SyncMode, Trigger
from syncjobs.works.contract import Assignment, Failed
from syncjobs.works.rows.access import DESTINATION, RowDatabases
from syncjobs.works.rows.approving import need_terms
from syncjobs.works.rows.failpoints import AFTER_COMMIT, FENCED, die_at
from syncjobs.works.rows.home import TableReport, make_event
from syncjobs.works.rows.layout import (
    RelationView,
    as_source_columns,
    lay_out,
    staged_as_source,
)
from syncjobs.works.rows.order import (
    EntityOrder,
    TableOrder,
    check_key,
    describe_entity,
    find_since,
    reads_whole,
)
from syncjobs.works.rows.outcome import RowsHeld, RowTally, TableOutcome, TableState
from syncjobs.works.rows.publishing import Publication, Publisher
from syncjobs.works.rows.quarantine import add_to_quarantine
from syncjobs.works.rows.reading import EntityReader, ReadResult
from syncjobs.works.rows.redriving import find_sent_rows, stage_again
from syncjobs.works.rows.telling import tell_other


@dataclass(frozen=True, slots=True)
class _Looked:
    """What the source and the database say before anything is read."""

    entity: EntityOrder
    table: Table
    view: RelationView
    key: tuple[str, ...]
    since: Mark | None
    sweeps: bool


class TableSync:
    """One table of one attempt."""

    def __init__(
        self,
        assignment: Assignment,
        databases: RowDatabases,
        source: RowSource,
        before: list[TableOutcome],
    ) -> None:
        self._assignment = assignment
        self._record = assignment.record
        self._job = assignment.record.job
        self._lease = assignment.lease
        self._databases = databases
        self._session = databases.place
        self._source = source
        self._before = before
        self._applies = self._record.applies_id is not None  # the plan of a dry run
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._publisher = Publisher(databases, self._record, assignment.claim, assignment.lease)

    def run(self, order: TableOrder) -> TableOutcome:
        """Raises TransportError's children, Failed, RowsHeld, RowsDrifted, Fenced and a Stop."""
        self._lease.progress.enter(Stage.DETECTING_CHANGES)
        with self._databases.mapping():
            entity = describe_entity(order, self._source)
            table = self._find_table(entity)
            fence = self._databases.fence_place(table.pk)
            if fence is not None and (told := self._tell_what_was_committed(table, fence)):
                return told
            looked = self._look(entity)
            staging = RowStaging(
                self._session,
                get_place(looked.table),
                self._databases.home_fence if fence is None else fence.check,
                check=self._lease.check,
            )
            try:
                return self._sync(looked, staging)
            except (RowsHeld, RowsDrifted):
                staging.throw_away()  # what a person is to look at is read anew after the release
                raise
            except TooManyBadRows as exc:
                raise Failed("row_errors", str(exc)) from exc

    def _find_table(self, entity: EntityOrder) -> Table:
        destination = self._databases.destination
        if destination is None:
            return ensure_table(self._job.dataset, entity.name, wanted=entity.relation)
        return ensure_table(
            self._job.dataset,
            entity.name,
            wanted=destination.table or entity.relation,
            connector_id=destination.connector_id,
            schema=destination.schema,
        )

    def _tell_what_was_committed(self, table: Table, fence: PlaceFence) -> TableOutcome | None:
        """An answer to a commit may have been lost: the other database says what it holds. Returns the outcome where
        this record has committed it."""
        committed = fence.take(self._session)
        if committed.report is None:
            return None
        if committed.record_id != self._record.pk:
            tell_other(self._databases, self._assignment.claim.dataset_id, committed)
            table.refresh_from_db()
            return None
        report = TableReport.from_json(committed.report)
        self._publisher.tell_home(report, self._before)
        return report.outcome

    def _look(self, entity: EntityOrder) -> _Looked:
        table = self._find_table(entity)
        with self._session.cursor() as cursor:
            columns = list_columns_of(cursor, table.schema, table.relation)
        destination = self._databases.destination
        if columns and table.version is None and not (destination and destination.adopt):
            raise Failed(
                DESTINATION,
                f"there is a table {table.schema}.{table.relation} that no job made: give destination another"
                " table, or adopt: true",
            )
        view = RelationView(
            get_place(table), tuple(columns), tuple(find_columns(table)), table.version is not None
        )
        if self._source.capabilities.learns_types:
            entity = replace(entity, columns=_learned(entity, view))
        key = self._choose_key(entity, table, view)
        _check_cursor(entity, table)
        since = find_since(entity, table.mark) if view.exists and view.published else None
        sweeps = self._sweeps(since)
        if reads_whole(self._record) and not sweeps:
            since = None
        return _Looked(entity, table, view, key, since, sweeps)

    def _choose_key(self, entity: EntityOrder, table: Table, view: RelationView) -> tuple[str, ...]:
        """A published table keeps its key. Raises SchemaGone where the source no longer has a column of it."""
        key = entity.key
        if view.published and table.keyless:
            return ()
        if view.published and table.key:
            sources = {one.name: one.source_name for one in view.ledger}
            key = tuple(sources[name] for name in table.key)
        there = {column.name for column in entity.columns}
        if missing := [name for name in key if name not in there]:
            raise SchemaGone(
                f"{entity.name} has no column {', '.join(missing)}, which its key needs"
            )
        check_key(self._record, entity, key)
        return key

    def _sweeps(self, since: Mark | None) -> bool:
        """A record that is whole only because a verification is due reads the keys alone: the mark of `xmin` misses no
        change of a row that is there."""
        return (
            since is not None
            and since.kind is MarkKind.XMIN
            and self._record.mode == SyncMode.FULL
            and self._job.sync_mode == SyncMode.INCREMENTAL
            and self._source.capabilities.sweeps_keys
            and SyncEvent.objects.filter(
                record=self._record, event=Event.VERIFICATION_DUE.value
            ).exists()
        )

    def _sync(self, looked: _Looked, staging: RowStaging) -> TableOutcome:
        plan = self._plan_schema(looked, as_source_columns(looked.entity.columns))
        if looked.since is not None and _must_read_all(plan):
            looked = replace(looked, since=None, sweeps=False)
        if self._record.trigger == Trigger.REDRIVE:
            return self._redrive(looked, plan, staging)
        result = self._read(looked, plan, staging)
        staged = result.staged
        self._check_failures(staged, staging, looked.table)
        swept = self._sweep(looked, staged, staging)
        if looked.view.exists or staged.segment > 0 or not staged.key or self._applies:
            staged = self._prove_key(staged, staging)
        self._ask_for_doubles(looked, staged, staging)
        wanted = self._describe(looked, result, staged, swept)
        if self._record.dry_run:
            return self._dry_run(wanted, staging)
        outcome = self._publish(wanted, staging)
        die_at(AFTER_COMMIT)
        return outcome

    def _redrive(self, looked: _Looked, plan: SchemaPlan, staging: RowStaging) -> TableOutcome:
        """The table gets the rows that a person sends again, and no others."""
        if not looked.view.published:
            raise Failed("redrive", f"{looked.table.name} was never published: sync it first")
        rows = find_sent_rows(self._record, looked.table.name)
        reading = self._make_reading(looked, plan)
        staged = stage_again(self._source, staging, reading, self._record, rows, looked.table.mark)
        staged = self._prove_key(staged, staging)
        wanted = self._describe(looked, ReadResult(staged), staged, None)
        told = tuple(event for event in wanted.events if event[0] == "schema_changed")
        wanted = replace(wanted, events=told, redriven=tuple(row.pk for row in rows))
        outcome = self._publish(wanted, staging)
        die_at(AFTER_COMMIT)
        return outcome

    def _plan_schema(self, looked: _Looked, found: list[SourceColumn]) -> SchemaPlan:
        """Raises RowsHeld where a person must decide."""
        released = (self._record.hold or {}) if self._record.guards_waived else {}
        answer = released.get("answer")
        plan = plan_schema(
            looked.view.list_known([one.source_name for one in found]),
            found,
            holds=self._job.on_schema_change == "hold",
            only_known=not self._takes_new(looked),
            answer=answer,
        )
        changes = [drift.to_json(looked.table.name) for drift in plan.drifts]
        if answer == SchemaOffer.STOP and any(change["offers"] for change in changes):
            raise Failed(RowRule.SCHEMA_CHANGE, "stopped by a person: the schema has changed")
        if plan.waits and not _are_seen(changes, released, looked.table.name):
            words = ", ".join(f"{one['column']} was {one['change']}" for one in changes[:5])
            raise RowsHeld(
                RowRule.SCHEMA_CHANGE,
                f"the source's columns are others than the table's: {words}",
                table_rows=looked.table.rows,
                schema_changes=changes,
            )
        return plan

    def _make_reading(self, looked: _Looked, plan: SchemaPlan) -> Reading:
        taken = {one.source.source_name for one in plan.columns}
        return Reading(
            spec=looked.entity.spec,
            columns=tuple(one for one in looked.entity.columns if one.name in taken),
            key=looked.key,
            cursor=looked.entity.cursor,
            since=looked.since,
            takes=partial(_is_taken, looked.entity, taken, self._takes_new(looked)),
            postgres_major=self._session.info.server_version // 10_000,
        )

    def _read(self, looked: _Looked, plan: SchemaPlan, staging: RowStaging) -> ReadResult:
        die_at(FENCED)
        reader = EntityReader(
            self._source,
            staging,
            self._lease,
            str(self._record.pk),
            partial(self._tell, looked.table),
        )
        by_place = not looked.key and looked.entity.kind is EntityKind.FILE
        # What is compared with a plan is staged as it was for the plan.
        is_first = not (looked.view.exists or self._record.dry_run or self._applies)
        return reader.read(self._make_reading(looked, plan), by_place=by_place, is_first=is_first)

    def _takes_new(self, looked: _Looked) -> bool:
        return self._job.on_schema_change != "ignore" or not looked.view.published

    def _tell(self, table: Table, name: str, data: dict[str, Any]) -> None:
        """At once: the attempt may end before it publishes."""
        told = {"table": table.name} | data
        write_events([make_event(self._record, self._assignment.claim, name, told)])

    def _add_event(self, name: str, data: dict[str, Any]) -> None:
        self._events.append((name, data))

    def _check_failures(self, staged: StagedReading, staging: RowStaging, table: Table) -> None:
        """Raises Failed where more rows could not be loaded than the job allows; they are kept for a person."""
        if not staged.failed:
            return
        read = staged.rows + staged.failed
        may = self._job.on_row_error != "fail"
        if may and not exceeds_share(staged.failed, read, self._job.row_errors_max_share):
            return
        if not self._record.dry_run:
            bad = read_bad_rows(self._session, table.pk)
            with self._databases.at_home() as cursor:
                add_to_quarantine(cursor, self._record.pk, table.name, bad)
            staging.throw_away()
        allowed = f"{self._job.row_errors_max_share:.2%}" if may else "none"
        raise Failed(
            "row_errors",
            f"{staged.failed} of {read} rows of {table.name} could not be loaded, {allowed} may fail:"
            " nothing was published, they are in quarantine",
        )

    def _sweep(self, looked: _Looked, staged: StagedReading, staging: RowStaging) -> int | None:
        """The count of the source's keys, where they were read."""
        if not looked.sweeps or staged.full:
            return None
        return staging.keys.stage_all(staged, self._source.read_keys())

    def _prove_key(self, staged: StagedReading, staging: RowStaging) -> StagedReading:
        try:
            return staging.keys.prove(staged)
        except KeyNotUnique as exc:
            reason = f"{exc}: the key does not name one row"
            raise RowsHeld(
                RowRule.DUPLICATE_KEY,
                reason,
                sample_keys=exc.samples,
                tally=RowTally(rows_read=staged.rows + staged.failed),
            ) from exc

    def _describe(
        self, looked: _Looked, result: ReadResult, staged: StagedReading, swept: int | None
    ) -> Publication:
        plan = self._plan_schema(looked, staged_as_source(staged))
        for drift in plan.drifts:
            self._add_event("schema_changed", drift.to_json(looked.table.name))
        removes = (staged.full or swept is not None) and self._job.on_delete != "ignore"
        cursor = looked.entity.cursor
        column = cursor.field if cursor is not None else ""
        if staged.without_cursor:
            self._add_event(
                "rows_without_cursor", {"column": column, "rows": staged.without_cursor}
            )
        if not staged.full and swept is None:
            self._add_event("deletes_not_looked_for", {})
        layout: TableLayout = lay_out(
            looked.view,
            staged,
            plan,
            removes=removes and looked.view.exists,
            sweep=swept is not None,
            marks=self._job.on_delete == "mark",
        )
        return Publication(
            table=looked.table,
            layout=layout,
            staged=staged,
            read=staged.rows + staged.failed if swept is None else swept,
            alters=plan.alters or bool(plan.drifts),
            waiver=self._find_waiver(looked.table.name),
            cursor_column=column,
            events=tuple(self._events),
            warning=result.warning,
            verified=staged.full or swept is not None,
            approved=need_terms(self._record, looked.table.name),
        )

    def _find_waiver(self, table: str) -> RowWaiver | None:
        """What a person released for this table."""
        if not self._record.guards_waived:
            return None
        held = ((self._record.hold or {}).get("tables") or {}).get(table)
        return None if held is None else RowWaiver(held["rule"], held["removed"])

    def _dry_run(self, wanted: Publication, staging: RowStaging) -> TableOutcome:
        staged = wanted.staged
        if not wanted.layout.exists:  # else the staging's key was proved already
            staged = self._prove_key(staged, staging)
            wanted = replace(wanted, staged=staged)
        planned, held = self._publisher.plan(wanted)
        staging.throw_away()
        outcome = replace(planned, state=TableState.PLANNED)
        if held is None:
            return outcome
        return replace(outcome, error_code=held.rule.value, error=str(held), held=held.held)

    def _publish(self, wanted: Publication, staging: RowStaging) -> TableOutcome:
        try:
            return self._publisher.publish(wanted, staging, self._before)
        except psycopg.errors.UniqueViolation as exc:
            if wanted.layout.exists:
                return self._publish_swapped(wanted, staging, exc)
        # A first load proves its key by the relation's own: only now it is known that rows share one.
        proved = self._prove_key(wanted.staged, staging)
        return self._publisher.publish(replace(wanted, staged=proved), staging, self._before)

    def _publish_swapped(
        self, wanted: Publication, staging: RowStaging, refused: psycopg.Error
    ) -> TableOutcome:
        """Rows that swap the values of a UNIQUE cannot be updated one after the other. A UNIQUE that the rows really
        break refuses them again."""
        if not self._publisher.may_swap(wanted):
            name = refused.diag.constraint_name
            raise RowsHeld(
                RowRule.CONSTRAINT,
                f"rows change a value that constraint {name} of the destination allows once, and other columns or"
                " tables hang on them: put the constraint off (DEFERRABLE INITIALLY DEFERRED) or drop it, then"
                " release the record",
                table_rows=wanted.table.rows,
            ) from refused
        return self._publisher.publish(replace(wanted, swaps=True), staging, self._before)

    def _ask_for_doubles(self, looked: _Looked, staged: StagedReading, staging: RowStaging) -> None:
        """An incremental does not see that one of its rows has the key of an older one: the source is asked. Raises
        RowsHeld."""
        if staged.full or looked.entity.unique_key or not looked.key:
            return
        if not self._source.capabilities.counts_doubles:
            return
        for keys in staging.keys.iterate(staged):
            self._lease.check()
            if doubles := self._source.count_doubles(keys):
                raise RowsHeld(
                    RowRule.DUPLICATE_KEY,
                    f"{len(doubles)} of the keys that were read belong to more than one row of the source",
                    sample_keys=[dict(key) for key in doubles[:SAMPLE]],
                    table_rows=looked.table.rows,
                    tally=RowTally(rows_read=staged.rows + staged.failed),
                )


def _are_seen(changes: list[dict[str, Any]], released: dict[str, Any], table: str) -> bool:
    """Whether a person has released just these changes, none of which asks a question."""
    held = (released.get("tables") or {}).get(table) or {}
    seen = held.get("schema_changes") or []
    return all(not one["offers"] and one in seen for one in changes)


def _is_taken(entity: EntityOrder, known: Collection[str], takes_new: bool, name: str) -> bool:
    """Whether a column is wanted that the source meets only while it is read."""
    return name in known or (takes_new and entity.takes(name))


def _must_read_all(plan: SchemaPlan) -> bool:
    """A column that is built anew has no values until all rows are read."""
    return any(drift.offers for drift in plan.drifts)


def _learned(entity: EntityOrder, view: RelationView) -> tuple[Column, ...]:
    """A source that learns its columns by reading knows none where there is nothing to read; a key that is gone it tells
    itself."""
    columns = join_columns(view.list_current(), entity.columns)
    return columns or tuple(make_column(name, ValueType.NULL) for name in entity.key)


def _check_cursor(entity: EntityOrder, table: Table) -> None:
    """Raises SchemaGone where the column that told changes is not there any more."""
    mark = table.mark
    if mark is None or mark["kind"] != MarkKind.COLUMN:
        return
    cursor = entity.cursor
    if mark["field"] not in entity.all_names and (
        cursor is None or not entity.cursor_was_named or cursor.field == mark["field"]
    ):
        raise SchemaGone(f"{entity.name} has no column {mark['field']}, which told its changes")
