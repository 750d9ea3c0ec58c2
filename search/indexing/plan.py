"""Finds which texts the index lacks, by what differs between the version that is indexed and the current one.

A transaction of its own makes the difference durable: new contents are rows that wait (`pending`), contents that no
current entry names have `gone_at`. Whatever dies later goes on from these rows.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import psycopg

from database.rows import fetch_row
from search.core.wishes import IndexWish
from search.indexing.paths import keep_paths
from search.models import IndexState

# Raise one of these when what the same file gives has changed: every text is then made again.
CUTTER = 1
WORDS = 5
_LANGUAGES_SHOWN = 40  # characters of a recipe, which is a column of 64

_READ = """
SELECT workspace_id, wish, state, recipe, indexed_version, published_version, pending_texts, pending_chunks,
       emptying
  FROM search_datasetindex WHERE dataset_id = %s
"""
_LANGUAGES = "SELECT cfgname FROM pg_ts_config WHERE cfgname = ANY(%s) AND cfgname <> 'simple'"
# Whoever plans has the right to, until the transaction ends: two would wait for each other's rows.
_ALONE = "SELECT pg_try_advisory_xact_lock(hashtextextended('index of ' || %s::text, 0))"
_REMAKE = """
UPDATE search_indexedtext SET state = 'pending', code = '', note = '', at = now()
 WHERE dataset_id = %(dataset)s AND (state <> 'pending' OR code <> '')
"""
# The first version's entries are in no index by their beginning; they all are current, or have gone before.
_COME = """
WITH come AS (
INSERT INTO search_indexedtext AS t
       (workspace_id, dataset_id, sha256, state, code, note, kind, chunk_count, at)
SELECT DISTINCT %(workspace)s::uuid, %(dataset)s::uuid, sha256, 'pending', '', '', '', 0, now()
  FROM datasets_entry WHERE dataset_id = %(dataset)s AND until IS NULL AND since <= %(current)s {newer}
ON CONFLICT (dataset_id, sha256) DO UPDATE SET gone_at = NULL WHERE t.gone_at IS NOT NULL
RETURNING chunk_count)
SELECT coalesce(sum(chunk_count), 0)::bigint FROM come
"""
_NEWER = "AND since > 1 AND since > %(indexed)s"
_GONE = """
UPDATE search_indexedtext t SET gone_at = now()
 WHERE t.dataset_id = %(dataset)s AND t.gone_at IS NULL
   AND t.sha256 IN (SELECT sha256 FROM datasets_entry
                     WHERE dataset_id = %(dataset)s AND until IS NOT NULL AND until > %(indexed)s)
   AND NOT EXISTS (SELECT FROM datasets_entry e
                    WHERE e.dataset_id = t.dataset_id AND e.sha256 = t.sha256 AND e.until IS NULL)
"""
_COUNT = """
SELECT count(*) FILTER (WHERE state = 'pending') AS pending_texts, count(*) FILTER (WHERE state = 'done') AS text_count,
       count(*) FILTER (WHERE state = 'refused') AS refused_count, coalesce(sum(chunk_count), 0)::bigint AS chunk_count
  FROM search_indexedtext WHERE dataset_id = %(dataset)s AND gone_at IS NULL
"""
_NOTE = """
UPDATE search_datasetindex
   SET indexed_version = %(current)s, recipe = %(recipe)s, pending_texts = %(pending_texts)s,
       text_count = %(text_count)s, refused_count = %(refused_count)s, chunk_count = %(chunk_count)s,
       pending_chunks = CASE wish WHEN 'words_and_meaning'
                        THEN least(pending_chunks + %(back)s, %(chunk_count)s) ELSE 0 END,
       published_version = greatest(published_version, %(current)s)
 WHERE dataset_id = %(dataset)s AND wish <> 'off' AND NOT emptying AND recipe = %(old_recipe)s
   AND indexed_version IS NOT DISTINCT FROM %(indexed)s
"""
_CURRENT = "SELECT number FROM datasets_version WHERE dataset_id = %s AND is_current"


class IndexBusy(Exception):
    """Somebody else works on this index, or its terms have changed: look again later."""


@dataclass(frozen=True, slots=True)
class IndexTerms:
    """What the row of an index says before its texts are looked at."""

    workspace_id: uuid.UUID
    wish: str
    state: str
    recipe: str
    indexed_version: int | None
    published_version: int | None
    pending_texts: int
    pending_chunks: int
    emptying: bool

    @property
    def is_behind(self) -> bool:
        """Whether there is something to do, but for what another recipe would change."""
        if self.wish == IndexWish.OFF:
            return self.emptying
        return self.emptying or self.indexed_version != self.published_version or self.is_unsettled

    @property
    def is_unsettled(self) -> bool:
        """Whether texts wait, or somebody died before he said that none does."""
        return self.pending_texts > 0 or (
            self.state == IndexState.CATCHING_UP and self.pending_chunks == 0
        )

    def is_planned(self, recipe: str) -> bool:
        """Whether all texts of the current version have rows, with words that are made by this recipe."""
        return (
            self.indexed_version is not None
            and self.indexed_version == self.published_version
            and self.recipe == recipe
        )

    def is_done(self, recipe: str) -> bool:
        return self.is_planned(recipe) and not self.is_unsettled


@dataclass(frozen=True, slots=True)
class TextCounts:
    """Texts of current content by their state, and the chunks of all of them."""

    pending_texts: int
    text_count: int
    refused_count: int
    chunk_count: int


def find_terms(session: psycopg.Connection[Any], dataset_id: uuid.UUID) -> IndexTerms | None:
    return fetch_row(session.execute(_READ, [dataset_id]), IndexTerms)


def find_configurations(
    session: psycopg.Connection[Any], languages: Sequence[str]
) -> tuple[str, ...]:
    """Returns those of the languages that this database has a configuration for."""
    known = {name for (name,) in session.execute(_LANGUAGES, [list(languages)])}
    return tuple(language for language in languages if language in known)


def name_recipe(configurations: Sequence[str]) -> str:
    """Names what decides a text's chunks and their words."""
    languages = ",".join(sorted(configurations))
    if len(languages) > _LANGUAGES_SHOWN:
        languages = blake2b(languages.encode(), digest_size=16).hexdigest()
    return f"{CUTTER}.{WORDS}:{languages}"


def plan_texts(
    session: psycopg.Connection[Any],
    dataset_id: uuid.UUID,
    terms: IndexTerms,
    configurations: Sequence[str],
) -> TextCounts | None:
    """Makes rows of what the index lacks; their counts, or None where nothing was published. Raises IndexBusy."""
    recipe = name_recipe(configurations)
    parameters: dict[str, Any] = {
        "dataset": dataset_id,
        "workspace": terms.workspace_id,
        "indexed": terms.indexed_version,
        "old_recipe": terms.recipe,
        "recipe": recipe,
    }
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        cursor.execute(_ALONE, [dataset_id])
        if cursor.fetchone() != (True,):
            raise IndexBusy
        found = cursor.execute(_CURRENT, [dataset_id]).fetchone()
        if found is None:
            return None
        parameters["current"] = found[0]
        is_first = terms.indexed_version is None
        if not is_first and terms.recipe != recipe:
            cursor.execute(_REMAKE, parameters)
        cursor.execute(_COME.format(newer="" if is_first else _NEWER), parameters)
        # Chunks that came back may lack vectors of the present model: whoever makes vectors counts them.
        parameters["back"] = (cursor.fetchone() or (0,))[0]
        if not is_first:
            cursor.execute(_GONE, parameters)
        known = terms.indexed_version if terms.recipe == recipe else None
        keep_paths(cursor, terms.workspace_id, dataset_id, configurations, known)
        counts = fetch_row(cursor.execute(_COUNT, parameters), TextCounts)
        if counts is None:
            raise LookupError("a count has one row")
        cursor.execute(
            _NOTE,
            parameters
            | {
                "pending_texts": counts.pending_texts,
                "text_count": counts.text_count,
                "refused_count": counts.refused_count,
                "chunk_count": counts.chunk_count,
            },
        )
        if cursor.rowcount != 1:
            raise IndexBusy
    return counts
