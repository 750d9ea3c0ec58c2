"""What differs between two configurations, field by field. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_MISSING = object()
_WORDS_MAX = 300


@dataclass(frozen=True, slots=True)
class ConfigurationChange:
    """`before` and `after` are JSON; None where there was nothing, or is nothing any more."""

    path: str
    before: str | None
    after: str | None


def iter_changes(before: Any, after: Any, path: str = "") -> Iterator[ConfigurationChange]:
    """The leaves that differ, in the order of their names. A list is one leaf unless both are as long."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted(before.keys() | after.keys()):
            inner = f"{path}.{name}" if path else str(name)
            yield from iter_changes(before.get(name, _MISSING), after.get(name, _MISSING), inner)
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for place, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from iter_changes(one, other, f"{path}[{place}]")
    elif _is_other(before, after):
        yield ConfigurationChange(path or "(all)", _show(before), _show(after))


def _is_other(before: Any, after: Any) -> bool:
    """True and 1 are two things."""
    return type(before) is not type(after) or bool(before != after)


def _show(value: Any) -> str | None:
    if value is _MISSING:
        return None
    text = json.dumps(value, ensure_ascii=False, sort_keys=True)
    return text if len(text) <= _WORDS_MAX else f"{text[:_WORDS_MAX]}…"
