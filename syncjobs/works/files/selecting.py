"""Makes the selection of a job: its own rules and, where it has none, those of the installation."""

from __future__ import annotations

from dataclasses import replace

from django.conf import settings

from syncjobs.core.selection import Selection
from syncjobs.models import SyncJob

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
