"""Encrypts every stored secret with the newest key, while other processes read and write secrets.

Each row is changed only where it still holds what was read, so that nobody's newer secret is lost; one that
has the newest key already is left, so that the next run resumes an interrupted one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from django.db import models

from connectors.models import Connector
from connectors.secrets import reseal
from farends.errors import AuthConfig

BATCH = 200
_TRIES = 5  # of a row that somebody else keeps writing


@dataclass(frozen=True, slots=True)
class Rotation:
    """`unopened` are rows, such as connectors, whose secret none of the keys opens, as workspace/name."""

    resealed: int
    current: int  # had the newest key before
    unopened: tuple[str, ...]


_models: list[type[models.Model]] = [Connector]


def add_sealed_model(model: type[models.Model]) -> None:
    """Announces a table with the columns `workspace` and `sealed_secret`; floors above have some."""
    if model not in _models:
        _models.append(model)


def count_sealed() -> int:
    return sum(_rows_of(model).count() for model in _models)


def rotate_secrets(tell: Callable[[int], None] = lambda done: None) -> Rotation:
    """`tell` hears how many more have been looked at."""
    resealed = current = 0
    unopened: list[str] = []
    for model in _models:
        for batch in _batches_of(model):
            for row in batch:
                try:
                    changed = _reseal(row)
                except AuthConfig:
                    unopened.append(f"{row.workspace.name}/{row}")
                else:
                    resealed, current = resealed + changed, current + (not changed)
            tell(len(batch))
    return Rotation(resealed, current, tuple(sorted(unopened)))


def _rows_of(model: type[models.Model]) -> models.QuerySet[Any]:
    return model._default_manager.exclude(sealed_secret="")


def _batches_of(model: type[models.Model]) -> Iterator[list[Any]]:
    rows = _rows_of(model).select_related("workspace").order_by("pk")
    batch = list(rows[:BATCH])
    while batch:
        yield batch
        batch = list(rows.filter(pk__gt=batch[-1].pk)[:BATCH])


def _reseal(row: Any) -> bool:
    """False where it had the newest key. Raises AuthConfig."""
    for _ in range(_TRIES):
        read = row.sealed_secret
        if not reseal(row):
            return False
        same = _rows_of(type(row)).filter(pk=row.pk, sealed_secret=read)
        if same.update(sealed_secret=row.sealed_secret):
            return True
        try:
            row.refresh_from_db(fields=["sealed_secret"])
        except ObjectDoesNotExist:
            return False
    raise AuthConfig("somebody else keeps writing it")
