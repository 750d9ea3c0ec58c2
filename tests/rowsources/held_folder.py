"""A folder of this machine as the holder of files."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from django.db import connection

from farends.rows.contract import BadRow, Chunk, Entity, Reading
from farends.tabular.files import HeldFile
from farends.tabular.source import TabularSource


class HeldFolder:
    """Counts the bytes that were read."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def find(self, pattern: str) -> Iterator[HeldFile]:
        for path in sorted(self.root.glob("**/*" if pattern == "**" else pattern)):
            if path.is_file():
                content = path.read_bytes()
                name = path.relative_to(self.root).as_posix()
                yield HeldFile(name, len(content), hashlib.sha256(content).digest())

    def open(self, file: HeldFile) -> BinaryIO:
        return (self.root / file.path).open("rb")


def read_all(root: Path, spec: Mapping[str, Any], after: Any = None) -> tuple[Entity, list[Chunk]]:
    source = TabularSource(HeldFolder(root))
    entity = source.describe(spec)
    source.begin(Reading(spec, entity.columns, entity.key))
    return entity, list(source.read(after))


def load(entity: Entity, chunks: list[Chunk]) -> list[tuple[str | None, ...]]:
    """What PostgreSQL makes of the rows, as text; the table lives as long as the test's transaction."""
    names = ", ".join(f'"{number}" {one.type}' for number, one in enumerate(entity.columns))
    with connection.cursor() as cursor:
        cursor.execute("DROP TABLE IF EXISTS loaded")
        cursor.execute(f"CREATE TEMP TABLE loaded ({names})")
        for chunk in chunks:
            assert chunk.columns == entity.columns
            with cursor.copy(f"COPY loaded FROM STDIN (FORMAT {chunk.encoding})") as copy:
                copy.write(b"".join(chunk.rows))
        texts = ", ".join(f'"{number}"::text' for number in range(len(entity.columns)))
        cursor.execute(f"SELECT {texts} FROM loaded")  # noqa: S608 — made of numbers
        return list(cursor.fetchall())


def bad_rows(chunks: list[Chunk]) -> list[BadRow]:
    return [bad for chunk in chunks for bad in chunk.bad]


def places(chunks: list[Chunk]) -> list[tuple[str, int]]:
    return [place for chunk in chunks for place in chunk.places]
