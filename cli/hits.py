"""Writes what a search found as lines of a terminal. No text of a file can forge a line or speak to the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from cli.lines import one_line
from search.querying.question import Hit

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"


def print_hit(hit: Hit, *, colours: bool = False) -> Iterator[str]:
    """Where it stands, and its snippet on one line."""
    place = f":{hit.line}" if hit.line is not None else f" ({hit.place})" if hit.place else ""
    more = f", and {hit.paths_total - 1} more paths" if hit.paths_total > 1 else ""
    yield one_line(f"{hit.dataset} v{hit.version}  {hit.path}{place}{more}  [{hit.matched.value}]")
    on, off = (_BOLD, _PLAIN) if colours else ("", "")
    yield f"    {_mark(hit, on, off)}"


def _mark(hit: Hit, on: str, off: str) -> str:
    """One line: what is no visible character is escaped, so that a file cannot speak to the terminal."""
    parts, at = [], 0
    for start, end in hit.highlights:
        parts += [_flat(hit.snippet[at:start]), on, _flat(hit.snippet[start:end]), off]
        at = end
    return "".join([*parts, _flat(hit.snippet[at:])])


def _flat(text: str) -> str:
    return one_line(text.replace("\n", " ").replace("\t", " "))
