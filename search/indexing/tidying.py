"""Deletes texts that are kept for a rollback no longer: also in datasets that nothing has changed since, and where the
versions that had them are gone."""

from __future__ import annotations

import uuid
from contextlib import closing

from django.conf import settings

from database.sessions import open_session
from search.indexing.emptying import drop_gone, drop_unnamed

_OLD = """
SELECT DISTINCT dataset_id FROM search_indexedtext
 WHERE gone_at IS NOT NULL AND gone_at < now() - make_interval(secs => %s)
"""


def drop_old_texts() -> int:
    """Their number."""
    keep_s = settings.SYNC.index_keep_s
    count = 0
    with closing(open_session(statement_timeout_s=300, name="old texts")) as session:
        for (dataset_id,) in session.execute(_OLD, [keep_s]).fetchall():
            while dropped := drop_gone(session, dataset_id, keep_s=keep_s):
                count += dropped
    return count


def drop_unnamed_texts(dataset_id: uuid.UUID) -> int:
    """Deletes the texts of contents that no version of the dataset has any more; their number."""
    count = 0
    with closing(open_session(statement_timeout_s=300, name="old texts")) as session:
        while dropped := drop_unnamed(session, dataset_id):
            count += dropped
    return count
