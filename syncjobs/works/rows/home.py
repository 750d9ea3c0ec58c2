"""What the home database is told of a publication: version, columns and mark, quarantine, events, the record's counts.

Where the rows lie in another database, they are committed first, with this report beside them; an attempt that finds a
report that the home database was not told of tells it.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from datasets.fencing import Fenced
from datasets.tables.ledger import (
    PublishedColumn,
    TableChange,
    move_mark,
    write_table_version,
)
from events.writing import NewEvent, write_events_by
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Claim
from syncjobs.works.rows.outcome import RowTally, TableOutcome, sum_up

_RECORD = """
UPDATE syncjobs_syncrecord SET tables = %(tables)s, dataset_version = coalesce(%(number)s, dataset_version, (
        SELECT number FROM datasets_version WHERE dataset_id = %(dataset)s AND is_current)),
    rows_read = %(rows_read)s, rows_added = %(rows_added)s, rows_changed = %(rows_changed)s,
    rows_removed = %(rows_removed)s, rows_unchanged = %(rows_unchanged)s, rows_failed = %(rows_failed)s,
    rows_without_cursor = %(rows_without_cursor)s, rows_duplicate = %(rows_duplicate)s,
    values_nulled = %(values_nulled)s, cursor_column = %(cursor_column)s, mark = %(mark)s
 WHERE id = %(record)s AND token = %(token)s AND lease_owner = %(owner)s
"""
_REDRIVEN = """
UPDATE syncjobs_quarantinedrow q SET state = 'redriven' FROM (
    SELECT id FROM syncjobs_quarantinedrow WHERE id = ANY(%s) AND state = 'open'
     ORDER BY id FOR NO KEY UPDATE) sent
 WHERE q.id = sent.id
"""


@dataclass(frozen=True, slots=True)
class TableReport:
    """`change` is None where nothing differed, and only the mark moved."""

    table_id: uuid.UUID
    outcome: TableOutcome
    change: TableChange | None
    events: tuple[tuple[str, dict[str, Any]], ...] = ()
    verified: bool = False
    redriven: tuple[int, ...] = ()  # rows of the quarantine that were sent again

    @property
    def number(self) -> int | None:
        return None if self.change is None else self.change.number

    def to_json(self) -> dict[str, Any]:
        change = None
        if self.change is not None:
            change = {
                name: str(value) if isinstance(value, uuid.UUID) else value
                for name, value in asdict(self.change).items()
            }
        return {
            "table_id": str(self.table_id),
            "outcome": self.outcome.to_json(),
            "change": change,
            "events": [list(event) for event in self.events],
            "verified": self.verified,
            "redriven": list(self.redriven),
        }

    @classmethod
    def from_json(cls, given: dict[str, Any]) -> TableReport:
        change = given["change"]
        if change is not None:
            ids = {
                name: uuid.UUID(change[name]) for name in ("dataset_id", "table_id", "record_id")
            }
            columns = tuple(PublishedColumn(**column) for column in change["columns"])
            change = TableChange(**change | ids | {"columns": columns, "key": tuple(change["key"])})
        return cls(
            uuid.UUID(given["table_id"]),
            TableOutcome.from_json(given["outcome"]),
            change,
            tuple((name, data) for name, data in given["events"]),
            given["verified"],
            tuple(given["redriven"]),
        )


def write_at_home(cursor: psycopg.Cursor[Any], report: TableReport) -> None:
    """Version, columns and mark. Behind the dataset's fence."""
    if report.change is None:
        move_mark(cursor, report.table_id, report.outcome.mark)
    else:
        write_table_version(cursor, report.change)
    if report.redriven:
        cursor.execute(_REDRIVEN, [list(report.redriven)])


def write_into_record(
    cursor: psycopg.Cursor[Any],
    record: SyncRecord,
    claim: Claim,
    report: TableReport,
    before: Sequence[TableOutcome],
) -> None:
    """Events and counts; last, because the heartbeat passes the record's row over until the commit. `before` are the
    record's tables that ended already. Raises Fenced."""
    outcome = report.outcome
    events = [
        make_event(record, claim, name, {"table": outcome.name} | data)
        for name, data in report.events
    ]
    write_events_by(cursor, events)
    total = sum_up([*before, outcome])
    cursor.execute(
        _RECORD,
        {
            **{name: getattr(total, name) for name in RowTally.__dataclass_fields__},
            "tables": Jsonb([one.to_json() for one in (*before, outcome)]),
            "number": report.number,
            "dataset": claim.dataset_id,
            "cursor_column": outcome.cursor_column,
            "mark": None if outcome.mark is None else Jsonb(outcome.mark),
            "record": claim.record_id,
            "token": claim.token,
            "owner": claim.owner,
        },
    )
    if cursor.rowcount != 1:
        raise Fenced("the record was taken back")


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
