"""One attempt at a file sync, from the listing to the published version, the cleared source and the index.

It owns no transaction; it calls those that do, and asks the lease before each.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any

import psycopg
import structlog
from django.conf import settings

from connectors.learning import learn_answer
from connectors.opening import keep_capabilities, open_transport
from database.sessions import LazySession, open_session
from datasets.catalog import Catalog
from datasets.models import DatasetKind
from datasets.receipts import Receipts
from datasets.store import open_store
from datasets.versions import Published
from search.core.wishes import IndexWish
from store.blobs import BlobStore
from store.errors import DiskFull, QuotaExceeded, StoreAway, StoreError
from syncjobs.core.comparing import Comparison
from syncjobs.core.patterns import InvalidPattern
from syncjobs.core.plans import Held
from syncjobs.core.states import Event
from syncjobs.engine.filesync import FileSync
from syncjobs.engine.order import Attempt, Outcome
from syncjobs.models import AfterPublish, SyncMode
from syncjobs.works.contract import Assignment, Claim, Ending, Failed, end
from syncjobs.works.files.clearing import clear_source
from syncjobs.works.files.endings import (
    end_drifted,
    end_held,
    end_planned,
    end_published_already,
    end_succeeded,
)
from syncjobs.works.files.indexing import index_version
from syncjobs.works.files.keeping import (
    PlanDrifted,
    confirm_plan,
    judge_released,
    keep_held_plan,
    keep_plan,
    list_terms,
)
from syncjobs.works.files.order import TRUST, make_order, read_waiver
from syncjobs.works.files.publishing import GuardStopped, publish
from syncjobs.works.files.room import need_room, permit_growth
from syncjobs.works.files.trees import bring_tree

log = structlog.get_logger(__name__)


class FileWork:
    """The work of every far end that has files."""

    dataset_kind = DatasetKind.FILES

    def run(self, assignment: Assignment) -> Ending:
        try:
            return _sync(assignment)
        except PlanDrifted as exc:
            return end_drifted(exc)
        except StoreAway as exc:
            log.warning("record.store_away", code=exc.code)
            return end(
                Event.INTERRUPTED,
                f"its worker does not see the store any more: {exc}",
                waiting_for="a worker that sees the store",
            )
        except StoreError as exc:
            # Nothing of what a full disk could not hold is kept.
            further = False if isinstance(exc, DiskFull) else None
            raise Failed(
                exc.code,
                str(exc),
                retryable=exc.retryable,
                waits=exc.retryable,
                got_further=further,
            ) from exc
        except InvalidPattern as exc:
            raise Failed("invalid_pattern", str(exc)) from exc


def _sync(assignment: Assignment) -> Ending:
    record, held = assignment.record, assignment.claim
    if record.applies_id is not None and record.dataset_version is not None:
        return end_published_already(record)
    # An operator sees in pg_stat_activity which record, at which token, a session works for.
    keeping = LazySession(statement_timeout_s=300, name=f"keeping {held.attempt_name}")
    store = open_store(record.workspace_id, keeping)
    store.keep_free(settings.SYNC.min_free_bytes)
    session = open_session(statement_timeout_s=300, name=held.session_name)
    kept = True  # pieces of files wait for the next attempt
    try:
        with assignment.lease.cutting(session):
            catalog, outcome = _fetch(assignment, session, keeping, store)
            if record.dry_run:
                return _keep_plan(assignment, session, catalog, outcome)
            if outcome.held is not None:
                return _hold(assignment, session, catalog, outcome, outcome.held)
            try:
                published = _publish(assignment, session, catalog, outcome, store)
            except GuardStopped as exc:
                return _hold(assignment, session, catalog, outcome, exc.held)
            kept = False
        warning = outcome.unproved.warning
        if _clears(assignment, outcome):
            warning = clear_source(session, assignment, store)
        stale = bring_tree(session, assignment, store)
        behind = index_version(session, assignment, store)
        warning = "; ".join(filter(None, (warning, stale, behind)))
        return end_succeeded(outcome, published, assignment.lease.progress, warning)
    except (DiskFull, QuotaExceeded):
        kept = False  # what waits would keep it full, for every other job too
        raise
    except (StoreError, OSError):
        store.need()  # an error of a disk that is gone says so
        raise
    finally:
        session.close()
        keeping.close()
        _close_attempt(store, held, keep=kept)


def _fetch(
    assignment: Assignment,
    session: psycopg.Connection[Any],
    keeping: LazySession,
    store: BlobStore,
) -> tuple[Catalog, Outcome]:
    record, held, lease = assignment.record, assignment.claim, assignment.lease
    progress = lease.progress
    order = make_order(record, assignment.allowance)
    transport = open_transport(record.get_connector(), check=lease.check, moved=progress.moved)
    with closing(transport):
        catalog = Catalog(
            session,
            dataset_id=held.dataset_id,
            record_id=record.pk,
            token=held.token,
            full=record.mode == SyncMode.FULL,
            trust=TRUST[Comparison(record.job.comparison)],
            moved=progress.moved,
        )
        receipts = Receipts(
            keeping, dataset_id=held.dataset_id, record_id=record.pk, token=held.token
        )
        attempt = Attempt(held.attempt_name, progress, lease.check)
        sync = FileSync(order, transport, catalog, attempt)

        def confirm(outcome: Outcome) -> None:
            if record.applies_id is not None:
                confirm_plan(session, record, list_terms(record.job, catalog, outcome), outcome)
            if (held := judge_released(session, record, outcome)) is not None:
                raise _OtherPlan(replace(outcome, held=held))
            if outcome.held is None:
                need_room(record, catalog, store)

        try:
            outcome = sync.plan() if record.dry_run else sync.run(store, receipts, confirm)
        except _OtherPlan as exc:
            outcome = exc.outcome
        keep_capabilities(record.get_connector(), sync.capabilities)
    learn_answer(record.get_connector())
    return catalog, outcome


class _OtherPlan(Exception):
    """What a person has released is not what would be done now."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__("the plan has changed since it was released")
        self.outcome = outcome


def _hold(
    assignment: Assignment,
    session: psycopg.Connection[Any],
    catalog: Catalog,
    outcome: Outcome,
    held: Held,
) -> Ending:
    return end_held(held, keep_held_plan(session, assignment.claim, catalog, outcome))


def _keep_plan(
    assignment: Assignment,
    session: psycopg.Connection[Any],
    catalog: Catalog,
    outcome: Outcome,
) -> Ending:
    terms = list_terms(assignment.record.job, catalog, outcome)
    troubles = assignment.lease.progress.troubles
    keep_plan(session, assignment.claim, catalog, outcome, terms, troubles)
    return end_planned(outcome)


def _publish(
    assignment: Assignment,
    session: psycopg.Connection[Any],
    catalog: Catalog,
    outcome: Outcome,
    store: BlobStore,
) -> Published:
    record, lease = assignment.record, assignment.lease
    lease.check()
    store.need()  # what was stored meanwhile went to where it will be looked for
    return publish(
        session,
        assignment.claim,
        catalog,
        removals=outcome.removals,
        troubles=lease.progress.troubles,
        listed=outcome.plan.listed,
        waiver=read_waiver(record),
        whole=lease.progress.snapshot.files_failed == 0 and record.redrive is None,
        permit=partial(permit_growth, record, catalog),
        mark=_clears(assignment, outcome),
        verified=outcome.looked_at_all,
        wish=IndexWish(record.job.index),
    )


def _clears(assignment: Assignment, outcome: Outcome) -> bool:
    """What may be half of a file stays at its source."""
    wish = assignment.record.job.after_publish
    return wish != AfterPublish.KEEP and not outcome.unproved.files


def _close_attempt(store: BlobStore, held: Claim, *, keep: bool) -> None:
    """What a disk that is gone cannot clear waits for the sweep."""
    try:
        store.close_attempt(held.attempt_name, keep=keep)
    except OSError as exc:
        log.warning("record.not_cleared", error=exc.strerror)
