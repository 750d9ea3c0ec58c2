"""Whether somebody is there at all, where an embedding service is asked for the first time."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import psycopg

from connectors.opening import make_context
from farends.web.url import read_base_url
from search.choices import OPENAI, find_embedding
from search.embedding.breaker import find_breaker, note_embed_failure
from search.embedding.contract import EmbedFailed
from search.embedding.openai import mapping_errors

KNOCK_S = 1.0
_WAITS = """
SELECT 1 FROM search_datasetindex WHERE dataset_id = %s AND wish = 'words_and_meaning' AND pending_chunks > 0
"""


def knock(
    session: psycopg.Connection[Any],
    workspace_id: uuid.UUID,
    dataset_id: uuid.UUID,
    check: Callable[[], None],
) -> None:
    """Connects to the workspace's service where chunks of the dataset wait for it, unless something is known against it
    already; nothing is sent. What is found
    wrong is noted as by who asked. So the first record with a dead service says so, and none waits for a slow one."""
    if session.execute(_WAITS, [dataset_id]).fetchone() is None:
        return
    chosen = find_embedding(workspace_id)
    if chosen.service != OPENAI or find_breaker(workspace_id).code:
        return
    try:
        with mapping_errors():
            origin = read_base_url(chosen.url).origin
            make_context(check).dialer.dial(origin.host, origin.port, timeout_s=KNOCK_S).close()
    except EmbedFailed as exc:
        note_embed_failure(workspace_id, exc)
