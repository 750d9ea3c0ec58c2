"""Halts work after a restore until a person decides: fires, records that were queued before, files at sources.

`datasets.installation` tells why a host is halted. What people ask for meanwhile is worked on, but for the
files at the source, which stay.
"""

from __future__ import annotations

import threading
import uuid
from datetime import datetime

from datasets.installation import HALT_WORDS, Halt, Known, find_halt
from syncjobs.core.states import State
from syncjobs.models import ASKED, SyncRecord
from syncjobs.queries.halts import WHAT_TO_DO, find_halt_here, halt_words
from timing.clock import database_now


class Halted(Exception):
    """A restored database may not do this before a person resumes."""


_lock = threading.Lock()
_noticed_at: datetime | None = None


def refuse_if_halted(what: str) -> None:
    """Raises Halted, whose message begins with `what`."""
    if (halt := find_halt_here()) is not None:
        raise Halted(f"{what} before {WHAT_TO_DO}: {HALT_WORDS[halt]}")


def leave_to_person(record_id: uuid.UUID, known: Known | None) -> bool:
    """Whether the record has to wait for a resume, which it then says: on a halted host only what a person
    has asked for since this process noticed is worked on."""
    halt = find_halt(known)
    since = _note_since(halt)
    if halt is None:
        return False
    record = SyncRecord.either.filter(pk=record_id, state=State.QUEUED)
    if record.filter(trigger__in=ASKED, queued_at__gt=since).exists():
        return False
    words = halt_words(halt)[:200]
    record.exclude(waiting_for=words).update(waiting_for=words)
    return True


def _note_since(halt: Halt | None) -> datetime | None:
    global _noticed_at
    with _lock:
        if halt is None:
            _noticed_at = None
        elif _noticed_at is None:
            _noticed_at = database_now()
        return _noticed_at
