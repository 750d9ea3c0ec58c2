"""Stands between sshd and the shell: what `find` lists gets lies added, all else is passed on
(`python lying_shell.py LIES`)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.hosts.fuzzed import LIE_BYTES, LIE_TIME_S, read_lies


def run(command: str, lies: Path) -> None:
    words = ["sh", "-c", command]
    if 'printf "end %s" $?' not in command:
        os.execvp("sh", words)  # noqa: S606 — the shell that sshd would have run
    told = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=False)
    records, mark, rest = told.stdout.rpartition(b"end ")
    lied = b"".join(
        f"{kind} {LIE_BYTES} {LIE_TIME_S}.5 ".encode() + name + b"\0"
        for kind, name in read_lies(lies)
    )
    sys.stdout.buffer.write(records + lied + mark + rest)


if __name__ == "__main__":
    run(os.environ["SSH_ORIGINAL_COMMAND"], Path(sys.argv[1]))
