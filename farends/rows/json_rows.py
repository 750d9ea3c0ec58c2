"""Objects of JSON as rows of COPY. Whole columns at a time: most cells are never looked at one by one.

A value's bytes go into the row as they are written, whatever the column's type: digits are never read, and COPY
knows the escapes of JSON's strings, but for those by number. What types there are is learned on the way, and
only ever widens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from farends.errors import ProtocolViolation
from farends.rows.contract import BadRow, Column
from farends.rows.copy_text import NULL, escape
from farends.rows.inference import (
    ValueType,
    classify_number,
    classify_string,
    is_day,
    keeps_text,
    make_column,
    type_of,
    widen,
)
from farends.rows.json_text import Cells, JsonText, Objects, read_string, restore_object, show_cell

COLUMNS_MAX = 1_500  # PostgreSQL has room for 1,600
_EMPTY = b"null"
_APART = b"\0"  # stands in no JSON text
_STRING = rb'"[^"\\\0]*+(?:\\.[^"\\\0]*+)*+"'
_BY_NUMBER = b"\\u"
_DAY = rb'"[0-9]{4}-[0-9]{2}-[0-9]{2}'
_CLOCK = rb"[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6}0*+)?+)?+"


def _all_of(one: bytes) -> re.Pattern[bytes]:
    """A whole column of such values, NULL among them."""
    return re.compile(rb"(?:(?:%b|null)\0)*+(?:%b|null)" % (one, one))


# Columns that hold what they held before, as nearly all do, are told by one expression.
_USUAL: Mapping[ValueType | None, re.Pattern[bytes]] = {
    ValueType.BOOLEAN: _all_of(rb"(?:true|false)"),
    ValueType.BIGINT: _all_of(rb"-?(?:0|[1-9][0-9]{0,17}+)"),
    ValueType.NUMERIC: _all_of(rb"-?(?:0|[1-9][0-9]{0,99}+)(?:\.[0-9]{1,99}+)?+"),
    ValueType.TEXT: _all_of(_STRING),
    ValueType.DATE: _all_of(_DAY + rb'"'),
    ValueType.TIMESTAMP: _all_of(_DAY + _CLOCK + rb'"'),
    ValueType.TIMESTAMPTZ: _all_of(_DAY + _CLOCK + rb'(?:Z|[+-](?:0[0-9]|1[0-4]):?[0-5][0-9])"'),
}
_TIMES = frozenset({ValueType.DATE, ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ})
_STRINGS = _TIMES | {ValueType.TEXT}
_NESTED = frozenset({b"{", b"[", b"n"})


@dataclass(frozen=True, slots=True)
class Encoded:
    """`places` tells of each row which of the objects it was; those that are bad tell their own. `keys` are hashes
    of the rows' keys, of whole rows where there is no key."""

    rows: Sequence[bytes]
    places: Sequence[int]
    bad: tuple[tuple[int, BadRow], ...] = ()
    keys: Sequence[int] = ()


class JsonRows:
    """Knows the columns so far. `rewritten`: a column became wider in a way that rows which were written before
    would have to be written again for."""

    def __init__(
        self,
        columns: Iterable[Column] = (),
        *,
        key: Collection[str] = (),
        takes: Callable[[str], bool] = lambda _name: True,
    ) -> None:
        self.rewritten = False
        self._given = {column.name: column for column in columns}
        # None: a type that a person chose; the database judges it.
        self._kinds = {name: type_of(column) for name, column in self._given.items()}
        self._key = key
        self._takes = takes
        self._left: set[str] = set()

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(
            self._given[name] if kind is None else make_column(name, kind)
            for name, kind in self._kinds.items()
        )

    def encode(self, objects: Objects, text: JsonText) -> Encoded:
        """Raises ProtocolViolation where there are more columns than any table has."""
        rows, bad = objects.rows, [(place, _stray(raw)) for place, raw in objects.strays]
        self._meet(rows)
        astray = {place for place, _ in bad}
        places: Sequence[int] = range(len(rows))
        if astray:
            places = [at for at in range(len(rows) + len(astray)) if at not in astray]
        if text.doubtful or self._lacks_key(rows):
            kept: list[int] = []
            for at, cells in enumerate(rows):
                if (wrong := self._find_wrong(cells, text)) is None:
                    kept.append(at)
                else:
                    bad.append((places[at], wrong))
            rows, places = [rows[at] for at in kept], [places[at] for at in kept]
        if not rows or not self._kinds:
            return Encoded([], [], tuple(sorted(bad, key=_place)))
        columns = {name: self._write_column(name, rows) for name in self._kinds}
        written = [b"\t".join(cells) + b"\n" for cells in zip(*columns.values(), strict=True)]
        named = [columns[name] for name in self._key if name in columns]
        keys = (
            [hash(cells) for cells in zip(*named, strict=True)] if named else [*map(hash, written)]
        )
        return Encoded(written, places, tuple(sorted(bad, key=_place)), keys)

    def _meet(self, rows: Sequence[Cells]) -> None:
        """New names are columns from here on; rows before have none of them."""
        new = set().union(*rows) - self._kinds.keys() - self._left
        if not new:
            return
        for name in dict.fromkeys(name for cells in rows for name in cells if name in new):
            if self._takes(name):
                self._kinds[name] = ValueType.NULL
            else:
                self._left.add(name)
        if len(self._kinds) + len(self._left) > COLUMNS_MAX:
            raise ProtocolViolation(
                f"the objects have over {COLUMNS_MAX} different names: they are no rows of one table"
            )

    def _lacks_key(self, rows: Sequence[Cells]) -> bool:
        return any(
            name not in cells or bytes(cells[name]) == _EMPTY
            for cells in rows
            for name in self._key
        )

    def _find_wrong(self, cells: Cells, text: JsonText) -> BadRow | None:
        for name in self._kinds:
            cell = bytes(cells.get(name, _EMPTY))
            if cell == _EMPTY:
                if name in self._key:
                    return self._make_bad(cells, text, "value", name, "is of the key, and NULL")
            elif text.doubtful and (fault := text.find_fault(cell)) is not None:
                return self._make_bad(cells, text, "encoding", name, fault)
        return None

    def _make_bad(self, cells: Cells, text: JsonText, code: str, column: str, fault: str) -> BadRow:
        shown = {name: show_cell(cells.get(name)) for name in self._kinds}
        key = {name: shown.get(name) for name in self._key} if self._key else None
        raw = text.as_it_came(restore_object(cells))
        return BadRow(code, f"column {column} {fault}", column, key, raw=raw, values=shown)

    def _write_column(self, name: str, rows: Sequence[Cells]) -> list[bytes]:
        kind = self._kinds[name]
        joined = _APART.join([cells.get(name, _EMPTY) for cells in rows])
        if kind is ValueType.JSONB:
            written = joined.split(_APART)
            if {cell[:1] for cell in written} <= _NESTED:
                return _empty_to_null(escape(joined).split(_APART))
        elif (usual := _USUAL.get(kind)) is not None and usual.fullmatch(joined):
            if kind not in _STRINGS:
                return joined.replace(_EMPTY, NULL).split(_APART)
            if (kind is ValueType.TEXT and _BY_NUMBER not in joined) or (
                kind in _TIMES and _are_days(joined.split(_APART))
            ):
                return [NULL if cell == _EMPTY else cell[1:-1] for cell in joined.split(_APART)]
        return self._write_cells(name, joined.split(_APART))

    def _write_cells(self, name: str, cells: Sequence[bytes]) -> list[bytes]:
        """One by one: the column may have become wider."""
        known = kind = self._kinds[name]
        written = []
        for cell in cells:
            text, own = _read_cell(cell, looks=kind is not ValueType.TEXT and kind is not None)
            written.append(text)
            if kind is not None:
                kind = widen(kind, own)
        if kind is not known and known is not None and kind is not None:
            self._kinds[name] = kind
            self.rewritten = self.rewritten or not keeps_text(known, kind)
        return written


def _place(bad: tuple[int, BadRow]) -> int:
    return bad[0]


def _stray(raw: bytes) -> BadRow:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return BadRow("encoding", "a name or a value holds bytes that are no UTF-8", raw=raw)
    return BadRow("value", "this is no object, so it is no row", raw=raw)


def _empty_to_null(cells: list[bytes]) -> list[bytes]:
    return [NULL if cell == _EMPTY else cell for cell in cells]


def _are_days(cells: Iterable[bytes]) -> bool:
    """Of times that have the right form."""
    return all(is_day(day.decode("ascii")) for day in {cell[1:11] for cell in cells} - {b"ull"})


def _read_cell(cell: bytes, *, looks: bool) -> tuple[bytes, ValueType]:
    """The cell as COPY takes it, and which type it needs; TEXT where nobody looks."""
    match cell[:1]:
        case b'"':
            kind = classify_string(read_string(cell)) if looks else ValueType.TEXT
            if _BY_NUMBER in cell:
                return escape(read_string(cell).encode()), kind
            return cell[1:-1], kind
        case b"n":
            return NULL, ValueType.NULL
        case b"t" | b"f":
            return cell, ValueType.BOOLEAN
        case b"{" | b"[":
            return escape(cell), ValueType.JSONB
        case _:
            return cell, classify_number(cell.decode("ascii")) if looks else ValueType.TEXT
