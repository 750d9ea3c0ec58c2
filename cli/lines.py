"""Makes the lines that a command writes. No text in them can forge a line.

Names and words of far ends stand in most of what commands say. A line end in one of them would look like a line of
ours, and an escape sequence would speak to the terminal. So a command's `write` takes one line and escapes whatever
else is in it; who means several says so with `Lines`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from django.core.management.base import OutputWrapper

from farends.names import printable


class Lines(str):
    """Several lines, each of them fit to be shown."""

    __slots__ = ()


def one_line(text: str) -> str:
    """Escapes everything that is no visible character."""
    return printable(text, len(text)).replace("\n", "\\n")


def make_lines(lines: Iterable[str]) -> Lines:
    return Lines("\n".join(map(one_line, lines)))


def print_columns(rows: list[list[str]]) -> list[str]:
    """Lines of a table, its columns as wide as their longest cell."""
    shown = [[one_line(cell) for cell in row] for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*shown, strict=True)]
    return ["  ".join(map(str.ljust, row, widths)).rstrip() for row in shown]


class LineWriter(OutputWrapper):
    """Replaces a command's `stdout` or `stderr`. With `ending=""` it takes a part of a document, as it is."""

    def write(  # type: ignore[override]  # as OutputWrapper's own differs from a file's
        self,
        msg: str = "",
        style_func: Callable[[str], str] | None = None,
        ending: str | None = None,
    ) -> None:
        whole = isinstance(msg, Lines) or ending == ""
        super().write(msg if whole else one_line(msg), style_func, ending)


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
