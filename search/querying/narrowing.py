"""Finds the contents that a question's filters admit, where these are few: then both lists are made of them alone."""

from __future__ import annotations

from django.db import connection

from search.querying.scope import SearchScope

FEW_FILES = 10_000

# Files are counted as far as it decides something, and their contents are looked up only then.
_FEW = """
WITH fit AS MATERIALIZED (
    SELECT f.dataset_id, f.sha256 FROM datasets_dataset d
     CROSS JOIN LATERAL (SELECT e.dataset_id, e.sha256 FROM datasets_entry e
                          WHERE e.dataset_id = d.id AND {entries} LIMIT %(most)s) f
     WHERE d.workspace_id = %(workspace)s {datasets} LIMIT %(most)s)
SELECT (SELECT count(*) FROM fit) < %(most)s, coalesce(array_agg(few.id), '{{}}'), coalesce(sum(few.chunk_count), 0)::bigint
  FROM (SELECT DISTINCT t.id, t.chunk_count FROM fit JOIN search_indexedtext t USING (dataset_id, sha256)
         WHERE {rows} AND (SELECT count(*) FROM fit) < %(most)s) few
"""


def narrow_scope(scope: SearchScope) -> SearchScope:
    """The same scope, with its contents where filters of files admit few."""
    if not scope.has_filters or scope.text_ids is not None:
        return scope
    statement = _FEW.format(
        entries=scope.limit_entries("e"),
        datasets="AND d.id = ANY(%(datasets)s)" if scope.dataset_ids else "",
        rows=scope.limit_rows("t"),
    )
    with connection.cursor() as cursor:
        cursor.execute(statement, {**scope.parameters, "most": FEW_FILES + 1})
        is_few, text_ids, chunk_count = cursor.fetchone()
    return scope.with_texts(text_ids, chunk_count) if is_few else scope
