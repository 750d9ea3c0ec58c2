"""Reading a version: its entries, and the files behind them."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Q, QuerySet

from datasets.models import Dataset, Entry, Version


class NoSuchVersion(LookupError):
    """The dataset has no version of that number."""


def get_version(dataset: Dataset, number: int | None = None) -> Version:
    """That version, or the current one. Raises NoSuchVersion."""
    wanted = Q(is_current=True) if number is None else Q(number=number)
    version = dataset.versions.filter(wanted).first()
    if version is None:
        what = "a version yet" if number is None else f"a version {number}"
        raise NoSuchVersion(f"dataset {dataset.name} does not have {what}")
    return version


def entries_of(dataset: Dataset, number: int) -> QuerySet[Entry]:
    """The entries of a version, by path, bytewise."""
    return dataset.entries.filter(Q(until=None) | Q(until__gt=number), since__lte=number).order_by(
        "path"
    )


def iter_entries(dataset: Dataset, number: int) -> Iterator[Entry]:
    """The same, streamed."""
    return entries_of(dataset, number).iterator(chunk_size=2_000)
