"""`stack.env`: the settings of a running stack, for shells and for commands that run beside it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from embedded import keys

NAME = "stack.env"


def write_stack_env(data_dir: Path, values: Mapping[str, str]) -> Path:
    path = data_dir / NAME
    lines = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    keys.write_secret(path, "# Written by `manage.py stack`, removed when it stops.\n" + lines)
    return path


def remove(data_dir: Path) -> None:
    """A file that is there without its stack would send commands to servers that are gone."""
    (data_dir / NAME).unlink(missing_ok=True)
