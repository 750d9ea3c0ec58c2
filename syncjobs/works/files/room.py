"""What the plan would fetch must fit: on the store's disk, and into what its workspace may hold."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings

from datasets.catalog import Catalog, Wanted
from store.blobs import BlobStore
from store.errors import QuotaExceeded
from store.room import measure_room, show_size
from syncjobs.engine.arriving import COMMIT_BYTES
from syncjobs.engine.stops import NoRoom
from syncjobs.models import SyncRecord


def need_room(record: SyncRecord, catalog: Catalog, store: BlobStore) -> None:
    """Call it with the plan, before anything is fetched. Raises QuotaExceeded where the workspace would hold more
    than it may, NoRoom where the disk would have less than is to stay free, OSError.

    Both go by the sizes that were listed. For those that were not, or lie, `store` watches what really comes."""
    wanted = cap(catalog.measure_wanted(), record.job.max_bytes)
    _need_quota(record, catalog, store, wanted.new_bytes)
    needed = wanted.new_bytes + passing_bytes(wanted)
    room = measure_room(settings.STORE_ROOT, min_free_bytes=settings.SYNC.min_free_bytes)
    if not room.fits(needed):
        raise NoRoom(f"room on the store's disk: {show_size(needed)} to fetch, {room}")


def cap(wanted: Wanted, most: int | None) -> Wanted:
    """What a job with `max_bytes` fetches of it: the first file comes, whatever its size."""
    if most is None:
        return wanted
    most = max(most, wanted.largest_bytes)
    return replace(
        wanted, new_bytes=min(wanted.new_bytes, most), all_bytes=min(wanted.all_bytes, most)
    )


def passing_bytes(wanted: Wanted) -> int:
    """What is only read again needs its place until it is compared: one batch is, while the next comes in."""
    again = wanted.all_bytes - wanted.new_bytes
    return min(again, 2 * COMMIT_BYTES + wanted.largest_bytes)


def _need_quota(record: SyncRecord, catalog: Catalog, store: BlobStore, new_bytes: int) -> None:
    most = record.workspace.max_store_bytes
    if most is None:
        return
    held = catalog.measure_held(record.workspace_id)
    if new_bytes > 0 and held + new_bytes > most:
        raise QuotaExceeded(
            f"the workspace holds {show_size(held)} and would get {show_size(new_bytes)} more; it may hold"
            f" {show_size(most)} (max_store_bytes)"
        )
    store.allow(max(0, most - held))


def permit_growth(record: SyncRecord, catalog: Catalog) -> None:
    """Call it within the publishing transaction: other records of the workspace may have published since the plan.
    Raises QuotaExceeded."""
    most = record.workspace.max_store_bytes
    if most is None:
        return
    size_bytes, new_bytes = catalog.measure_published(record.workspace_id)
    if new_bytes > 0 and size_bytes > most:
        raise QuotaExceeded(
            f"with what others have published meanwhile the workspace would hold {show_size(size_bytes)}; it may"
            f" hold {show_size(most)} (max_store_bytes)"
        )
