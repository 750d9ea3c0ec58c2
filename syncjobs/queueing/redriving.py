"""Rows out of quarantine are sent again, or dropped, as a person says. The work reads which from the record."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from django.db import transaction

from datasets.models import TableColumn
from syncjobs.models import QuarantinedRow, QuarantineState, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from workspaces import auditing

RowValues = Mapping[str, str | None]


class NothingOpen(Exception):
    """No row of the quarantine waits to be sent again; or a named one does not."""


class RedriveMisfit(Exception):
    """What is to be sent again names something that is not there. `field` is what named it."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


class UnknownRows(RedriveMisfit):
    """The quarantine of the record has no such rows."""

    def __init__(self, field: str, numbers: Collection[int]) -> None:
        shown = ", ".join(map(str, sorted(numbers)[:20]))
        super().__init__(field, f"this record has no such row in quarantine: {shown}")


class UnknownColumns(RedriveMisfit):
    """The row's table has no such columns."""

    def __init__(self, number: int, names: Collection[str]) -> None:
        shown = ", ".join(sorted(names)[:20])
        super().__init__("values", f"the table of row {number} has no such column: {shown}")


def send_again(
    record: SyncRecord,
    *,
    by: str,
    ids: Sequence[int] | None = None,
    values: Mapping[int, RowValues] | None = None,
    drop: Sequence[int] = (),
) -> SyncRecord:
    """A queued record that sends these rows of a record's quarantine again, or all that are open; `drop` are given
    up. A row that has `values` is sent with them, others are read from the source once more. `record` comes with its
    job. Raises NothingOpen, RedriveMisfit, ConnectorPaused, WorkspaceBusy,
    JobBusy."""
    values = values or {}
    with transaction.atomic():
        rows = QuarantinedRow.objects.select_for_update().filter(record=record).order_by("pk")
        states = dict(rows.values_list("pk", "state"))
        for field, named in (("ids", ids or ()), ("values", values), ("drop", drop)):
            if unknown := {*named} - {*states}:
                raise UnknownRows(field, unknown)
        open_rows = {pk for pk, state in states.items() if state == QuarantineState.OPEN}
        closed = ({*(ids or ())} | {*values} | {*drop}) - open_rows
        if not open_rows or closed:
            which = f"rows {', '.join(map(str, sorted(closed)[:20]))}" if closed else "rows"
            raise NothingOpen(f"its quarantine has no open {which}")
        _check_columns(record, rows.filter(pk__in=values), values)
        rows.filter(pk__in=drop).update(state=QuarantineState.DROPPED)
        sent = sorted((open_rows if ids is None else {*ids} | {*values}) - {*drop})
        return enqueue(
            record.job,
            trigger=Trigger.REDRIVE,
            by=by,
            redrive=_write_order(record, sent, values),
            note=lambda made: auditing.note_act(
                record, "redriven", {"record": [None, str(made.pk)]}
            ),
        )


def _check_columns(
    record: SyncRecord, rows: Iterable[QuarantinedRow], values: Mapping[int, RowValues]
) -> None:
    """Columns are named as the source does. Raises UnknownColumns."""
    current = TableColumn.objects.filter(table__dataset=record.job.dataset_id, until=None)
    known: dict[str, set[str]] = {}
    for table, column in current.values_list("table__name", "source_name"):
        known.setdefault(table, set()).add(column)
    for row in rows:
        there = known.get(row.table)
        if there and (unknown := {*values[row.pk]} - there - {*(row.values or {})}):
            raise UnknownColumns(row.pk, unknown)


def _write_order(
    record: SyncRecord, ids: Sequence[int], values: Mapping[int, RowValues]
) -> dict[str, Any]:
    return {
        "record": str(record.pk),
        "ids": list(ids),
        "values": {str(pk): dict(values[pk]) for pk in ids if pk in values},
    }
