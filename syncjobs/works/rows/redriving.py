"""Rows out of quarantine are staged again: with the values that a person gave, or as the source has them now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from datasets.tables.staged_reading import StagedReading, stage_columns
from datasets.tables.staging import RowStaging
from farends.rows.contract import Chunk, Encoding, Reading, RowSource
from farends.rows.copy_text import encode_row
from syncjobs.models import QuarantinedRow, SyncRecord

Cells = dict[str, str | None]


def find_sent_rows(record: SyncRecord, table: str | None = None) -> list[QuarantinedRow]:
    """The rows that the record sends again: all, or those of one table."""
    order = record.redrive or {}
    rows = QuarantinedRow.objects.filter(record=order.get("record"), pk__in=order.get("ids", ()))
    return [row for row in rows.order_by("pk") if table in (None, row.table)]


def stage_again(
    source: RowSource,
    staging: RowStaging,
    reading: Reading,
    record: SyncRecord,
    rows: Sequence[QuarantinedRow],
    mark: Mapping[str, Any] | None,
) -> StagedReading:
    """Stages the rows, and nothing else. `mark` stays the table's. Raises what a reading raises."""
    by_place = not reading.key and any(row.line is not None for row in rows)
    staged = staging.start(
        StagedReading(
            str(record.pk),
            {"redrive": record.redrive},
            stage_columns(reading.columns),
            reading.key,
            mark=None if mark is None else dict(mark),
            by_place=by_place,
        )
    )
    overlays: Mapping[str, Cells] = (record.redrive or {}).get("values", {})
    sent, asked = list[tuple[QuarantinedRow, Cells]](), list[Cells]()
    for row in rows:
        overlay = overlays.get(str(row.pk))
        if overlay is None and row.key and source.capabilities.reads_by_key:
            asked.append(row.key)
        else:
            sent.append((row, _fill(reading, row, overlay or {})))
    if sent:
        staged = staging.take(staged, _encode(reading, sent, by_place=by_place))
    if asked:
        source.begin(reading.whole())
        for chunk in source.read_rows(asked):
            staged = staging.take(staged, chunk)
    return staged


def _fill(reading: Reading, row: QuarantinedRow, overlay: Mapping[str, str | None]) -> Cells:
    known = {**(row.values or {}), **(row.key or {}), **overlay}
    return {column.name: known.get(column.name) for column in reading.columns}


def _encode(
    reading: Reading, sent: Sequence[tuple[QuarantinedRow, Cells]], *, by_place: bool
) -> Chunk:
    latest = {_key_of(reading, row, cells): (row, cells) for row, cells in sent}  # a later one wins
    chosen = list(latest.values())
    return Chunk(
        columns=reading.columns,
        rows=[encode_row(_without_nul(cells.values())) for _, cells in chosen],
        encoding=Encoding.TEXT,
        places=[(row.path or "", row.line or 0) for row, _ in chosen] if by_place else (),
    )


def _key_of(reading: Reading, row: QuarantinedRow, cells: Cells) -> tuple[Any, ...]:
    if reading.key:
        return tuple(cells[name] for name in reading.key)
    return (row.path, row.line, row.pk)


def _without_nul(cells: Iterable[str | None]) -> Iterable[str | None]:
    """COPY takes no NUL; the quarantine shows it as U+F000, so none is left in a value."""
    return [None if cell is None else cell.replace("\0", "\uf000") for cell in cells]
