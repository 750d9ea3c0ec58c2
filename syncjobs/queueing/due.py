"""Does the work of beat and the workers once, in one process: for hosts where only cron runs.

Each step is safe beside beats and workers that do the same: they all go by the rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection
from dataclasses import dataclass

from django.db import connection

from syncjobs.claims.pulsing import REAPER
from syncjobs.claims.reaping import clean_up
from syncjobs.core.watching import SEEN_WITHIN_S
from syncjobs.queries.halts import find_halt_here
from syncjobs.queueing.backfilling import advance_backfills
from syncjobs.queueing.dispatching import dispatch_due
from syncjobs.queueing.giving_up import give_up
from syncjobs.queueing.ringing import take_unrung

_AGE_OF_REAPER = """
SELECT coalesce(extract(epoch FROM now() - max(at)) > %s, true)
  FROM syncjobs_pulse WHERE part = %s
"""


@dataclass(frozen=True, slots=True)
class Due:
    """Jobs, by what was done for their fires."""

    queued: int
    coalesced: int
    skipped: int

    def __str__(self) -> str:
        words = f"{self.queued} queued"
        if self.coalesced:
            words += f", {self.coalesced} served by what waits already"
        if self.skipped:
            words += f", {self.skipped} skipped"
        return words


def dispatch_all() -> Due:
    """Serves every due fire, and what backfills have to go on with; nothing where a restore has halted this
    host."""
    if find_halt_here() is not None:
        return Due(0, 0, 0)
    give_up()
    queued = coalesced = skipped = 0
    while (served := dispatch_due()).jobs:
        queued += served.queued
        coalesced += served.coalesced
        skipped += served.skipped
    queued += advance_backfills()
    return Due(queued, coalesced, skipped)


def take_next(seen: Collection[uuid.UUID]) -> uuid.UUID | None:
    """The record whose turn it is, of those that were not `seen`; None where no other waits. Workers are not
    called for it meanwhile: the claim decides."""
    for _ in range(len(seen) + 1):
        taken = take_unrung(1, ring_again_s=1)
        # Records that have ended made room for the next ones.
        if not taken and find_halt_here() is None and advance_backfills():
            continue
        if not taken or taken[0] not in seen:
            return taken[0] if taken else None
    return None


def clean_up_where_nobody_does(*, by: str) -> int:
    """Takes back stuck records where no sweep was made lately; their count. Beat and the workers, where they
    run, do it with more care."""
    with connection.cursor() as cursor:
        cursor.execute(_AGE_OF_REAPER, [SEEN_WITHIN_S, REAPER])
        (nobody,) = cursor.fetchone()
    return clean_up(by=by).count if nobody else 0
