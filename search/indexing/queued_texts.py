"""Does what records left of the texts of an index: the first half of what the queue `index` does for a dataset."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import closing

import psycopg
import structlog
from django.conf import settings

from database.sessions import open_session
from datasets.store import open_store
from search.choices import find_languages
from search.indexing.plan import find_terms
from search.indexing.settling import settle_index
from search.indexing.stage import TRY_AGAIN_S, TextsIndexed, TextStage
from store.errors import StoreBroken, StoreError

log = structlog.get_logger(__name__)


def index_queued_texts(
    dataset_id: uuid.UUID, *, check: Callable[[], None], budget_s: float
) -> TextsIndexed:
    """Call it under the dataset's lease. `check` raises what must end the work.

    A store that is away or breaks is the reason that the index tells, and no error."""
    with closing(open_session(statement_timeout_s=300, name=f"index {dataset_id.hex}")) as session:
        terms = find_terms(session, dataset_id)
        if terms is None:
            return TextsIndexed()
        try:
            return TextStage(
                session=session,
                dataset_id=dataset_id,
                store=open_store(terms.workspace_id),
                languages=find_languages(terms.workspace_id),
                budget_s=budget_s,
                keep_s=settings.SYNC.index_keep_s,
                check=check,
            ).run()
        except StoreError as exc:
            reason = f"{exc.code}: {exc}"
        except OSError as exc:
            reason = f"{StoreBroken.code}: {exc.strerror or exc}"
        except psycopg.errors.QueryCanceled:
            reason = "a statement took too long"
        except psycopg.errors.LockNotAvailable:
            return TextsIndexed(
                pending_texts=terms.pending_texts, reason="somebody else works on it"
            )
        log.warning("index.texts_stopped", dataset=str(dataset_id), reason=reason)
        left = settle_index(session, dataset_id, reason=reason, after_s=TRY_AGAIN_S)
        return TextsIndexed(pending_texts=left, reason=reason)
