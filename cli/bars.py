"""Shows progress on a terminal, and nothing where nobody watches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TransferSpeedColumn,
)


def on_terminal() -> bool:
    return sys.stderr.isatty()


@contextmanager
def busy(words: str) -> Iterator[None]:
    """Shows work of unknown size."""
    if not on_terminal():
        yield
        return
    with Console(stderr=True).status(words):
        yield


@contextmanager
def count_bar(words: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many were done since its last call."""
    if not on_terminal():
        yield lambda done: None
        return
    with _open(MofNCompleteColumn(), transient=True) as progress:
        task = progress.add_task(words, total=total)
        yield lambda done: progress.update(task, advance=done)


@contextmanager
def read_bar(words: str, size_bytes: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many bytes were read so far. None: nobody knows how many there are."""
    if not on_terminal():
        yield lambda read_bytes: None
        return
    with _open(DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task(words, total=size_bytes)
        yield lambda read_bytes: progress.update(task, completed=read_bytes)


@contextmanager
def file_bar(words: str, file_count: int, size_bytes: int) -> Iterator[Callable[[int, int], None]]:
    """Yields a function that takes (files, bytes) done since its last call."""
    if not on_terminal():
        yield lambda files, done_bytes: None
        return
    counted = TextColumn("{task.fields[files]}/{task.fields[file_count]} files")
    with _open(counted, DownloadColumn(), TransferSpeedColumn()) as progress:
        task = progress.add_task(words, total=size_bytes, files=0, file_count=file_count)
        done = 0

        def advance(files: int, done_bytes: int) -> None:
            nonlocal done
            done += files
            progress.update(task, advance=done_bytes, files=done)

        yield advance


@contextmanager
def level_bar(total: float, unit: str) -> Iterator[Callable[[str, float], None] | None]:
    """Yields a function that takes words and how much of `total` is done; None where nobody watches."""
    if not on_terminal():
        yield None
        return
    of = "" if unit == "%" else f"/{total:.0f}"
    with _open(TextColumn(f"{{task.completed:.0f}}{of} {unit}")) as progress:
        task = progress.add_task("", total=total)
        yield lambda words, done: progress.update(task, description=words, completed=done)


def _open(*columns: ProgressColumn, transient: bool = False) -> Progress:
    """What a person reads may come from far ends: none of it is markup."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *columns,
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=transient,
    )
