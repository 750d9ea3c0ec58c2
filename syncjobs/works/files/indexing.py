"""Brings the index of a dataset to the version that its record has just published, in the record's own stage.

The version is there, and search never shows what it does not hold. So nothing that happens here ends the record
otherwise: what is left is told as the record's warning, and the queue `index` does it.
"""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from django.conf import settings

from search.choices import find_languages
from search.core.wishes import IndexWish
from search.embedding.breaker import find_outage
from search.embedding.knocking import knock
from search.indexing.marking import ALONE_S, ensure_index
from search.indexing.plan import find_terms
from search.indexing.stage import TextStage
from store.blobs import BlobStore
from store.errors import StoreBroken, StoreError
from syncjobs.core.states import Stage
from syncjobs.engine.stops import LeaseLost, Stop
from syncjobs.works.contract import Assignment

log = structlog.get_logger(__name__)


def index_version(
    session: psycopg.Connection[Any], assignment: Assignment, store: BlobStore
) -> str:
    """Call it after the publishing transaction, with the same session. Returns a warning, or nothing. Raises
    LeaseLost."""
    try:
        reason = _find_and_index(session, assignment, store)
    except LeaseLost:
        raise
    except Stop as exc:
        reason = str(exc) or (type(exc).__doc__ or "").rstrip(".")
    except StoreError as exc:
        reason = f"{exc.code}: {exc}"
    except OSError as exc:
        reason = f"{StoreBroken.code}: {exc.strerror}"
    except psycopg.errors.QueryCanceled:
        reason = _explain_cut(assignment)
    except psycopg.errors.LockNotAvailable:
        reason = "somebody else works on it"
    except Exception as exc:
        # Whatever it is: the version is published, and an index can be made again.
        log.exception("index.failed")
        reason = f"internal error: {type(exc).__name__}"
    if not reason:
        return ""
    log.warning("index.behind", reason=reason)
    return f"index_behind: {reason}"


def _explain_cut(assignment: Assignment) -> str:
    """Raises LeaseLost."""
    try:
        assignment.lease.check()
    except LeaseLost:
        raise
    except Stop as exc:
        return str(exc) or (type(exc).__doc__ or "").rstrip(".")
    return "a statement took too long"


def _find_and_index(
    session: psycopg.Connection[Any], assignment: Assignment, store: BlobStore
) -> str:
    """Returns why something is left; empty: nothing is, or the queue goes on without a fault. No service is asked for
    vectors: what the queue has learned of it is known, and where it has learned nothing yet, we look whether anybody is
    there."""
    record, lease = assignment.record, assignment.lease
    terms = find_terms(session, assignment.claim.dataset_id)
    if terms is None:
        with session.cursor() as cursor:
            ensure_index(cursor, assignment.claim.dataset_id, IndexWish(record.job.index))
    elif not terms.is_behind:
        return find_outage(session, assignment.claim.dataset_id)
    if record.crash_count:
        return "an earlier attempt was cut off (its worker, or the database, went away); the queue goes on"
    lease.progress.enter(Stage.UPDATING_EMBEDDINGS)
    done = TextStage(
        session=session,
        dataset_id=assignment.claim.dataset_id,
        store=store,
        languages=find_languages(record.workspace_id),
        budget_s=settings.SYNC.index_budget_s,
        keep_s=settings.SYNC.index_keep_s,
        check=lease.check,
        moved=lease.progress.moved,
        told=lease.progress.indexing,
        alone_s=ALONE_S,
    ).run()
    if not done.reason:
        knock(session, record.workspace_id, assignment.claim.dataset_id, lease.check)
    lease.progress.enter(Stage.FINALIZING)
    return done.reason or find_outage(session, assignment.claim.dataset_id)
