"""CSV as a table: what is well-formed goes to COPY as it stands in the file, and only the rest is taken apart."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO

from farends.rows.contract import Chunk, Column, Encoding
from farends.rows.inference import ValueType, classify_text, type_of, widen
from farends.tabular.cells import make_cell_reader, write_csv_row
from farends.tabular.chunking import ChunkBuilder
from farends.tabular.converting import open_converted
from farends.tabular.entity import FileFormat
from farends.tabular.files import HeldFile
from farends.tabular.learning import ColumnLearner, is_null
from farends.tabular.opening import CsvLayout, find_layout, open_utf8
from farends.tabular.row_shape import RowShape
from farends.tabular.scanning import (
    BrokenRow,
    ProvedRanges,
    RowOfCells,
    RowScanner,
    Scanned,
    WholeLines,
    WholeRow,
)
from farends.tabular.tables import FoundColumns, Opened, WantedRows, make_bad_row


class CsvTable:
    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        self._told: dict[str, str] = {}  # types that the files tell themselves
        self._proved: dict[str, _Proof] = {}  # by path

    def find_columns(self, files: Sequence[HeldFile], *, most_bytes: int | None) -> FoundColumns:
        learner = ColumnLearner(self._opened.entity.types)
        proved: dict[str, ProvedRanges] = {}
        for file in files:
            with self._open(file) as (content, layout):
                learner.take_types(self._told)
                learner.add_columns(layout.names)
                scanner = self._scan(content, layout)
                proved[file.path] = learner.learn(
                    scanner, layout.names, layout.dialect, most_bytes=most_bytes
                )
        if self._opened.entity.format is FileFormat.CSV:  # else it is converted once more
            self._proved = {path: _Proof(ranges, learner) for path, ranges in proved.items()}
        return FoundColumns(learner.columns, learner.row_count)

    def read(
        self, file: HeldFile, wanted: WantedRows, after: Any | None
    ) -> Generator[Chunk, None, None]:
        with self._open(file) as (content, layout):
            if not layout.names:
                return
            types = {**self._told, **self._opened.entity.types}
            writer = _RowWriter(types, file, layout, wanted)
            scanner = self._scan(content, layout, after)
            scanner.shape = writer.shape
            proof = self._proved.get(file.path)
            if proof is not None and proof.is_of(layout.names, writer.kinds):
                scanner.proved = proof.ranges.again()
            for scanned in scanner:
                writer.add(scanned)
                if writer.builder.is_full:
                    yield writer.builder.take({"offset": scanner.offset, "line": scanner.line})
            if not writer.builder.is_empty:
                yield writer.builder.take({"offset": scanner.offset, "line": scanner.line})

    def _scan(
        self, content: BinaryIO, layout: CsvLayout, after: Mapping[str, int] | None = None
    ) -> RowScanner:
        begin = after or {"offset": layout.offset, "line": layout.line}
        return RowScanner(
            content,
            layout.dialect,
            len(layout.names),
            offset=begin["offset"],
            line=begin["line"],
            check=self._opened.check,
        )

    @contextmanager
    def _open(self, file: HeldFile) -> Iterator[tuple[BinaryIO, CsvLayout]]:
        opened = self._opened
        raw = opened.holder.open(file)
        if opened.entity.format is not FileFormat.CSV:
            plain = replace(opened.entity, delimiter=",", quote='"', header=True, nulls=("",))
            with open_converted(raw, plain, file.path, opened.folder, opened.check) as (made, told):
                self._told |= told
                yield made, find_layout(made, 0, plain, file.path)
            return
        with open_utf8(raw, opened.entity, file.path, opened.folder, opened.check) as (
            content,
            start,
        ):
            yield content, find_layout(content, start, opened.entity, file.path)


@dataclass(frozen=True, slots=True)
class _Proof:
    """Parts of a file that were looked at while its types were learned."""

    ranges: ProvedRanges
    learner: ColumnLearner

    def is_of(self, names: Sequence[str], kinds: Sequence[ValueType | None]) -> bool:
        """Whether rows are read as the types that were learned; a column without any value is read as text."""
        learned = [self.learner.shape_of(name) for name in names]
        return all(one in (kind, ValueType.NULL) for one, kind in zip(learned, kinds, strict=True))


class _RowWriter:
    """Writes the rows of one file in the order of the wanted columns."""

    def __init__(
        self, types: Mapping[str, str], file: HeldFile, layout: CsvLayout, wanted: WantedRows
    ) -> None:
        self.builder = ChunkBuilder(file.path, wanted.columns, Encoding.CSV)
        self._file = file
        self._layout = layout
        self._wanted = wanted
        columns = {column.name: column for column in wanted.columns}
        self.kinds = [_kind_of(columns.get(name), is_chosen=name in types) for name in layout.names]
        self.shape = RowShape(layout.dialect, self.kinds)
        places = {name: index for index, name in enumerate(layout.names)}
        self._picks = [places.get(column.name) for column in wanted.columns]
        self._is_straight = self._picks == list(range(len(layout.names)))
        self._passes = self._is_straight and layout.dialect.is_for_copy
        self._reader = make_cell_reader(layout.dialect)

    def add(self, scanned: Scanned) -> None:
        if isinstance(scanned, WholeLines):
            self._add_lines(scanned)
        elif isinstance(scanned, WholeRow):
            if self._passes:
                self.builder.add_row(scanned.data, scanned.line)
            else:
                self._add_apart(scanned.data, scanned.line)
        elif isinstance(scanned, RowOfCells):
            self._add_cells(scanned.data, scanned.line, scanned.cells)
        else:
            self._add_broken(scanned)

    def _add_lines(self, lines: WholeLines) -> None:
        if not self._passes and not self._is_plain(lines.data):
            for line, row in enumerate(lines.data.splitlines(keepends=True), lines.line):
                self._add_apart(row, line)
            return
        self.builder.add_lines(self._pick(lines.data), lines.line, lines.count)

    def _is_plain(self, data: bytes) -> bool:
        """Whether the cells are what stands between the delimiters, and need no quotes for COPY either."""
        dialect = self._layout.dialect
        quoted = any(sign and sign.encode() in data for sign in ('"', dialect.quote))
        return not quoted and (dialect.delimiter == "," or b"," not in data)

    def _pick(self, data: bytes) -> bytes:
        if self._passes:
            return data
        delimiter = self._layout.dialect.delimiter.encode()
        if self._is_straight:
            return data.replace(delimiter, b",")
        picked = []
        for row in data.splitlines():
            cells = row.split(delimiter)
            picked.append(
                b",".join([b"" if pick is None else cells[pick] for pick in self._picks]) + b"\n"
            )
        return b"".join(picked)

    def _add_apart(self, row: bytes, line: int) -> None:
        found = self._reader.read_all(row)
        cells = tuple((cell.raw.decode(), cell.quoted) for cell in found.cells)
        self._add_cells(row, line, cells)

    def _add_cells(self, data: bytes, line: int, cells: tuple[tuple[str, bool], ...]) -> None:
        values: list[str | None] = []
        for index, (text, quoted) in enumerate(cells):
            kind = self.kinds[index]
            if is_null(text, quoted=quoted, kind=kind, dialect=self._layout.dialect):
                values.append(None)
            elif _fits(text, kind):
                values.append(text)
            else:
                self._add_misfit(data, line, cells, index)
                return
        picked = [None if pick is None else values[pick] for pick in self._picks]
        self.builder.add_row(write_csv_row(picked), line)

    def _add_misfit(
        self, data: bytes, line: int, cells: tuple[tuple[str, bool], ...], index: int
    ) -> None:
        name = self._layout.names[index]
        column = next(one for one in self._wanted.columns if one.name == name)
        self._add_bad(data, line, "value", f"It is no {column.type}.", index, cells)

    def _add_broken(self, row: BrokenRow) -> None:
        self._add_bad(row.data, row.line, row.code, row.message, row.column, row.cells)

    def _add_bad(
        self,
        data: bytes,
        line: int,
        code: str,
        message: str,
        index: int | None,
        cells: Sequence[tuple[str, bool] | None],
    ) -> None:
        values = {
            name: None
            if is_null(cell[0], quoted=cell[1], kind=kind, dialect=self._layout.dialect)
            else cell[0]
            for name, cell, kind in zip(self._layout.names, cells, self.kinds, strict=False)
            if cell is not None
        }
        names = self._layout.names
        column = None if index is None or index >= len(names) else names[index]
        self.builder.add_bad(
            make_bad_row(
                self._file, self._wanted, line, data, code, message, column=column, values=values
            )
        )


def _kind_of(column: Column | None, *, is_chosen: bool) -> ValueType | None:
    """As what the cells of a column are looked at; None: as a text that another type is made of by COPY."""
    if column is None or column.type == "text" or column.type.startswith("character varying"):
        return ValueType.TEXT
    kind = type_of(column)
    return None if is_chosen or kind is ValueType.JSONB else kind


def _fits(text: str, kind: ValueType | None) -> bool:
    if kind is None or kind is ValueType.TEXT:
        return True
    return widen(kind, classify_text(text)) is kind
