"""Finds the types of a CSV's columns by all of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from farends.rows.contract import Column
from farends.rows.inference import ValueType, classify_text, make_column, widen
from farends.tabular.row_shape import Dialect, LearningShape
from farends.tabular.scanning import ProvedRanges, RowOfCells, RowScanner, WholeLines

_ROWS_BEFORE_SHAPE = 200  # taken apart, so that a shape is seldom made in vain
# Looks like a day, and may be none: 2026-13-01. Few of them are mistakes, and make no text of a column of days.
_LIKE_DAY = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:[T ][0-9]{2}:[0-9]{2}[0-9:.]*(?:Z|[+-][0-9:]+)?)?", re.ASCII
)
_DAYS = frozenset({ValueType.DATE, ValueType.TIMESTAMP, ValueType.TIMESTAMPTZ})
_MISTAKES_SHARE = 100  # at most one row in so many


class ColumnLearner:
    """Widens the type of each column until it holds every value. `types` are those that a person has chosen."""

    def __init__(self, types: Mapping[str, str]) -> None:
        self._types = dict(types)
        self._kinds: dict[str, ValueType] = {}
        self._no_days: dict[str, int] = {}
        self._row_count = 0

    @property
    def columns(self) -> tuple[Column, ...]:
        return tuple(self._make_column(name, kind) for name, kind in self._kinds.items())

    @property
    def row_count(self) -> int:
        return self._row_count

    def take_types(self, told: Mapping[str, str]) -> None:
        """The file says them itself; what a person has chosen stays."""
        self._types = {**told, **self._types}

    def add_columns(self, names: Iterable[str]) -> None:
        for name in names:
            self._kinds.setdefault(name, ValueType.NULL)

    def learn(
        self,
        scanner: RowScanner,
        names: tuple[str, ...],
        dialect: Dialect,
        *,
        most_bytes: int | None = None,
    ) -> ProvedRanges:
        """Reads to the end, or so many bytes. Returns which parts of the file COPY takes as they are, whatever is learned
        further: a type that is wider then takes them too."""
        proved, shape = ProvedRanges(), None
        start, apart, is_stale = scanner.offset, 0, True
        begin = start
        for scanned in scanner:
            if isinstance(scanned, WholeLines):
                self._row_count += scanned.count
                if shape is not None and shape.was_for_copy:
                    proved.add(begin, scanner.offset)
            else:
                self._row_count += 1
            if isinstance(scanned, RowOfCells):
                apart += 1
                is_stale |= self._learn_row(scanned, names, dialect)
            # A shape that is too narrow refuses good rows, and accepts no bad one: it may serve a while.
            if is_stale and apart >= _ROWS_BEFORE_SHAPE:
                kinds = [self.shape_of(name) for name in names]
                scanner.shape = shape = LearningShape(dialect, kinds)
                apart, is_stale = 0, False
            begin = scanner.offset
            if most_bytes is not None and begin - start >= most_bytes:
                break
        return proved

    def shape_of(self, name: str) -> ValueType | None:
        """As what its cells are looked at; None: as any text, because the type was chosen."""
        return None if name in self._types else self._kinds[name]

    def _learn_row(self, row: RowOfCells, names: tuple[str, ...], dialect: Dialect) -> bool:
        """Whether a type is wider now."""
        wider = False
        for name, (text, quoted) in zip(names, row.cells, strict=True):
            known = self._kinds[name]
            if (
                known is ValueType.TEXT
                or name in self._types
                or is_null(text, quoted=quoted, kind=None, dialect=dialect)
            ):
                continue
            found = classify_text(text)
            if found is ValueType.TEXT and self._is_mistake(name, text):
                continue
            if (made := widen(known, found)) is not known:
                self._kinds[name] = made
                wider = True
        return wider

    def _is_mistake(self, name: str, text: str) -> bool:
        """A day that no calendar has."""
        if self._kinds[name] not in (*_DAYS, ValueType.NULL) or not _LIKE_DAY.fullmatch(text):
            return False
        self._no_days[name] = self._no_days.get(name, 0) + 1
        return True

    def _make_column(self, name: str, kind: ValueType) -> Column:
        if name in self._types:
            return Column(name, self._types[name], self._types[name])
        if self._no_days.get(name, 0) * _MISTAKES_SHARE > self._row_count:
            kind = ValueType.TEXT
        return make_column(name, kind)


def is_null(text: str, *, quoted: bool, kind: ValueType | None, dialect: Dialect) -> bool:
    """Whether a cell is NULL. What is quoted is a text; where the column has another type, it is NULL all the same."""
    return text in dialect.nulls and (not quoted or kind is not ValueType.TEXT)
