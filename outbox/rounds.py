"""Sends one round of a stream in the caller's own process: what `stream NAME send` does."""

from __future__ import annotations

from dataclasses import dataclass

from outbox.delivery import deliver
from outbox.figures import read_status
from outbox.models import Stream, StreamTail
from outbox.streams import hurry_stream
from syncjobs.claims.presence import name_process
from syncjobs.leases.heart import Heart

STREAKS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class Round:
    has_moved: bool  # something is done with that waited
    is_empty: bool


def send_round(stream: Stream) -> Round:
    """Until nothing waits, or the stream must wait for something. Raises StreamPaused."""
    hurry_stream(stream)
    before = _done_seq(stream)
    heart = Heart(name_process())
    for _ in range(STREAKS_MAX):
        if not deliver(stream.pk, heart):
            break
    stream.refresh_from_db()
    status = read_status(stream)
    # A worker may have taken the stream meanwhile: then it moves, elsewhere.
    has_moved = _done_seq(stream) > before or status.is_delivering
    return Round(has_moved, status.queue_size == 0)


def _done_seq(stream: Stream) -> int:
    return StreamTail.objects.values_list("done_seq", flat=True).get(pk=stream.pk)
