"""Where a process is killed: at the n-th pass of a named point, by SIGKILL.

The points are laid from outside, over functions of the product and of its libraries; the product knows
nothing of them. `lay` is called in a process that was forked for one piece of work.
"""

from __future__ import annotations

import functools
import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

import psycopg
from django.db.backends.base.base import BaseDatabaseWrapper

from alerts.sending import office
from alerts.sending.courier import Courier
from datasets.places import Places
from datasets.receipts import Receipts
from search.indexing import batches, stage
from store import flushing, packs, partials
from syncjobs.engine import receiving
from syncjobs.works.files import publishing

# name: (owner, attribute, whether the kill comes before the call)
POINTS: dict[str, tuple[Any, str, bool]] = {
    "while bytes arrive": (receiving.StoreReceiver, "write", False),
    "after a temp file's write": (partials, "write_all", False),
    "after a pack's write": (packs, "write_all", False),
    "after fsync": (os, "fsync", False),
    "after the sync of files or folders": (flushing, "flush_all", False),
    "before rename": (os, "rename", True),
    "after rename": (os, "rename", False),
    "before the packs' index": (Places, "add", True),
    "after the packs' index": (Places, "add", False),
    "before packed contents move": (Places, "move", True),
    "after packed contents move": (Places, "move", False),
    "after blobs were refreshed": (Places, "refresh", False),
    "before receipts": (Receipts, "settle", True),
    "after receipts": (Receipts, "settle", False),
    "before a version's transaction": (publishing, "write_version", True),
    "within a version's transaction": (publishing, "write_version", False),
    "before a commit of the work's": (psycopg.Transaction, "__exit__", True),
    "after a commit of the work's": (psycopg.Transaction, "__exit__", False),
    "before a commit of the record's": (BaseDatabaseWrapper, "_commit", True),
    "after a commit of the record's": (BaseDatabaseWrapper, "_commit", False),
    "after a statement of a session": (psycopg.Cursor, "execute", False),
    "while texts are staged": (batches.ChunkCopy, "write", False),
    "before texts are written": (batches.TextBatch, "write", True),
    "after texts were written": (batches.TextBatch, "write", False),
    "before texts are planned": (stage, "plan_texts", True),
    "after texts were planned": (stage, "plan_texts", False),
    "before an index is settled": (stage, "settle_index", True),
    "before messages are claimed": (office, "claim_messages", True),
    "after messages were claimed": (office, "claim_messages", False),
    "while a message is sent": (Courier, "wait", True),
    "between a sending and its mark": (office, "settle_try", True),
    "after a message was marked": (office, "settle_try", False),
    "after messages were made": (office, "make_messages", False),
    "before a removal": (os, "unlink", True),
    "after a removal": (os, "unlink", False),
}


def lay(passed: Counter[str], kill_at: str | None, nth: int) -> None:
    """Counts every point in `passed`; at the n-th pass of `kill_at` this process is no more."""
    lock = threading.Lock()

    def hit(name: str) -> None:
        with lock:
            passed[name] += 1
            if name == kill_at and passed[name] == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    for name, (owner, attribute, before) in POINTS.items():
        setattr(owner, attribute, _watched(getattr(owner, attribute), name, hit, before=before))


def _watched(
    call: Callable[..., Any], name: str, hit: Callable[[str], None], *, before: bool
) -> Callable[..., Any]:
    @functools.wraps(call)
    def watched(*args: Any, **kwargs: Any) -> Any:
        if before:
            hit(name)
        answer = call(*args, **kwargs)
        if not before:
            hit(name)
        return answer

    return watched
