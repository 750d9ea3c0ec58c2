"""Keeps a job's current tree: the plain folder that shows its dataset's current version.

The version is published before, and whatever happens to the tree ends no record otherwise: what it lacks is told as the
record's warning, and the next record, or `checkout --follow`, goes on. One process at a time writes a tree: it holds
a lock on a file beside, also while it is stopped, so that one that wakes up late cannot put an old file over a new one.
"""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import structlog
from django.conf import settings

from database.rows import fetch_rows
from datasets.checkout import opened_folder
from datasets.trees import Brought, FollowedFile, TreeBringing
from farends import names
from farends.names import printable
from store.blobs import BlobStore
from store.errors import StoreError
from syncjobs.engine.stops import LeaseLost, Stop
from syncjobs.models import SyncJob
from syncjobs.works.contract import Assignment

log = structlog.get_logger(__name__)

LOCKS = ".syncproject"  # below TREE_ROOT
PAGE = 2_000
WARNING_MAX = 500
_PROBED_NS = 1_234_567_891_123_456_789  # a time that only a file system with nanoseconds keeps

_CURRENT = "SELECT number FROM datasets_version WHERE dataset_id = %s AND is_current"
_STATE = "SELECT path, version FROM syncjobs_currenttree WHERE job_id = %s"
_BEGIN = """
INSERT INTO syncjobs_currenttree (job_id, path, version, target, warning, at)
VALUES (%(job)s, %(path)s, NULL, %(target)s, '', now())
ON CONFLICT (job_id) DO UPDATE SET target = %(target)s, path = %(path)s, at = now(),
    version = CASE WHEN syncjobs_currenttree.path = %(path)s THEN syncjobs_currenttree.version END
"""
_END = """
UPDATE syncjobs_currenttree SET version = target, target = NULL, warning = %(warning)s, at = now()
 WHERE job_id = %(job)s
"""
# Without a path where nothing was begun: a folder with files of others does not become ours by a warning.
_WARN = """
INSERT INTO syncjobs_currenttree (job_id, path, version, target, warning, at)
VALUES (%(job)s, '', NULL, NULL, %(warning)s, now())
ON CONFLICT (job_id) DO UPDATE SET warning = %(warning)s, at = now()
"""
# Of a source that tells no time: when the version came with which the file is held.
_HELD = """
SELECT e.path, e.sha256, e.size_bytes, e.since,
       coalesce(e.modified_ns, (extract(epoch FROM v.created_at) * 1000000)::bigint * 1000, 0) AS modified_ns
  FROM datasets_entry e LEFT JOIN datasets_version v ON v.dataset_id = e.dataset_id AND v.number = e.since
 WHERE e.dataset_id = %(dataset)s AND e.since <= %(number)s AND (e.until IS NULL OR e.until > %(number)s)
   AND e.path > %(last)s
 ORDER BY e.path LIMIT %(most)s
"""
# What the tree may hold of versions since the one that it shows, and is not to hold any more.
_GONE = """
CREATE TEMP TABLE tree_gone AS
SELECT DISTINCT e.path FROM datasets_entry e
 WHERE e.dataset_id = %(dataset)s AND e.until > %(shown)s AND e.until <= %(number)s
   AND NOT EXISTS (SELECT FROM datasets_entry n
                    WHERE n.dataset_id = e.dataset_id AND n.path = e.path AND n.since <= %(number)s
                      AND (n.until IS NULL OR n.until > %(number)s))
"""
_DROP_GONE = "DROP TABLE IF EXISTS tree_gone"
_ORDER_GONE = "CREATE INDEX ON tree_gone (path)"
_NEXT_GONE = "SELECT path FROM tree_gone WHERE path > %(last)s ORDER BY path LIMIT %(most)s"


class TreeRefused(Exception):
    """The tree cannot be brought to the version; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Followed:
    """The version that the tree shows now, and what was done for it."""

    version: int
    folder: Path
    brought: Brought

    @property
    def warning(self) -> str:
        done = self.brought
        said = []
        if done.refused:
            path, reason = done.told_refused[0]
            said.append(
                f"{done.refused} files could not be written, such as {_show(path)}: {reason}"
            )
        if done.put_back:
            said.append(
                f"{done.put_back} files that somebody had changed there were put back, such as"
                f" {_show(done.told_put_back[0])}"
            )
        if done.foreign:
            said.append(f"{done.foreign} files that are not the dataset's lie there, and stay")
        return "; ".join(said)[:WARNING_MAX]


def bring_tree(session: psycopg.Connection[Any], assignment: Assignment, store: BlobStore) -> str:
    """Call it after the publishing transaction, with the same session. Returns a warning, or nothing. Raises
    LeaseLost."""
    job, lease = assignment.record.job, assignment.lease
    if not job.current_tree:
        return ""

    def check() -> None:
        lease.check()
        lease.progress.moved()

    try:
        return _worded(follow(session, job, store, check).warning)
    except LeaseLost:
        raise
    except TreeRefused as exc:
        reason = str(exc)
    except Stop as exc:
        reason = str(exc) or (type(exc).__doc__ or "").rstrip(".")
    except StoreError as exc:
        reason = f"{exc.code}: {exc}"
    except OSError as exc:
        reason = exc.strerror or type(exc).__name__
    except psycopg.errors.QueryCanceled:
        lease.check()
        reason = "a statement took too long; the next sync goes on"
    log.warning("tree.behind", reason=reason)
    with session.cursor() as cursor:
        cursor.execute(_WARN, {"job": job.pk, "warning": reason[:WARNING_MAX]})
    return _worded(reason)


def follow(
    session: psycopg.Connection[Any],
    job: SyncJob,
    store: BlobStore,
    check: Callable[[], None] = lambda: None,
) -> Followed:
    """Brings the job's tree to its dataset's current version, in short transactions. Raises TreeRefused, OSError,
    StoreError, and what `check` raises."""
    root: Path | None = settings.TREE_ROOT
    if root is None:
        raise TreeRefused("TREE_ROOT is not set where this worker runs")
    with session.cursor() as cursor:
        current = cursor.execute(_CURRENT, [job.dataset_id]).fetchone()
        if current is None:
            raise TreeRefused("the dataset has no version yet")
        with _locked(root, job.pk) as is_coarse, _opened_tree(root, job.current_tree) as tree:
            row = cursor.execute(_STATE, [job.pk]).fetchone()
            if (row is None or row[0] != job.current_tree) and os.listdir(tree):  # noqa: PTH208 — of an open folder
                raise TreeRefused(
                    f"{root / job.current_tree} is not empty, and was not made by this job: empty it, or choose"
                    " another current_tree"
                )
            cursor.execute(_BEGIN, {"job": job.pk, "path": job.current_tree, "target": current[0]})
            shown = row[1] if row is not None and row[0] == job.current_tree else None
            place = {"dataset": job.dataset_id, "number": current[0], "shown": shown or 0}
            cursor.execute(_DROP_GONE)
            cursor.execute(_GONE, place)
            cursor.execute(_ORDER_GONE)
            brought = TreeBringing(tree, store, shown, is_coarse, check).run(
                _iter_held(session, place), _iter_gone(session)
            )
            followed = Followed(current[0], root / job.current_tree, brought)
            cursor.execute(_END, {"job": job.pk, "warning": followed.warning})
            cursor.execute(_DROP_GONE)
    log.info(
        "tree.brought",
        version=followed.version,
        written=brought.written,
        removed=brought.removed,
        put_back=brought.put_back,
    )
    return followed


def _iter_held(session: psycopg.Connection[Any], place: dict[str, Any]) -> Iterator[FollowedFile]:
    last = ""
    while True:
        with session.cursor() as cursor:
            cursor.execute(_HELD, place | {"last": last, "most": PAGE})
            found = fetch_rows(cursor, FollowedFile)
        yield from found
        if len(found) < PAGE:
            return
        last = found[-1].path


def _iter_gone(session: psycopg.Connection[Any]) -> Iterator[str]:
    last = ""
    while True:
        with session.cursor() as cursor:
            cursor.execute(_NEXT_GONE, {"last": last, "most": PAGE})
            found = [path for (path,) in cursor.fetchall()]
        yield from found
        if len(found) < PAGE:
            return
        last = found[-1]


@contextmanager
def _locked(root: Path, job_id: uuid.UUID) -> Iterator[bool]:
    """Holds the tree of a job; yields whether its file system rounds times. Raises TreeRefused."""
    if not root.is_dir():
        raise TreeRefused(f"TREE_ROOT {root} is no folder that this worker sees")
    with opened_folder(root) as top:
        try:
            os.mkdir(LOCKS, 0o755, dir_fd=top)
        except FileExistsError:
            pass
        with opened_folder(LOCKS, os.O_NOFOLLOW, top) as locks:
            flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
            lock = os.open(job_id.hex, flags, 0o644, dir_fd=locks)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise TreeRefused("another process still writes it; the next sync goes on") from None
        os.utime(lock, ns=(_PROBED_NS, _PROBED_NS))
        yield os.fstat(lock).st_mtime_ns != _PROBED_NS
    finally:
        os.close(lock)


@contextmanager
def _opened_tree(root: Path, path: str) -> Iterator[int]:
    """The open folder of a tree, made where there is none. No link below TREE_ROOT is followed. Raises TreeRefused,
    OSError."""
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in names.from_text(path).split("/"):
            try:
                os.mkdir(name, 0o755, dir_fd=folder)
            except FileExistsError:
                pass
            try:
                flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
                inner = os.open(name, flags, dir_fd=folder)
            except NotADirectoryError:
                raise TreeRefused(
                    f"{_show(name)} in {root / path} is a link or a file, and no folder: remove it"
                ) from None
            os.close(folder)
            folder = inner
        yield folder
    finally:
        os.close(folder)


def _worded(reason: str) -> str:
    return f"current_tree: {reason}" if reason else ""


def _show(path: str) -> str:
    return printable(path, 200)
