"""Starts a module of ours as a child: a session of its own, an empty environment, and no reach beyond its own code."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from children.confinement import Confinement, start_confined

_ROOT = Path(__file__).parents[1]
_LOCALE = {"LC_ALL": "C.UTF-8", "TZ": "UTC"}
_WAIT_S = 5.0

Pipe = IO[bytes] | int | None


def start_module(
    module: str,
    words: Sequence[str] = (),
    *,
    stdin: Pipe = subprocess.DEVNULL,
    stdout: Pipe = subprocess.DEVNULL,
    stderr: Pipe = subprocess.DEVNULL,
    passed: Iterable[int] = (),
    reach: Confinement | None,
) -> subprocess.Popen[bytes]:
    """The child reaches Python, its own package, `children`, and what `reach` adds; None: all that its user reaches.
    `passed` are open files that it keeps.

    It limits itself (`children.limits`) before it looks at what it was given: code between fork and exec could block
    in a process that has threads.
    """

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 — our own program
            [sys.executable, "-E", "-s", "-m", module, *words],
            cwd=_ROOT,
            env=_LOCALE,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            pass_fds=tuple(passed),
            start_new_session=True,
        )

    if reach is None:
        return start()
    package = _ROOT / module.partition(".")[0]
    python = (Path(sys.prefix), Path(sys.base_prefix), Path(sys.base_exec_prefix))
    code = (package, _ROOT / "children", *python)
    whole = replace(reach, reading=(*reach.reading, *code), listing=(*reach.listing, _ROOT))
    return start_confined(start, whole)


def end_child(child: subprocess.Popen[bytes]) -> None:
    """Kills it, with all that it started, unless it has ended. Returns once it has; its pipes are closed."""
    if child.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    child.wait(_WAIT_S)
    for pipe in (child.stdin, child.stdout, child.stderr):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
