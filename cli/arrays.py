"""Writes a JSON object with one long list, item by item: a million items need no memory."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any


def write_object(
    write: Callable[[str], Any],
    head: dict[str, Any],
    name: str,
    items: Iterable[dict[str, Any]],
    tail: Callable[[], dict[str, Any]],
) -> None:
    """`head`, then the list under `name`, then `tail`, which is asked for when the list is at its end."""
    pairs = [f"  {json.dumps(key)}: {json.dumps(value)},\n" for key, value in head.items()]
    write("{\n" + "".join(pairs) + f"  {json.dumps(name)}: [")
    separator = "\n    "
    for item in items:
        write(separator + json.dumps(item))
        separator = ",\n    "
    write("\n  ]")
    for key, value in tail().items():
        write(f",\n  {json.dumps(key)}: {json.dumps(value)}")
    write("\n}\n")
