"""Reads all held content again: each blob that a version names must be there, byte by byte.

Each content is read once, however many files and versions have it. Nothing is kept in memory but a batch.
"""

from __future__ import annotations

import itertools
import uuid
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Max, QuerySet, Sum

from datasets.models import DamagedBlob, Dataset, Entry
from datasets.store import open_store
from store.blobs import BlobStore
from store.checked import Damage
from store.errors import BlobDamaged, BlobMissing, BlobUnreadable
from store.packs import Place

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class DamagedFile:
    """A file whose content is damaged, in every version from `first` to `last` (None: the current one)."""

    damage: Damage
    sha256: bytes
    dataset: str
    path: str  # in the text form of `farends.names`
    size_bytes: int
    first: int
    last: int | None
    reason: str
    is_current: bool  # a current version names the content: its source may still have it


@dataclass(frozen=True, slots=True)
class Extent:
    """What there is to read: contents, each once."""

    count: int
    size_bytes: int


def measure(datasets: Iterable[Dataset]) -> Extent:
    each = _entries(datasets).values("sha256").annotate(size=Max("size_bytes"))
    total = each.aggregate(count=Count("sha256"), size_bytes=Sum("size"))
    return Extent(total["count"], int(total["size_bytes"] or 0))


def scrub(
    workspace_id: uuid.UUID,
    datasets: Iterable[Dataset],
    *,
    advance: Callable[[int], None] = lambda size_bytes: None,
) -> Iterator[DamagedFile]:
    """Damaged files of these datasets, which belong to one workspace. `advance` is told the size of each content
    that was read. What is found is noted, so that the next sync of a current version's file fetches it again.
    Raises StoreAway where the store is not here."""
    chosen = list(datasets)
    store = open_store(workspace_id)
    store.need()
    marked = _marked(workspace_id)
    for batch in _batches(chosen):
        places = store.locate([sha256 for sha256, _ in batch])
        damaged = {}
        for sha256, size_bytes in batch:
            if (found := _look(store, sha256, places)) is not None:
                damaged[sha256] = found
            advance(size_bytes)
        if whole := [sha for sha, _ in batch if sha in marked and sha not in damaged]:
            store.unmark(whole)
        if damaged:
            current = find_current(workspace_id, damaged)
            yield from _owners(chosen, damaged, current)


def find_damaged(workspace_id: uuid.UUID, digests: Iterable[bytes]) -> set[bytes]:
    """Returns those of the contents that are damaged now; all are read. Raises StoreMissing."""
    store = open_store(workspace_id)
    store.need()
    places = store.locate(chosen := list(digests))
    return {sha256 for sha256 in chosen if _look(store, sha256, places) is not None}


def find_current(workspace_id: uuid.UUID, digests: Iterable[bytes]) -> dict[bytes, set[uuid.UUID]]:
    """The datasets whose current versions name these contents."""
    named: dict[bytes, set[uuid.UUID]] = {}
    rows = Entry.objects.filter(
        dataset__workspace_id=workspace_id, until=None, sha256__in=list(digests)
    )
    for sha256, dataset_id in rows.order_by().values_list("sha256", "dataset_id").distinct():
        named.setdefault(bytes(sha256), set()).add(dataset_id)
    return named


def _marked(workspace_id: uuid.UUID) -> set[bytes]:
    rows = DamagedBlob.objects.filter(workspace_id=workspace_id)
    return {bytes(sha256) for sha256 in rows.values_list("sha256", flat=True)}


def _entries(datasets: Iterable[Dataset]) -> QuerySet[Entry]:
    return Entry.objects.filter(dataset__in=list(datasets)).order_by()


def _batches(datasets: list[Dataset]) -> Iterator[list[tuple[bytes, int]]]:
    """Each content with its size, by a cursor that the database holds open."""
    each = _entries(datasets).values("sha256").annotate(size=Max("size_bytes"))
    rows = each.values_list("sha256", "size")
    with _patience():
        remaining = iter(rows.order_by("sha256").iterator(chunk_size=AT_ONCE))
        while batch := list(itertools.islice(remaining, AT_ONCE)):
            yield [(bytes(sha256), size_bytes) for sha256, size_bytes in batch]


@contextmanager
def _patience() -> Iterator[None]:
    """Grants a long time: sorting the digests of many millions of files is slow."""
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '15min'")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("RESET statement_timeout")


def _look(
    store: BlobStore, sha256: bytes, places: Mapping[bytes, Place]
) -> tuple[Damage, str] | None:
    """Returns None if all is well."""
    try:
        store.prove(sha256, places)
    except BlobMissing as exc:
        return Damage.MISSING, str(exc)
    except BlobUnreadable as exc:
        return Damage.UNREADABLE, str(exc)
    except BlobDamaged as exc:
        return Damage.CORRUPT, str(exc)
    except OSError as exc:
        return Damage.UNREADABLE, exc.strerror or str(exc)
    return None


def _owners(
    datasets: list[Dataset],
    damaged: dict[bytes, tuple[Damage, str]],
    current: Collection[bytes],
) -> Iterator[DamagedFile]:
    """Nobody's where the content was swept meanwhile."""
    named = _entries(datasets).filter(sha256__in=list(damaged)).select_related("dataset")
    for entry in named.order_by("dataset", "path", "since").iterator(chunk_size=AT_ONCE):
        damage, reason = damaged[bytes(entry.sha256)]
        yield DamagedFile(
            damage,
            bytes(entry.sha256),
            entry.dataset.name,
            entry.path,
            entry.size_bytes,
            entry.since,
            None if entry.until is None else entry.until - 1,
            reason,
            bytes(entry.sha256) in current,
        )
