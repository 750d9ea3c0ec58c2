"""Reads the files of a folder as a worker does, and tells in JSON what came out and how much memory that took.

A process of its own: nothing else moves its memory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from search.core.chunking import cut
from search.core.texts import TextRefusal
from search.extracting.extractor import Extractor


def memory_kib(pid: int | str, field: str) -> int:
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(field)).split()[1])
    return 0


class Watch:
    """Looks at the child's memory whenever the reader waits for it."""

    def __init__(self) -> None:
        self.extractor = Extractor(self.look)
        self.child_kib = 0
        self.children: set[int] = set()

    def look(self) -> None:
        if (pid := self.extractor.child_pid) is not None:
            self.children.add(pid)
            self.child_kib = max(self.child_kib, memory_kib(pid, "VmHWM"))


def _opener(path: Path) -> Callable[[], BinaryIO]:
    return lambda: path.open("rb")


def read_all(folder: Path) -> dict[str, object]:
    watch = Watch()
    found: dict[str, dict[str, object]] = {}
    before = memory_kib("self", "VmRSS")
    with watch.extractor as extractor:
        for path in sorted(folder.iterdir()):
            told = extractor.extract(path.name, _opener(path), path.stat().st_size)
            if isinstance(told, TextRefusal):
                found[path.name] = {"code": told.code, "note": told.note}
                continue
            count = characters = 0
            words = False
            for each in cut(told, path.name):
                count += 1
                characters += len(each.body)
                words = words or "needle" in each.body
                assert "root:" not in each.body
            found[path.name] = {
                "code": "", "kind": told.kind, "chunks": count, "characters": characters, "words": words,
            }  # fmt: skip
    return {
        "files": found,
        "child_kib": watch.child_kib,
        "children": len(watch.children),
        "grown_kib": memory_kib("self", "VmHWM") - before,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(read_all(Path(sys.argv[1]))))
