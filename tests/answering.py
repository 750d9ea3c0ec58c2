"""A Python process of the tests' own that answers each line of JSON with one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

Ask = Callable[[Mapping[str, Any]], Any]


@contextmanager
def answering(module: str, log: Path, **environment: str) -> Iterator[Ask]:
    """Runs `python -m module`, which ends with its input; its standard error goes to the log."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module],
            env=os.environ | environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            text=True,
            start_new_session=True,
        )

    def ask(order: Mapping[str, Any]) -> Any:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(order) + "\n")
        process.stdin.flush()
        told = process.stdout.readline()
        assert told, f"{module} has ended: {log.read_text()[-4000:]}"
        return json.loads(told)

    try:
        yield ask
    finally:
        process.communicate(timeout=90)


def serve(answer: Callable[[dict[str, Any]], Any]) -> None:
    """The other side: one answer an order, until the input ends."""
    for line in sys.stdin:
        sys.stdout.write(json.dumps(answer(json.loads(line))) + "\n")
        sys.stdout.flush()
