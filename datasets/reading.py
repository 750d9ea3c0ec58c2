"""Reads a version: its entries, and the files behind them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db import connection, transaction
from django.db.models import Q, QuerySet

from datasets.models import Dataset, Entry, Version
from datasets.store import open_store
from store.checked import CheckedBlob
from store.errors import StoreError


class NoSuchVersion(LookupError):
    """The dataset has no version of that number."""


class VersionExpired(NoSuchVersion):
    """It had one, which is not kept any more; the message says since when."""


def get_version(dataset: Dataset, number: int | None = None) -> Version:
    """Returns the numbered version, or the current one. Raises NoSuchVersion, and its child VersionExpired."""
    wanted = Q(is_current=True) if number is None else Q(number=number)
    version = dataset.versions.filter(wanted).first()
    if version is None and number is not None:
        refuse_expired(dataset, number)
    if version is None:
        what = "a version yet" if number is None else f"a version {number}"
        raise NoSuchVersion(f"dataset {dataset.name} does not have {what}")
    return version


def refuse_expired(dataset: Dataset, number: int) -> None:
    """Raises VersionExpired for a version that is kept no longer."""
    expired = Version.either.filter(dataset=dataset, number=number).exclude(expired_at=None)
    at = expired.values_list("expired_at", flat=True).first()
    if at is not None:
        raise VersionExpired(
            f"version {number} of dataset {dataset.name} was removed on {at:%Y-%m-%d}: it is not kept any more"
        )


def find_entries(dataset: Dataset, number: int) -> QuerySet[Entry]:
    """The entries of a version, by path, bytewise."""
    return dataset.entries.filter(Q(until=None) | Q(until__gt=number), since__lte=number).order_by(
        "path"
    )


# An entry ends too where the source tells another time of the same content.
_ARRIVAL = """
WITH RECURSIVE came (since, arrived) AS (
    SELECT %(since)s, %(arrived)s
     UNION ALL
    SELECT e.since, coalesce(e.arrived, e.since) FROM came JOIN datasets_entry e
        ON e.dataset_id = %(dataset)s AND e.path = %(path)s AND e.until = came.since AND e.sha256 = %(sha256)s)
SELECT min(arrived) FROM came
"""


def find_arrival(version: Version, entry: Entry) -> Version:
    """Returns the version in which the content of the entry came to its path; where nobody knows it any more, `version`
    itself, which holds it."""
    with connection.cursor() as cursor:
        told: dict[str, Any] = {
            "dataset": entry.dataset_id,
            "path": entry.path,
            "sha256": entry.sha256,
            "since": entry.since,
            "arrived": entry.since if entry.arrived is None else entry.arrived,
        }
        cursor.execute(_ARRIVAL, told)
        [number] = cursor.fetchone()
    if number == version.number:
        return version
    return Version.either.filter(dataset=entry.dataset_id, number=number).first() or version


def open_entry(dataset: Dataset, entry: Entry) -> CheckedBlob:
    """Opens the file behind an entry; each byte of it is proved as it is read. Raises StoreError, OSError."""
    blob = open_store(dataset.workspace_id).open_checked(bytes(entry.sha256))
    if blob.size_bytes != entry.size_bytes:
        blob.close()
        raise StoreError(f"the store has {blob.size_bytes} bytes of its {entry.size_bytes}")
    return blob


@contextmanager
def one_moment() -> Iterator[None]:
    """What is read within belongs together, whatever is published meanwhile."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield


def page_of_entries(
    version: Version, *, prefix: str = "", last: str = "", limit: int
) -> list[Entry]:
    """Returns the entries behind `last`, by path, bytewise. Within `one_moment` with the look that found the version: a current
    one is read from the entries that are current, however long the history is."""
    rows = version.dataset.entries.filter(until=None)
    if not version.is_current:
        rows = find_entries(version.dataset, version.number)
    if prefix:
        rows = rows.filter(path__gte=prefix, path__startswith=prefix)
    return list(rows.filter(path__gt=last).order_by("path")[:limit])


def iter_entries(dataset: Dataset, number: int) -> Iterator[Entry]:
    """The same, streamed."""
    return find_entries(dataset, number).iterator(chunk_size=2_000)
