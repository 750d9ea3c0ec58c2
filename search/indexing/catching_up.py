"""What the queue does for a dataset whose index is behind, for some seconds at a time."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import structlog

from search.embedding.builtin import the_model
from search.indexing.queued_texts import index_queued_texts
from search.indexing.ringing import forget_rung_indexes
from search.vectors.leases import IndexFenced, IndexLease, claim_index
from search.vectors.rounds import VectorRound, index_vectors
from search.vectors.tending import tend_generation

log = structlog.get_logger(__name__)

TEXTS_S = 20.0  # so that datasets share the process
NICENESS = 5  # who waits for a sync, or for a page, goes first


def catch_up(dataset_id: uuid.UUID, *, owner: str, check: Callable[[], None]) -> bool:
    """Whether more is to be done at once. Raises what `check` raises."""
    the_model().niceness = NICENESS
    lease = claim_index(dataset_id, owner)
    if lease is None:
        return False

    def look() -> None:
        check()
        lease.renew_when_due()

    try:
        if index_queued_texts(dataset_id, check=look, budget_s=TEXTS_S).more:
            return True  # words first: whoever searches finds what is new
        done = index_vectors(lease, check=check)
    except IndexFenced:
        return False
    finally:
        lease.release()
    _tell(lease, done)
    if done.more or done.failure:
        return done.more
    if done.is_busy:
        forget_rung_indexes([dataset_id])  # its workspace's turn comes within seconds
        return False
    tend_generation(lease.workspace_id, check)
    return False


def _tell(lease: IndexLease, done: VectorRound) -> None:
    if done.embedded or done.copied or done.refused:
        log.info(
            "index.vectors",
            dataset=str(lease.dataset_id),
            embedded=done.embedded,
            copied=done.copied,
            refused=done.refused,
        )
