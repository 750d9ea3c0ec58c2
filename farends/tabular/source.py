"""Files as a source of rows: those that match one glob are one table, in the order of their paths."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from farends.errors import ProtocolViolation, RootMissing, SchemaGone
from farends.rows.contract import (
    CHUNK_BYTES,
    Begun,
    Chunk,
    Entity,
    EntityKind,
    Preview,
    Reading,
    RowCapabilities,
)
from farends.rows.read_ahead import read_ahead
from farends.tabular.csv_table import CsvTable
from farends.tabular.entity import FileFormat, InvalidEntity, TabularEntity, parse_entity
from farends.tabular.files import FileHolder, HeldFile
from farends.tabular.json_lines import JsonLinesTable
from farends.tabular.picking import FileResume, KeySet, print_row
from farends.tabular.tables import Opened, TableFormat, WantedRows

_FORMATS: Mapping[FileFormat, Callable[[Opened], TableFormat]] = {
    FileFormat.CSV: CsvTable,
    FileFormat.JSONL: JsonLinesTable,
    FileFormat.PARQUET: CsvTable,
    FileFormat.XLSX: CsvTable,
}
_LOOK_BYTES = 8 << 20  # of each file, for a preview
_AHEAD_BYTES = CHUNK_BYTES  # a smaller file is not worth a thread


class TabularSource:
    def __init__(
        self,
        holder: FileHolder,
        *,
        check: Callable[[], None] = lambda: None,
        folder: Path | None = None,
    ) -> None:
        self._holder = holder
        self._check = check
        self._folder = folder
        self._reading: Reading | None = None
        self._described: Entity | None = None
        self._learned: tuple[TabularEntity, TableFormat] | None = None  # it knows what it has read

    @property
    def capabilities(self) -> RowCapabilities:
        return RowCapabilities(resumes=True, reads_by_key=True)

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        for file in self._holder.find("**"):
            if file.path.startswith(prefix):
                try:
                    yield self._describe({"path": file.path}, most_bytes=_LOOK_BYTES)
                except (InvalidEntity, ProtocolViolation):
                    continue  # no file of rows

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        """Reads all rows; asked again for the same, it answers from memory, because files of a version never change."""
        if self._described is None or self._described.spec != spec:
            self._described = self._describe(spec, most_bytes=None)
        return self._described

    def _describe(self, spec: Mapping[str, Any], *, most_bytes: int | None) -> Entity:
        entity, files = self._find_files(spec)
        table = self._open(entity)
        found = table.find_columns(files, most_bytes=most_bytes)
        if most_bytes is None:
            self._learned = (entity, table)
        if not found.columns:
            raise ProtocolViolation(f"{entity.path}: all files that match are empty.")
        if unknown := sorted(set(entity.types) - {one.name for one in found.columns}):
            raise SchemaGone(f"`types` names {unknown[0]}, and no file has such a column.")
        return Entity(
            name=entity.name,
            kind=EntityKind.FILE,
            spec=dict(spec),
            columns=found.columns,
            estimated_rows=found.row_count if most_bytes is None else None,
        )

    def _find_files(self, spec: Mapping[str, Any]) -> tuple[TabularEntity, list[HeldFile]]:
        try:
            entity = parse_entity(spec)
        except InvalidEntity as exc:
            raise RootMissing(f"entity.{exc.field}: {exc}") from exc
        files = list(self._holder.find(entity.path))
        if not files:
            raise RootMissing(f"No file of the dataset matches {entity.path}.")
        return entity, files

    def _open(self, entity: TabularEntity) -> TableFormat:
        opened = Opened(self._holder, entity, self._check, self._folder)
        return _FORMATS[entity.format](opened)

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        found = self._describe(spec, most_bytes=_LOOK_BYTES)
        self.begin(Reading(spec, found.columns, found.key))
        rows: list[tuple[str | None, ...]] = []
        for chunk in self.read():
            for row in chunk.rows:
                if len(rows) == limit:
                    return Preview(found.columns, tuple(rows), complete=False)
                rows.append(print_row(row, chunk))
        return Preview(found.columns, tuple(rows), complete=True)

    def begin(self, reading: Reading) -> Begun:
        """Files have no cursor: each reading is whole."""
        there = {column.name for column in reading.columns}
        if gone := [name for name in reading.key if name not in there]:
            raise SchemaGone(f"No file has the key's column {gone[0]}.")
        self._reading = reading
        return Begun(mark=None)

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        reading = self._get_reading()
        entity, files = self._find_files(reading.spec)
        learned = self._learned
        table = learned[1] if learned and learned[0] == entity else self._open(entity)
        wanted = WantedRows(reading.columns, reading.key)
        begin = FileResume.from_json(after)
        for file in files:
            if begin is not None and file.path < begin.path:
                continue
            inner = begin.place if begin is not None and file.path == begin.path else None
            for chunk in self._read_file(table, file, wanted, inner):
                yield replace(chunk, resume=FileResume(file.path, chunk.resume).to_json())

    def _read_file(
        self, table: TableFormat, file: HeldFile, wanted: WantedRows, after: Any | None
    ) -> Iterator[Chunk]:
        """The next chunk is made while the destination takes the one before."""
        with closing(table.read(file, wanted, after)) as chunks:
            if file.size_bytes <= _AHEAD_BYTES:
                yield from chunks
                return
            # The holder may ask a database for the file, through the session of this thread.
            yield from itertools.islice(chunks, 1)
            yield from read_ahead(chunks, leave=lambda: None)

    def _get_reading(self) -> Reading:
        if self._reading is None:
            raise RuntimeError("begin comes before read")
        return self._reading

    def read_keys(self) -> Iterator[Chunk]:
        yield from ()  # not told by the capabilities: a whole reading costs the same

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        """Looks through all files, since nothing but a reading finds a row."""
        wanted = KeySet(self._get_reading(), keys)
        for chunk in self.read():
            if (found := wanted.pick(chunk)) is not None:
                yield found

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        return []  # each reading is whole, so doubles meet in the staging

    @property
    def drifted(self) -> bool:
        return False

    def close(self) -> None:
        """Nothing stays open between calls."""
