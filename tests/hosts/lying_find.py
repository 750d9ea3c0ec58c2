"""A `find` whose listing of a whole folder has lies added (`lying_find.py LIES FIND WORDS…`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.hosts.fuzzed import LIE_BYTES, LIE_TIME_S, read_lies


def find(lies: Path, words: list[str]) -> None:
    if words[1] != ".":
        os.execv(words[0], words)  # noqa: S606 — the program that was asked for
    told = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    lied = b"".join(
        f"{kind} {LIE_BYTES} {LIE_TIME_S}.5 ".encode() + name + b"\0"
        for kind, name in read_lies(lies)
    )
    sys.stdout.buffer.write(told.stdout + lied)


if __name__ == "__main__":
    find(Path(sys.argv[1]), sys.argv[2:])
