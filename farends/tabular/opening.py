"""Opens a CSV: its encoding, its delimiter, its header, and where its rows begin."""

from __future__ import annotations

import codecs
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from farends.errors import ProtocolViolation, TooLarge
from farends.tabular.cells import CellRow, make_cell_reader
from farends.tabular.entity import TabularEntity
from farends.tabular.row_shape import Dialect

COLUMNS_MAX = 1_600  # PostgreSQL's MaxHeapAttributeNumber
_LOOKED_AT_BYTES = 64 << 10
_HEADER_BYTES = 4 << 20
_ROWS_LOOKED_AT = 100
_BLOCK_BYTES = 1 << 20
_DELIMITERS = ",;\t|"
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


@dataclass(frozen=True, slots=True)
class CsvLayout:
    """`offset` is that of the first row behind the header, `line` its number. `names` are those of the columns, each
    once; empty: the file is empty."""

    dialect: Dialect
    names: tuple[str, ...]
    offset: int
    line: int


@contextmanager
def open_utf8(
    file: BinaryIO, entity: TabularEntity, path: str, folder: Path | None, check: Callable[[], None]
) -> Iterator[tuple[BinaryIO, int]]:
    """The content in UTF-8 with `\\n` in its line ends, and where it begins behind a byte order mark. Bytes that are
    no characters stay as they are. `file` is closed."""
    with file:
        head = file.read(_LOOKED_AT_BYTES)
        mark, marked = next(
            ((mark, name) for mark, name in _MARKS if head.startswith(mark)), (b"", "utf-8")
        )
        encoding = entity.encoding or marked
        old_line_ends = b"\r" in head and b"\n" not in head and encoding in ("utf-8", "ascii")
        if encoding in ("utf-8", "utf-8-sig", "ascii") and not old_line_ends:
            yield file, len(mark) if marked == "utf-8" else 0
            return
        file.seek(0)
        with tempfile.TemporaryFile(dir=folder) as made:
            if old_line_ends:
                _replace_line_ends(file, made, check)
            else:
                _decode_all(file, made, encoding, path, check)
            yield made, len(mark) if marked == "utf-8" else 0


def _replace_line_ends(file: BinaryIO, made: BinaryIO, check: Callable[[], None]) -> None:
    while block := file.read(_BLOCK_BYTES):
        check()
        made.write(block.replace(b"\r", b"\n"))


def _decode_all(
    file: BinaryIO, made: BinaryIO, encoding: str, path: str, check: Callable[[], None]
) -> None:
    is_wide = encoding.startswith(("utf-16", "utf-32"))
    decoder = codecs.getincrementaldecoder(encoding)("strict" if is_wide else "surrogateescape")
    while True:
        check()
        block = file.read(_BLOCK_BYTES)
        try:
            text = decoder.decode(block, final=not block)
        except UnicodeError as exc:
            raise ProtocolViolation(
                f"{path} is not {encoding}: {exc.reason if isinstance(exc, UnicodeDecodeError) else exc}"
            ) from exc
        made.write(text.encode("utf-8", "surrogateescape"))
        if not block:
            return


def find_layout(file: BinaryIO, start: int, entity: TabularEntity, path: str) -> CsvLayout:
    """Raises TooLarge, ProtocolViolation."""
    file.seek(start)
    head = file.read(_LOOKED_AT_BYTES)
    is_last = len(head) < _LOOKED_AT_BYTES
    delimiter = entity.delimiter or _find_delimiter(head, entity.quote, is_last=is_last)
    dialect = Dialect(delimiter, entity.quote, entity.nulls)
    if not head:
        return CsvLayout(dialect, (), start, 1)
    reader = make_cell_reader(dialect)
    first = reader.read(head, 0, is_last=is_last)
    if not isinstance(first, CellRow):
        head += file.read(_HEADER_BYTES - len(head))
        first = reader.read(head, 0, is_last=len(head) < _HEADER_BYTES)
    if not isinstance(first, CellRow):
        raise TooLarge(f"The first row of {path} is larger than {_HEADER_BYTES:,} bytes.")
    if len(first.cells) > COLUMNS_MAX:
        raise TooLarge(
            f"{path} has {len(first.cells):,} columns; a table has at most {COLUMNS_MAX:,}."
            " If that is wrong, give `delimiter`."
        )
    if not entity.header:
        names = tuple(f"column_{number}" for number in range(1, len(first.cells) + 1))
        return CsvLayout(dialect, names, start, 1)
    if first.problem:
        raise ProtocolViolation(f"The header of {path} cannot be read. {first.problem}")
    names = _name_columns([_read_name(cell.raw, path) for cell in first.cells])
    return CsvLayout(dialect, names, start + first.end, 1 + head[: first.end].count(b"\n"))


def _read_name(raw: bytes, path: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ProtocolViolation(
            f"The header of {path} is not UTF-8. Give `encoding`, such as windows-1252."
        ) from None


def _name_columns(told: list[str]) -> tuple[str, ...]:
    """Each name once: a column without a name is called by its number, and one whose name is taken gets one."""
    names: list[str] = []
    used: set[str] = set()
    for number, name in enumerate(told, 1):
        made = wanted = name or f"column_{number}"
        again = 2
        while made in used:
            made = f"{wanted}_{again}"
            again += 1
        used.add(made)
        names.append(made)
    return tuple(names)


def _find_delimiter(head: bytes, quote: str, *, is_last: bool) -> str:
    """The sign that gives most rows the same number of cells; a comma where none does."""
    scores = {sign: _score(head, Dialect(sign, quote), is_last=is_last) for sign in _DELIMITERS}
    best = max(scores, key=lambda sign: scores[sign])
    return best if scores[best][1] > 1 else ","


def _score(head: bytes, dialect: Dialect, *, is_last: bool) -> tuple[float, int]:
    """The share of rows that have as many cells as the first, and that number."""
    reader, at = make_cell_reader(dialect), 0
    counts: list[int] = []
    while at < len(head) and len(counts) < _ROWS_LOOKED_AT:
        row = reader.read(head, at, is_last=is_last)
        if not isinstance(row, CellRow):
            break
        counts.append(len(row.cells))
        at = row.end
    if not counts or counts[0] < 2:
        return 0.0, 1
    return counts.count(counts[0]) / len(counts), counts[0]
