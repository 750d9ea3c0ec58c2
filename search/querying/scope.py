"""Limits a search: to one workspace, to contents that a current entry names, and to what the question's filters admit.

Every statement on chunks or vectors is written by a SearchScope, and there is no SearchScope without a workspace. So no path of a
search can forget it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any


@dataclass(frozen=True, slots=True)
class SearchScope:
    """`dataset_ids`, `prefix` and `types` may be empty: no such limit. `without` is a tsquery: no chunk of a hit's content
    matches it. Nor is it one of `refused_ids`, or in one of `refused_datasets`. `text_ids` are the only contents that may be hits, with so many chunks in all; None: all."""

    workspace_id: uuid.UUID
    dataset_ids: tuple[uuid.UUID, ...] = ()
    prefix: str = ""
    types: tuple[str, ...] = ()
    newer_than: timedelta | None = None
    without: str = ""
    refused_ids: tuple[int, ...] = ()
    refused_datasets: tuple[uuid.UUID, ...] = ()
    text_ids: tuple[int, ...] | None = None
    chunk_count: int | None = None

    @property
    def has_filters(self) -> bool:
        """Whether entries decide, beside the dataset."""
        return bool(self.prefix or self.types or self.newer_than is not None)

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {
            "workspace": self.workspace_id,
            "datasets": list(self.dataset_ids),
            "prefix": self.prefix,
            "types": list(self.types),
            "newer_than": self.newer_than,
            "without": self.without,
            "refused": list(self.refused_ids),
            "refused_datasets": list(self.refused_datasets),
            "texts": None if self.text_ids is None else list(self.text_ids),
        }

    def limit_rows(self, alias: str) -> str:
        """The condition on a table with the columns workspace_id and dataset_id."""
        condition = f"{alias}.workspace_id = %(workspace)s"
        if self.dataset_ids:
            condition += f" AND {alias}.dataset_id = ANY(%(datasets)s)"
        if self.refused_datasets:
            condition += f" AND {alias}.dataset_id <> ALL(%(refused_datasets)s)"
        return condition

    def limit_entries(self, alias: str) -> str:
        """The condition on current entries."""
        parts = [f"{alias}.until IS NULL"]
        if self.prefix:
            parts.append(f"starts_with({alias}.path, %(prefix)s)")
        if self.types:
            parts.append(
                f"EXISTS (SELECT 1 FROM unnest(%(types)s::text[]) s (suffix)"
                f" WHERE right(lower({alias}.path), length(suffix)) = suffix)"
            )
        if self.newer_than is not None:  # who came by a newer time alone is left out by `hits`
            parts.append(
                f"EXISTS (SELECT 1 FROM datasets_version n WHERE n.dataset_id = {alias}.dataset_id"
                f" AND n.number = {alias}.since AND n.created_at >= now() - %(newer_than)s)"
            )
        return " AND ".join(parts)

    def limit_texts(self, alias: str) -> str:
        """The condition on contents: one that a current entry names. The subquery is one that the planner cannot turn into
        a join, which it would make of all entries first."""
        return f"{self._limit_content(alias, 'id')} AND {self._has_entry(alias)}"

    def limit_chunks(self, alias: str) -> str:
        """The condition on chunks, or on their vectors."""
        return (
            f"{self._limit_content(alias, 'text_id')} AND (SELECT {self._has_entry('t')}"
            f" FROM search_indexedtext t WHERE t.id = {alias}.text_id AND {self.limit_rows('t')})"
        )

    def limit_first(self, alias: str, column: str = "text_id") -> str:
        """What of the condition on chunks costs nothing for each of them. Who asks so asks `limit_texts` of what is left."""
        texts = "" if self.text_ids is None else f" AND {alias}.{column} = ANY(%(texts)s)"
        if self.refused_ids:
            texts += f" AND {alias}.{column} <> ALL(%(refused)s)"
        return f"{self.limit_rows(alias)}{texts}"

    def with_texts(self, text_ids: Sequence[int], chunk_count: int | None = None) -> SearchScope:
        """The same, for these contents alone."""
        return replace(self, text_ids=tuple(text_ids), chunk_count=chunk_count)

    def without_words(self, query: str) -> SearchScope:
        """The same, for contents that match the tsquery nowhere."""
        return replace(self, without=query)

    def without_texts(self, text_ids: Iterable[int]) -> SearchScope:
        """The same, but for these contents."""
        return replace(self, refused_ids=(*self.refused_ids, *text_ids))

    def without_datasets(self, dataset_ids: Iterable[uuid.UUID]) -> SearchScope:
        """The same, but for what stands in these datasets."""
        return replace(self, refused_datasets=(*self.refused_datasets, *dataset_ids))

    def _limit_content(self, alias: str, column: str) -> str:
        condition = self.limit_first(alias, column)
        if self.without:
            condition += (
                f" AND NOT EXISTS (SELECT 1 FROM search_textchunk x"
                f" WHERE x.text_id = {alias}.{column} AND x.words @@ %(without)s::tsquery)"
            )
        return condition

    def _has_entry(self, alias: str) -> str:
        return (
            f"(SELECT true FROM datasets_entry e WHERE e.dataset_id = {alias}.dataset_id"
            f" AND e.sha256 = {alias}.sha256 AND {self.limit_entries('e')} LIMIT 1)"
        )
