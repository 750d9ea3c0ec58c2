"""What is asked of the index, and what it answers: values that every surface fills and tells."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from search.core.fusion import Matched
from search.models import IndexState

LIMIT_MAX = 100
LIMIT_DEFAULT = 20
DEEPEST = 1_000  # hits


class SearchMode(StrEnum):
    BOTH = "both"
    WORDS = "words"
    MEANING = "meaning"


class InvalidQuestion(ValueError):
    """The question cannot be asked: `field` names the part that is wrong."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


class NoSuchDataset(LookupError):
    """The workspace has no dataset of this id or name."""


@dataclass(frozen=True, slots=True)
class Question:
    """`dataset_ids` are datasets of the workspace that is asked; none: all of it. `types` are suffixes such as `.md`.
    `cursor` is `next` of the answer before."""

    q: str
    dataset_ids: tuple[uuid.UUID, ...] = ()
    prefix: str = ""
    types: tuple[str, ...] = ()
    newer_than_s: float | None = None
    mode: SearchMode = SearchMode.BOTH
    limit: int = LIMIT_DEFAULT
    cursor: str | None = None
    with_facets: bool = False


@dataclass(frozen=True, slots=True)
class Degraded:
    """A list that did not take part in this answer, `words` or `meaning`; `code` is one of
    `search.embedding.contract.EmbedCode`."""

    list: str
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Hit:
    """One content of one dataset. `fetched_at` is when the version was published in which this content came to `path`."""

    dataset: str
    dataset_id: uuid.UUID
    path: str
    paths: tuple[str, ...]
    paths_total: int
    version: int
    record_id: uuid.UUID | None
    sha256: str
    size_bytes: int
    modified_ns: int | None
    source: str | None  # what the far end calls it, where that is no path
    fetched_at: datetime
    age_s: float
    line: int | None
    place: str
    heading: str
    snippet: str
    highlights: tuple[tuple[int, int], ...]
    score: float
    matched: Matched


@dataclass(frozen=True, slots=True)
class DatasetBehind:
    """A dataset whose index is not current."""

    dataset: str
    dataset_id: uuid.UUID
    state: IndexState
    indexed_version: int | None
    current_version: int | None
    pending_texts: int
    pending_chunks: int
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True)
class ServingModel:
    service: str
    model: str
    dimensions: int | None


@dataclass(frozen=True, slots=True)
class BuildingModel:
    service: str
    model: str
    dimensions: int | None
    done_chunks: int
    total_chunks: int


@dataclass(frozen=True, slots=True)
class StateOfIndex:
    """The index of all datasets in scope; `state` is the worst of them."""

    state: IndexState
    pending_texts: int
    pending_chunks: int
    oldest_pending_s: float | None
    reason: str
    generation: ServingModel | None
    building: BuildingModel | None
    behind: tuple[DatasetBehind, ...]


@dataclass(frozen=True, slots=True)
class Facet:
    """A value by which hits can be narrowed down, and how many of those that were found have it."""

    value: str
    count: int


@dataclass(frozen=True, slots=True)
class SearchAnswer:
    """`facets` are by `dataset`, `type` and `age`, of the `found` contents, where they were asked for. `has_more`: further
    ones would be found on later pages."""

    items: Sequence[Hit]
    next: str | None
    index: StateOfIndex
    degraded: Sequence[Degraded]
    found: int = 0
    has_more: bool = False
    facets: Mapping[str, Sequence[Facet]] = field(default_factory=dict)
