"""Deletes or moves files at the source after a published version holds them.

Each is looked at again just before: it must be what was published, by size and time. Nothing waits in a
table: what a lost worker left undone, the next record finds listed and published, and does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import psycopg
import structlog

from connectors.opening import open_remover
from datasets.catalog import Listed
from datasets.fencing import Fenced
from datasets.versions import iter_published
from farends import names
from farends.contract import RemoteEntry, Remover
from farends.errors import (
    ConnectionLost,
    ProtocolViolation,
    Stalled,
    Throttled,
    TransportError,
    Vanished,
)
from farends.names import printable
from store.blobs import BlobStore
from store.errors import StoreError
from syncjobs.core.comparing import Fingerprint, proves_equal
from syncjobs.engine.stops import CancelAsked, DeadlinePassed, DrainAsked, NoProgress, WindowClosed
from syncjobs.leases.lease import Lease
from syncjobs.models import AfterPublish, ItemAction, SyncJob, SyncRecord
from syncjobs.queries.halts import find_halt_here, halt_words
from syncjobs.works.contract import Assignment, Claim

NOTED_AT_ONCE = 200
LEFT_MAX = 10_000  # a source that refuses every file is not asked about a million

_ITEMS = (
    "COPY syncjobs_syncitem (record_id, path, action, size_bytes, error_code, message) FROM STDIN"
)
_COUNTS = """
UPDATE syncjobs_syncrecord SET files_cleared = files_cleared + %(cleared)s,
    files_left = files_left + %(left)s
 WHERE id = %(record)s AND token = %(token)s AND lease_owner = %(owner)s
"""
_OVER = (ConnectionLost, ProtocolViolation, Stalled, Throttled)

log = structlog.get_logger(__name__)


class _Enough(Exception):
    """No further file may be touched."""


@dataclass(frozen=True, slots=True)
class _Done:
    file: Listed
    action: ItemAction
    code: str = ""
    message: str = ""


@dataclass(slots=True)
class _Tally:
    cleared: int = 0
    left: int = 0
    first_left: str = ""
    waiting: list[_Done] = field(default_factory=list)

    def add(self, done: _Done) -> None:
        self.waiting.append(done)
        if done.action is not ItemAction.LEFT:
            self.cleared += 1
            return
        self.left += 1
        self.first_left = self.first_left or f"{done.file.path}: {done.message}"


def clear_source(session: psycopg.Connection[Any], assignment: Assignment, store: BlobStore) -> str:
    """Call it after the publishing transaction, with the same session. Returns a warning, or nothing:
    whatever the source refuses fails no record. Raises LeaseLost and Fenced."""
    tally = _Tally()
    stopped = ""
    try:
        _clear_all(session, assignment, store, tally)
    except TransportError as exc:
        stopped = str(exc)
    except (CancelAsked, DeadlinePassed, DrainAsked, NoProgress, WindowClosed, _Enough) as exc:
        # The version is published: what is left to do here is no reason to end the record otherwise.
        stopped = str(exc) or (type(exc).__doc__ or "").rstrip(".")
    _note(session, assignment.claim, tally)
    return _warning(assignment.record, tally, stopped)


def _clear_all(
    session: psycopg.Connection[Any], assignment: Assignment, store: BlobStore, tally: _Tally
) -> None:
    record, lease = assignment.record, assignment.lease
    with ExitStack() as opened:
        remover: Remover | None = None
        for number, (file, sha256) in enumerate(iter_published(session)):
            lease.check()
            lease.progress.moved()
            if number % NOTED_AT_ONCE == 0:
                _note(session, assignment.claim, tally)
                _check_job(record)
            if remover is None:
                remover = opened.enter_context(
                    closing(
                        open_remover(
                            record.get_connector(), check=lease.check, moved=lease.progress.moved
                        )
                    )
                )
            is_held = partial(_is_held, store, sha256, lease)
            done = _clear(remover, record.job, file, is_held)
            if done is not None:
                tally.add(done)
            if tally.left >= LEFT_MAX:
                raise _Enough(f"{LEFT_MAX} files were refused")


def _check_job(record: SyncRecord) -> None:
    """A person who changes their mind is heard at once; and a restored database is not let at the source."""
    if (halt := find_halt_here()) is not None:
        raise _Enough(f"waits for {halt_words(halt)}")
    wish = record.job.after_publish, record.job.move_to
    if not SyncJob.objects.filter(
        pk=record.job_id, after_publish=wish[0], move_to=wish[1]
    ).exists():
        raise _Enough("the job was edited")


def _clear(
    remover: Remover, job: SyncJob, file: Listed, is_held: Callable[[], bool]
) -> _Done | None:
    """What was done, or None where somebody else has taken the file away."""
    path = names.from_text(file.path)
    try:
        found = remover.find(path)
        if found is None:
            return None
        if not proves_equal(_fingerprint(found), _fingerprint(file), 1):
            words = "it is not the published file any more"
            return _Done(file, ItemAction.LEFT, "changed_since", words)
        if not is_held():
            return _Done(file, ItemAction.LEFT, "blob_missing", "its copy here is not whole")
        if job.after_publish == AfterPublish.DELETE:
            remover.remove(path)
            return _Done(file, ItemAction.DELETED)
        to = f"{names.from_text(job.move_to)}/{path}"
        remover.move(path, to)
        return _Done(file, ItemAction.MOVED, message=f"to {names.to_text(to)}")
    except Vanished:
        return None
    except _OVER:
        raise
    except TransportError as exc:
        return _Done(file, ItemAction.LEFT, exc.code, str(exc))


def _is_held(store: BlobStore, sha256: bytes, lease: Lease) -> bool:
    """Every byte is read again: after this, ours may be the only copy."""

    def go_on(size_bytes: int) -> None:
        lease.check()
        lease.progress.moved()

    try:
        store.prove(sha256, advance=go_on)
    except (StoreError, OSError):
        return False
    return True


def _note(session: psycopg.Connection[Any], claim: Claim, tally: _Tally) -> None:
    """Raises Fenced: then another worker has the record, and does the rest."""
    if not tally.waiting:
        return
    left = sum(done.action is ItemAction.LEFT for done in tally.waiting)
    with session.transaction(), session.cursor() as cursor:
        with cursor.copy(_ITEMS) as copy:
            for done in tally.waiting:
                message = printable(done.message)
                copy.write_row(
                    (
                        claim.record_id,
                        done.file.path,
                        done.action.value,
                        done.file.size_bytes,
                        done.code,
                        message,
                    )
                )
        cursor.execute(
            _COUNTS,
            {
                "cleared": len(tally.waiting) - left,
                "left": left,
                "record": claim.record_id,
                "token": claim.token,
                "owner": claim.owner,
            },
        )
        if cursor.rowcount != 1:
            raise Fenced("the record was taken back")
    tally.waiting.clear()


def _warning(record: SyncRecord, tally: _Tally, stopped: str) -> str:
    words = []
    what = (
        f"{'deleted' if record.job.after_publish == AfterPublish.DELETE else 'moved'} at the source"
    )
    if tally.left:
        words.append(f"{tally.left} files could not be {what}; the first: {tally.first_left}")
    if stopped:
        words.append(
            f"{tally.cleared} files were {what}, then it stopped: {stopped}. The next record goes on"
        )
    warning = "; ".join(words)
    if warning:
        log.warning("source.not_cleared", left=tally.left, stopped=stopped)
    return warning


def _fingerprint(file: Listed | RemoteEntry) -> Fingerprint:
    return Fingerprint(file.size_bytes, file.modified_ns, file.etag)
