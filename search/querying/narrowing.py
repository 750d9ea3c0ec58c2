"""Finds the contents that a question's filters admit, where these are few: then both lists are made of them alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import connection

from database.rows import fetch_row
from search.querying.scope import SearchScope

FEW_FILES = 10_000

# Files are counted as far as it decides something, and their contents are looked up only then.
_FEW = """
WITH fit AS MATERIALIZED (
    SELECT f.dataset_id, f.sha256 FROM datasets_dataset d
     CROSS JOIN LATERAL (SELECT e.dataset_id, e.sha256 FROM datasets_entry e
                          WHERE e.dataset_id = d.id AND {entries} LIMIT %(most)s) f
     WHERE d.workspace_id = %(workspace)s {datasets} LIMIT %(most)s)
SELECT (SELECT count(*) FROM fit) < %(most)s AS is_few, coalesce(array_agg(few.id), '{{}}') AS text_ids,
       coalesce(sum(few.chunk_count), 0)::bigint AS chunk_count
  FROM (SELECT DISTINCT t.id, t.chunk_count FROM fit JOIN search_indexedtext t USING (dataset_id, sha256)
         WHERE {rows} AND (SELECT count(*) FROM fit) < %(most)s) few
"""


@dataclass(frozen=True, slots=True)
class Admitted:
    """Contents that the filters admit; none is named where they are not few."""

    is_few: bool
    text_ids: list[Any]
    chunk_count: int


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
        found = fetch_row(cursor, Admitted)
    if found is None or not found.is_few:
        return scope
    return scope.with_texts(found.text_ids, found.chunk_count)
