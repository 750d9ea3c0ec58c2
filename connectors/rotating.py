"""Encrypts every stored secret with the newest key, while other processes read and write secrets.

Each row is changed only where it still holds what was read, so that nobody's newer secret is lost; one that
has the newest key already is left, so that the next run resumes an interrupted one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from connectors.models import Connector
from connectors.secrets import reseal
from farends.errors import AuthConfig

BATCH = 200
_TRIES = 5  # of a row that somebody else keeps writing


@dataclass(frozen=True, slots=True)
class Rotation:
    """`unopened` are connectors whose secret none of the keys opens, as workspace/name."""

    resealed: int
    current: int  # had the newest key before
    unopened: tuple[str, ...]


def count_sealed() -> int:
    return Connector.objects.exclude(sealed_secret="").count()


def rotate_secrets(tell: Callable[[int], None] = lambda done: None) -> Rotation:
    """`tell` hears how many more have been looked at."""
    resealed = current = 0
    unopened: list[str] = []
    last = None
    while True:
        rows = (
            Connector.objects.exclude(sealed_secret="").select_related("workspace").order_by("pk")
        )
        batch = list((rows.filter(pk__gt=last) if last else rows)[:BATCH])
        if not batch:
            return Rotation(resealed, current, tuple(sorted(unopened)))
        for row in batch:
            try:
                changed = _reseal(row)
            except AuthConfig:
                unopened.append(f"{row.workspace.name}/{row.name}")
            else:
                resealed, current = resealed + changed, current + (not changed)
        last = batch[-1].pk
        tell(len(batch))


def _reseal(row: Connector) -> bool:
    """False where it had the newest key. Raises AuthConfig."""
    for _ in range(_TRIES):
        read = row.sealed_secret
        if not reseal(row):
            return False
        same = Connector.objects.filter(pk=row.pk, sealed_secret=read)
        if same.update(sealed_secret=row.sealed_secret):
            return True
        try:
            row.refresh_from_db(fields=["sealed_secret"])
        except Connector.DoesNotExist:
            return False
    raise AuthConfig("somebody else keeps writing it")
