"""Counts what a deletion takes with it. Django's own page would load every row to list it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

COUNTED_MAX = 1000


@dataclass(frozen=True, slots=True)
class Dependant:
    """Rows that hang on what is to be deleted, and keep it from going."""

    name: str
    rows: QuerySet[Any]


Deletion = tuple[list[str], dict[str, int], set[str], list[str]]


def describe_deletion(
    name: str, objs: Iterable[Any], refused: set[str], *dependants: Dependant
) -> Deletion:
    """The answer of `ModelAdmin.get_deleted_objects`; one that finds dependants refuses.

    `refused` is `ScopedAdmin.refuse_deletion`'s word: Django checks the role of each row only in the
    walk that this replaces.
    """
    shown = [str(obj) for obj in objs]
    counts = [count_words(dependant.rows, dependant.name) for dependant in dependants]
    return shown, {name: len(shown)}, refused, [count for count in counts if count]


def count_words(rows: QuerySet[Any], name: str) -> str:
    """`3 sync jobs`, `over 1000 sync records`, nothing for none."""
    count = rows.order_by()[: COUNTED_MAX + 1].count()
    if not count:
        return ""
    words = f"over {COUNTED_MAX}" if count > COUNTED_MAX else str(count)
    return f"{words} {name}{'' if count == 1 else 's'}"
