"""A record waits while the store's disk has too little room.

Below what is to stay free no record is claimed; its bell is rung again every half minute, and whoever answers
looks again. A claimed record lists its source first. Where the plan does not fit, it goes back to the queue, and
lists again later: there may be room then, or less to fetch.
"""

from __future__ import annotations

import uuid
from dataclasses import replace

from django.conf import settings

from datasets.catalog import Catalog, Wanted
from store.blobs import BlobStore
from store.errors import QuotaExceeded
from store.room import look_at, words_of
from syncjobs.core.states import State
from syncjobs.engine.arriving import COMMIT_BYTES
from syncjobs.engine.stops import NoRoom
from syncjobs.models import SyncRecord

AGAIN_S = (15.0, 300.0)  # at the soonest, at the latest
AGAIN_RATIO = (
    10  # so that listing for nothing takes a tenth of the time at most, unless it takes over 30 s
)


def park_without_room(record_id: uuid.UUID) -> bool:
    """Whether the record has to wait, which it then says; a dry run needs no room."""
    try:
        room = look_at(settings.STORE_ROOT, min_free_bytes=settings.SYNC.min_free_bytes)
    except OSError:  # its disk went away this instant: the claim looks again
        return False
    if not room.is_short:
        return False
    parked = SyncRecord.objects.filter(pk=record_id, state=State.QUEUED, dry_run=False).update(
        waiting_for=f"room on the store's disk: {room}"
    )
    return parked == 1


def look_again_s(worked_s: float) -> float:
    """When a record whose plan did not fit looks again, by how long its look took."""
    soonest_s, latest_s = AGAIN_S
    return min(latest_s, max(soonest_s, AGAIN_RATIO * worked_s))


def need_room(record: SyncRecord, catalog: Catalog, store: BlobStore) -> None:
    """Call it with the plan, before anything is fetched. Raises QuotaExceeded where the workspace would hold more
    than it may, NoRoom where the disk would have less than is to stay free, OSError.

    Both go by the sizes that were listed. For those that were not, or lie, `store` watches what really comes."""
    wanted = cap(catalog.measure_wanted(), record.job.max_bytes)
    _need_quota(record, catalog, store, wanted.new_bytes)
    needed = wanted.new_bytes + passing_bytes(wanted)
    room = look_at(settings.STORE_ROOT, min_free_bytes=settings.SYNC.min_free_bytes)
    if not room.fits(needed):
        raise NoRoom(f"room on the store's disk: {words_of(needed)} to fetch, {room}")


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
            f"the workspace holds {words_of(held)} and would get {words_of(new_bytes)} more; it may hold"
            f" {words_of(most)} (max_store_bytes)"
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
            f"with what others have published meanwhile the workspace would hold {words_of(size_bytes)}; it may"
            f" hold {words_of(most)} (max_store_bytes)"
        )
