"""Reads an entity to its end, and takes rows of COPY apart again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from farends.contract import Context
from farends.rest.source import RestSource
from farends.rows.contract import BadRow, Begun, Chunk, Column, CursorOrder, Mark, Reading
from farends.spec import Target
from tests.hosts.sinks import loopback_context

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_LETTERS = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def decode_copied(row: bytes) -> list[str | None]:
    cells = row.removesuffix(b"\n").decode().split("\t")
    return [
        None if cell == "\\N" else _ESCAPE.sub(lambda e: _LETTERS.get(e[1], e[1]), cell)
        for cell in cells
    ]


@dataclass
class Got:
    """What a reading brought. `objects` are the rows by the names of the last columns."""

    begun: Begun
    columns: tuple[Column, ...] = ()
    objects: list[dict[str, str | None]] = field(default_factory=list)
    bad: list[BadRow] = field(default_factory=list)
    chunks: list[Chunk] = field(default_factory=list)
    without_cursor: int = 0
    mark: Mark | None = None

    @property
    def types(self) -> dict[str, str]:
        return {column.name: column.type for column in self.columns}

    def take(self, chunks: Iterable[Chunk]) -> None:
        for chunk in chunks:
            self.chunks.append(chunk)
            self.columns = chunk.columns
            self.bad += chunk.bad
            self.without_cursor += chunk.without_cursor
            self.mark = chunk.mark or self.mark
            for row in chunk.rows:
                cells = decode_copied(row)
                names = [column.name for column in chunk.columns]
                self.objects.append(dict(zip(names, cells, strict=True)))


@contextmanager
def opened(target: Target, context: Context | None = None) -> Iterator[RestSource]:
    source = RestSource(target, context or loopback_context())
    try:
        yield source
    finally:
        source.close()


def read_entity(
    source: RestSource,
    spec: Mapping[str, Any],
    *,
    key: Sequence[str] | None = None,
    cursor: CursorOrder | None = None,
    since: Mark | None = None,
    after: Any | None = None,
) -> Got:
    entity = source.describe(spec)
    wanted = entity.key if key is None else tuple(key)
    got = Got(source.begin(Reading(spec, entity.columns, wanted, cursor, since)))
    got.take(source.read(after))
    return got
