"""What a record asks of the engine: its job's rules, as the engine's `Order`."""

from __future__ import annotations

import uuid
from dataclasses import replace

from django.conf import settings

from datasets.catalog import Trust
from syncjobs.core.comparing import Comparison
from syncjobs.core.deadlines import Allowance
from syncjobs.core.plans import Waiver
from syncjobs.core.selection import Selection
from syncjobs.engine.order import Order
from syncjobs.models import OnDelete, SyncJob, SyncMode, SyncRecord
from syncjobs.queries.failed_files import list_failed_paths

TRUST = {
    Comparison.MODIFIED: Trust(),
    Comparison.CHECKSUM: Trust(listing=False, receipts=False, times=False),
    Comparison.SIZE: Trust(listing=False, times=False),
    Comparison.ETAG: Trust(listing=False, times=False),
}


def make_order(record: SyncRecord, allowance: Allowance) -> Order:
    """Raises InvalidPattern."""
    job = record.job
    selection = make_selection(job)
    selection.check()
    only = list_failed_paths(uuid.UUID(record.redrive["record"])) if record.redrive else None
    return Order(
        source=f"{job.dataset_id} {record.get_connector().endpoint}",
        selection=selection,
        removals_apply=only is None and job.on_delete == OnDelete.KEEP_VERSION,
        full=record.mode == SyncMode.FULL,
        waiver=read_waiver(record),
        allowance=allowance,
        settle_s=job.settle_s,
        max_files=job.max_files,
        max_bytes=job.max_bytes,
        max_listed=settings.SYNC.max_listed or None,
        as_listed=record.applies_id is not None,
        comparison=Comparison(job.comparison),
        only=only,
    )


def read_waiver(record: SyncRecord) -> Waiver | None:
    """What a person released the record to do."""
    if not (record.guards_waived and record.hold):
        return None
    return Waiver(record.hold["rule"], record.hold["files"])


MIB = 1 << 20


def make_selection(job: SyncJob) -> Selection:
    """The extensions of the installation count where the job names no files to take (`include`,
    `filters`, `extensions`), its size limit where the job has none (docs/decisions/003)."""
    chosen = job.selection
    if not (chosen.include or chosen.filters or chosen.extensions):
        chosen = replace(chosen, extensions=settings.SYNC.supported_extensions)
    limit_mb = settings.SYNC.max_file_size_mb
    if limit_mb and chosen.max_file_size_bytes is None:
        chosen = replace(chosen, max_file_size_bytes=limit_mb * MIB)
    return chosen
