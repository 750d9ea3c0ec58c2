"""What a record is at, while a thread of this process works on it: a bar on a terminal, else a line at times."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli.bars import on_terminal
from syncjobs.core.states import State
from syncjobs.models import SyncRecord

LOOK_S = 0.25
QUIET_S = 15.0


def watch(record_id: uuid.UUID, thread: threading.Thread, write: Callable[[str], object]) -> None:
    """Until the thread has ended."""
    if on_terminal():
        _watch_with_bar(record_id, thread)
        return
    said_at = time.monotonic()
    while not _ended(thread):
        if time.monotonic() - said_at >= QUIET_S:
            write(_line(record_id)[0])
            said_at = time.monotonic()


def _watch_with_bar(record_id: uuid.UUID, thread: threading.Thread) -> None:
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as progress:
        task = progress.add_task("", total=100)
        while not _ended(thread):
            words, percentage = _line(record_id)
            progress.update(task, description=words, completed=percentage)


def _ended(thread: threading.Thread) -> bool:
    thread.join(LOOK_S)
    return not thread.is_alive()


def _line(record_id: uuid.UUID) -> tuple[str, float]:
    """What a person sees of it, and how far it is."""
    record = SyncRecord.objects.select_related("job").get(pk=record_id)
    name = record.job.name
    if record.state != State.RUNNING:
        return f"{name}: {record.state}", record.percentage
    words = f"{name}: {record.stage.replace('_', ' ')}"
    if record.total_files is not None:
        words += f", file {record.current_file_index} of {record.total_files}"
    return words, record.percentage
