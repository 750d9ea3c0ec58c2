"""Removes unfinished files of attempts that nobody resumed, and content that nothing names."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.db.models import Min
from django.utils import timezone

from datasets.store import open_store
from store.blobs import BlobStore
from store.sweeping import sweep_blobs, sweep_packs, sweep_partial
from syncjobs.claims.halting import refuse_if_halted
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Claim
from workspaces.models import Workspace

KEPT_S = 7 * 24 * 3600.0
# Beyond the start of the oldest record at work: for clocks that differ, and for who has just looked up
# where a blob lies.
GRACE_S = 3600.0


@dataclass(frozen=True, slots=True)
class Removed:
    leftovers: int  # partial files, and packs that hold nothing
    blobs: int
    size_bytes: int  # of the blobs


def sweep(*, kept_s: float = KEPT_S, grace_s: float = GRACE_S) -> Removed:
    """Removes what `sweep_partials` does, and content that no version and no receipt names, unless it was
    stored since the oldest record at work began, or within the grace period before that. Raises StoreAway:
    what lies on another disk is not this database's to judge; and Halted: a restored database does not know
    all that its original has stored."""
    running = SyncRecord.either.filter(state=State.RUNNING)
    now = timezone.now()
    oldest = running.aggregate(at=Min("started_at"))["at"] or now
    before_s = min(oldest, now).timestamp() - grace_s
    swept = [sweep_blobs(store, before_s=before_s) for store in _open_stores()]
    return Removed(
        leftovers=sweep_partials(kept_s),
        blobs=sum(each.count for each in swept),
        size_bytes=sum(each.size_bytes for each in swept),
    )


def sweep_partials(older_than_s: float = KEPT_S) -> int:
    """Removes partial files and unfinished packs of that age that no running record writes; their
    count. Raises StoreAway, Halted."""
    live = frozenset(
        Claim(record_id, dataset_id, token, "").attempt_name
        for record_id, dataset_id, token in SyncRecord.either.filter(
            state=State.RUNNING
        ).values_list("pk", "job__dataset_id", "token")
    )
    return sum(
        sweep_partial(store, live_attempts=live, older_than_s=older_than_s)
        + sweep_packs(store, older_than_s=older_than_s)
        for store in _open_stores()
    )


def _open_stores() -> Iterator[BlobStore]:
    refuse_if_halted("nothing is swept")
    for workspace_id in Workspace.objects.values_list("pk", flat=True):
        store = open_store(workspace_id)
        store.need()
        yield store
