"""Files that hold one secret: whole or absent, readable by their owner only from the first instant."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path


def write_secret(path: Path, value: str) -> None:
    """Replaces the file as a whole, and has it on the disk before it returns."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(value)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def read_secret(path: Path) -> str:
    return path.read_text(encoding="utf-8").strip()


def keep_secret(path: Path, make: Callable[[], str]) -> str:
    """What the file holds; made and written when there is none yet."""
    if not path.exists():
        write_secret(path, make())
    return read_secret(path)
