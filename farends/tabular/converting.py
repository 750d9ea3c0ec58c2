"""Makes a CSV of a file that is none, in a process of its own whose memory is limited."""

from __future__ import annotations

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from children.confinement import Confinement
from children.starting import end_child, start_module
from farends.errors import ProtocolViolation, TooLarge
from farends.tabular.entity import FileFormat, TabularEntity

_BLOCK_BYTES = 1 << 20
_LOOKS_EVERY_S = 0.05
_SPOOL_BYTES_MAX = 64 << 30
_OUT_OF_MEMORY = 3


@contextmanager
def open_converted(
    file: BinaryIO, entity: TabularEntity, path: str, folder: Path | None, check: Callable[[], None]
) -> Iterator[tuple[BinaryIO, dict[str, str]]]:
    """The rows as CSV with a header, and the types of columns that the file tells itself. Raises TooLarge, ProtocolViolation. `file` is closed."""
    with (
        tempfile.NamedTemporaryFile(dir=folder, suffix=f".{entity.format}") as given,
        tempfile.NamedTemporaryFile(dir=folder, suffix=".csv") as made,
        tempfile.TemporaryFile(dir=folder) as told,
    ):
        with file:
            while block := file.read(_BLOCK_BYTES):
                check()
                given.write(block)
        given.flush()
        child = start_module(
            "farends.tabular.convert",
            [entity.format.value, given.name, entity.sheet or ""],
            stdout=made.file,
            stderr=told,
            reach=_find_reach(entity.format, Path(given.name), Path(made.name)),
        )
        try:
            while child.poll() is None:
                check()
                if made.seek(0, 2) > _SPOOL_BYTES_MAX:
                    raise TooLarge(f"{path} unpacks to more than {_SPOOL_BYTES_MAX:,} bytes.")
                time.sleep(_LOOKS_EVERY_S)
        finally:
            end_child(child)
        told.seek(0)
        if child.returncode != 0:
            said = told.read(600).decode(errors="replace").strip()
            if child.returncode == _OUT_OF_MEMORY or child.returncode < 0:
                raise TooLarge(f"{path} needs more memory than is allowed.")
            said = re.sub(re.escape(given.name), path, said)
            raise ProtocolViolation(f"{path} cannot be read as {entity.format}. {said}")
        yield cast("BinaryIO", made.file), json.loads(told.read() or b"{}")


def _find_reach(kind: FileFormat, given: Path, made: Path) -> Confinement | None:
    """DuckDB asks the kernel in `/proc` how much memory there is, and fails if it gets no answer."""
    if kind is FileFormat.PARQUET:
        return None
    return Confinement(reading=(given,), everything=(made,))
