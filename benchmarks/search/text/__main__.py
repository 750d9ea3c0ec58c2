"""`python -m benchmarks.search.text`: what it costs to index the words of documents and code that are on this machine,
for the first time and after a change of 1 %, with the memory of the worker."""

from __future__ import annotations

import argparse
import os
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import stand
from search.core.wishes import IndexWish

if TYPE_CHECKING:
    from datasets.models import Dataset

SUFFIXES = {".py", ".md", ".rst", ".txt", ".html", ".c", ".h", ".json", ".xml", ".csv", ".js"}
LARGEST = 1 << 20
AT_ONCE = 500  # files
ROOTS = (sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"], "/usr/share")


@dataclass(frozen=True, slots=True)
class TextCost:
    """Seconds of one run, with the CPU time of the worker and of its session in the database; the worker's largest size."""

    wall_s: float
    worker_s: float
    database_s: float
    memory_bytes: int
    texts: int

    @property
    def cpu_s(self) -> float:
        return self.worker_s + self.database_s


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.text", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=100)
    asked = parser.parse_args()
    with stand.product():
        tell_costs(asked.megabytes * 1_000_000)


def tell_costs(most_bytes: int) -> None:
    from tests.search.indexes import make_dataset

    idle_bytes = stand.resident_bytes("VmRSS")
    # What is there before: nobody measures an empty index.
    before = make_dataset("before")
    publish_files(before, list(iter_files(most_bytes // 10, skip=1_000)))
    index_texts(before)
    dataset = make_dataset("documents")
    files = list(iter_files(most_bytes))
    size_bytes = sum(len(path.read_bytes()) for path in files)
    publish_files(dataset, files)
    first = index_texts(dataset)
    megabytes = size_bytes / 1e6
    say(f"{first.texts} texts, {megabytes:.0f} MB")
    say(
        f"first build: {first.wall_s:.1f} s wall ({megabytes / first.wall_s:.2f} MB/s), worker {first.worker_s:.1f} s,"
        f" database {first.database_s:.1f} s CPU ({megabytes / first.cpu_s:.2f} MB/s), memory +{max(0, first.memory_bytes - idle_bytes) / 2**20:.0f} MiB"
    )
    changed = files[:: len(files) // max(1, len(files) // 100)]
    publish_files(dataset, changed, number=2)
    again = index_texts(dataset)
    say(
        f"1 % changed ({again.texts} texts): {again.wall_s:.2f} s wall ({100 * again.wall_s / first.wall_s:.1f} % of the"
        f" first build), {again.cpu_s:.2f} s CPU ({100 * again.cpu_s / first.cpu_s:.1f} %)"
    )


def iter_files(most_bytes: int, *, skip: int = 0) -> Iterator[Path]:
    total = 0
    found = (path for root in ROOTS for path in sorted(Path(root).rglob("*")))
    for number, path in enumerate(path for path in found if path.suffix in SUFFIXES):
        if number < skip or path.is_symlink() or not path.is_file():
            continue
        size_bytes = path.stat().st_size
        if 0 < size_bytes < LARGEST:
            total += size_bytes
            yield path
        if total >= most_bytes:
            return


def publish_files(
    dataset: Dataset, files: Sequence[Path], *, number: int = 1, wish: IndexWish = IndexWish.WORDS
) -> None:
    """Makes a version of them; one that is not the first has a line more at the top of each."""
    from django.db import connection

    from datasets.models import Entry, Version
    from datasets.store import open_store
    from search.indexing.marking import note_published

    store = open_store(dataset.workspace_id)
    store.prepare()
    for start in range(0, len(files), AT_ONCE):
        received = {}
        for path in files[start : start + AT_ONCE]:
            writer = store.create("bench")
            if number > 1:
                writer.write(b"# a line that was not there\n")
            writer.write(path.read_bytes())
            received[str(path)] = writer.finish()
        store.commit("bench", received.values())
        dataset.entries.filter(path__in=list(received), until=None).update(until=number)
        Entry.objects.bulk_create(
            Entry(dataset=dataset, path=path, size_bytes=got.size_bytes, sha256=got.sha256, since=number)
            for path, got in received.items()
        )  # fmt: skip
    dataset.versions.update(is_current=False)
    Version.objects.create(dataset=dataset, number=number, file_count=len(files), size_bytes=0)
    with connection.cursor() as cursor:
        note_published(cursor, dataset.pk, wish)


def index_texts(dataset: Dataset) -> TextCost:
    from database.sessions import open_session
    from datasets.store import open_store
    from search.indexing.stage import TextStage

    with closing(open_session(statement_timeout_s=600, name="bench")) as session:
        began_database = _spent_s(session.info.backend_pid)
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        began, began_s = time.process_time(), time.perf_counter()
        done = TextStage(
            session=session,
            dataset_id=dataset.pk,
            store=open_store(dataset.workspace_id),
            languages=["english"],
            budget_s=3_600,
            keep_s=0,
            check=lambda: None,
        ).run()
        return TextCost(
            wall_s=time.perf_counter() - began_s,
            worker_s=time.process_time() - began,
            database_s=_spent_s(session.info.backend_pid) - began_database,
            memory_bytes=stand.resident_bytes("VmHWM"),
            texts=done.texts,
        )


def _spent_s(pid: int) -> float:
    fields: Any = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return float(int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


if __name__ == "__main__":
    main()
