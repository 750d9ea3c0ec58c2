"""Recognises rows of CSV whose every cell is of the type of its column, without a Python value for a cell.

A piece of a file that a `RowShape` accepts can go to COPY as it is: each line of it is one row with the right number
of cells, without line ends in quotes, NUL or bytes that are not UTF-8. What it refuses may still be good: it is then
looked at cell by cell. So a pattern may refuse odd values of its type (a year before 100), but accepts none that
`farends.rows.inference` would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import re2

from farends.rows.inference import ValueType

_MEMORY_BYTES = 16 << 20  # of one compiled shape, what it learns while it matches included
_MOST_COLUMNS = 300  # RE2 writes repetitions out: of more columns its program would be too large

_YEAR = "(?:[1-9][0-9]{3}|0[1-9][0-9]{2})"
_LEAP_YEAR = "(?:[1-9][0-9](?:0[48]|[2468][048]|[13579][26])|(?:[2468][048]|[13579][26])00)"
_DATE = (
    f"(?:{_YEAR}-(?:(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    f"|(?:0[13-9]|1[0-2])-(?:29|30)|(?:0[13578]|1[02])-31)|{_LEAP_YEAR}-02-29)"
)
_TIME = r"(?:[T ](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?@)?@"
_INTEGER = "(?:0|[1-8][0-9]{0,18}@|9[0-9]{0,17}@)"
_VALUES = {  # `@` stands where the standard library takes a possessive repetition
    ValueType.BOOLEAN: "(?:true|false|True|False|TRUE|FALSE)",
    ValueType.BIGINT: f"-?@{_INTEGER}",
    ValueType.NUMERIC: r"-?@(?:0|[1-9][0-9]{0,40}@)(?:\.[0-9]{1,40}@)?@(?:[eE][+-]?[0-9]{1,3})?@",
    ValueType.DOUBLE: r"-?@[0-9](?:\.[0-9]{1,15}@)?@[eE][+-]?[0-9]{1,2}",
    ValueType.DATE: _DATE,
    ValueType.TIMESTAMP: f"{_DATE}{_TIME})?@",
    ValueType.TIMESTAMPTZ: f"{_DATE}{_TIME}(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?@)?@)?@",
}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the cells of a CSV are written. `quote`: empty: there is none. `nulls` mean NULL where they are not quoted."""

    delimiter: str = ","
    quote: str = '"'
    nulls: tuple[str, ...] = ("",)

    @property
    def is_for_copy(self) -> bool:
        """Whether COPY reads its rows as they are."""
        return self.delimiter == "," and self.quote in ('"', "")


class RowShape:
    """Rows of a dialect with these types; None: a person has chosen the type, and any text may be one of it.

    `takes_empty_texts`: two quotes may stand in each column, for who learns types. COPY takes them for texts alone."""

    def __init__(
        self,
        dialect: Dialect,
        kinds: Sequence[ValueType | None],
        *,
        takes_empty_texts: bool = False,
    ) -> None:
        self._tokens = tuple(one.encode() for one in dialect.nulls if one)
        line, lines = (
            _hex(dialect.delimiter).join(
                _write_cell(dialect, kind, over_lines=over, takes_empty_texts=takes_empty_texts)
                for kind in kinds
            )
            for over in (False, True)
        )
        self._row = re.compile(_for_re(lines + r"\r?\n").encode())
        self._accepts = _compile_re2(line) if len(kinds) <= _MOST_COLUMNS else _compile_re(line)

    def holds(self, piece: bytes) -> bool:
        """Whether each line of a piece, which ends with a line end, is such a row."""
        if any(token in piece for token in self._tokens) or not _is_utf8(piece):
            return False
        return self._accepts(piece)

    def find_end(self, data: bytes, start: int) -> int | None:
        """Where the row ends that begins at `start`, its line end included; it may have line ends in quotes. None
        where it is no such row, or not all of it is there."""
        found = self._row.match(data, start)
        if found is None:
            return None
        row = found[0]
        if any(token in row for token in self._tokens) or not _is_utf8(row):
            return None
        return found.end()


class LearningShape:
    """What who learns types accepts: rows that COPY takes as they are (`was_for_copy`), and those with two quotes in any
    column."""

    def __init__(self, dialect: Dialect, kinds: Sequence[ValueType | None]) -> None:
        self.was_for_copy = False
        self._strict = RowShape(dialect, kinds)
        self._make_lenient = partial(RowShape, dialect, kinds, takes_empty_texts=True)
        self._lenient: RowShape | None = None

    def holds(self, piece: bytes) -> bool:
        self.was_for_copy = self._strict.holds(piece)
        return self.was_for_copy or self._widen().holds(piece)

    def find_end(self, data: bytes, start: int) -> int | None:
        return self._widen().find_end(data, start)

    def _widen(self) -> RowShape:
        self._lenient = self._lenient or self._make_lenient()
        return self._lenient


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _compile_re2(line: str) -> Callable[[bytes], bool]:
    """(`fullmatch` of the package takes twice as long as what it calls.)"""
    options = re2.Options()
    options.encoding = re2.Options.Encoding.LATIN1  # bytes
    options.never_capture = True
    options.log_errors = False
    options.max_mem = _MEMORY_BYTES
    try:
        compiled = re2.compile(f"(?:{line}\n)*".replace("@", "").encode("latin-1"), options)
    except re2.error:  # the rows are too wide for it
        return _compile_re(line)
    match, both = compiled._regexp.Match, re2._Anchor.ANCHOR_BOTH

    def accepts(piece: bytes) -> bool:
        return bool(match(both, piece, 0, len(piece))[0][0] == 0)

    return accepts


def _compile_re(line: str) -> Callable[[bytes], bool]:
    compiled = re.compile(_for_re(f"(?:{line}\\n)*@").encode())
    return lambda piece: compiled.fullmatch(piece) is not None


def _for_re(pattern: str) -> str:
    return pattern.replace("@", "+")


def _write_cell(
    dialect: Dialect, kind: ValueType | None, *, over_lines: bool, takes_empty_texts: bool
) -> str:
    delimiter, quote = _hex(dialect.delimiter), _hex(dialect.quote or '"')
    ends = "" if over_lines else r"\r\n"
    within = f"[^{quote}{ends}\\x00]"
    ways = []
    if kind is None or kind is ValueType.TEXT:
        plain = f"{delimiter}{quote}\\r\\n\\x00"
        least = "*@" if kind is ValueType.TEXT else "+@"
        # COPY of older servers ends at a line with nothing but a backslash and a point.
        ways = [
            f"[^{plain}\\\\][^{plain}]*@",
            f"{quote}{within}{least}(?:{quote}{quote}{within}*@)*@{quote}",
        ]
    elif kind is not ValueType.NULL:
        ways = [_VALUES[kind], f"{quote}{_VALUES[kind]}{quote}"]
    if not dialect.quote:
        ways = ways[:1]
    elif takes_empty_texts:
        ways.append(quote * 2)
    if not ways:
        return ""
    return f"(?:{'|'.join(ways)})" + ("?@" if "" in dialect.nulls else "")


def _hex(sign: str) -> str:
    return f"\\x{ord(sign):02x}"
