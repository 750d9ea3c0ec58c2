"""What each format does: it finds the columns of some files, and gives the rows of one."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from farends.rows.contract import BadRow, Chunk, Column
from farends.tabular.entity import TabularEntity
from farends.tabular.files import FileHolder, HeldFile


@dataclass(frozen=True, slots=True)
class Opened:
    """What a format reads with. `folder` takes temporary files; None: the system's."""

    holder: FileHolder
    entity: TabularEntity
    check: Callable[[], None]
    folder: Path | None = None


@dataclass(frozen=True, slots=True)
class WantedRows:
    """`columns` in the order of a row; `key` are some of them."""

    columns: tuple[Column, ...]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FoundColumns:
    columns: tuple[Column, ...]
    row_count: int


class TableFormat(Protocol):
    def find_columns(self, files: Sequence[HeldFile], *, most_bytes: int | None) -> FoundColumns:
        """All columns of the files, each wide enough for every value; by the first bytes of each file where
        `most_bytes` is given."""
        ...

    def read(
        self, file: HeldFile, wanted: WantedRows, after: Any | None
    ) -> Generator[Chunk, None, None]:
        """The rows of one file behind `after`, which is the `resume` of a chunk of it."""
        ...


def make_bad_row(
    file: HeldFile,
    wanted: WantedRows,
    line: int,
    raw: bytes,
    code: str,
    message: str,
    *,
    column: str | None = None,
    values: Mapping[str, str | None],
) -> BadRow:
    """`values` are the cells that could be read."""
    known = wanted.key and all(values.get(name) is not None for name in wanted.key)
    return BadRow(
        code=code,
        message=message,
        column=column,
        key={name: values[name] for name in wanted.key} if known else None,
        path=file.path,
        line=line,
        raw=raw,
        values={one.name: values[one.name] for one in wanted.columns if one.name in values},
    )
