"""Fields of a form that are only shown, and cost queries: Unfold's templates ask for each of them several times."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

Shown = TypeVar("Shown")


def show_once(show: Callable[[Any, Any], Shown]) -> Callable[[Any, Any], Shown]:
    """Decorates a method of an admin: what it shows of a row is worked out once for each row that was read."""
    name = f"_shown_{show.__name__}"

    @wraps(show)
    def kept(page: Any, row: Any) -> Shown:
        if name not in row.__dict__:
            row.__dict__[name] = show(page, row)
        shown: Shown = row.__dict__[name]
        return shown

    return kept
