"""The answer of a search as JSON: the same for REST, the command line and MCP."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from api.shapes.contents import tell_modified
from search.core.fusion import Matched
from search.models import IndexState
from search.querying.question import DatasetBehind, Hit, SearchAnswer, StateOfIndex


class HitOut(Told):
    """One content of one dataset."""

    dataset: str
    dataset_id: uuid.UUID
    path: str = Field(
        description="The first of its paths that `prefix` and `type` admit, bytewise."
    )
    paths: list[str] = Field(description="Where the content lies now, bytewise: ten at most.")
    paths_total: int
    version: int = Field(
        description="The current one: `…/datasets/{dataset}/files/{path}?version=` has the file."
    )
    record_id: uuid.UUID | None = Field(
        description="The record that brought this content to this path; null where a person went back to it."
    )
    sha256: str = Field(description="In hexadecimal; also the file's ETag.")
    size_bytes: int
    modified_at: datetime | None = Field(description="As the source told it.")
    source: str | None = Field(
        description="What the source calls it, where that is no path: the URI of kind mcp. Else null."
    )
    fetched_at: datetime = Field(
        description="When the version was published in which the content came to this path."
    )
    age_s: float = Field(description="Since `fetched_at`.")
    line: int | None = Field(
        description="In which the snippet begins; null for kinds without lines."
    )
    place: str = Field(
        description="Such as `page 3` or `sheet Orders row 12`, for kinds without lines."
    )
    heading: str = Field(description="The headings above it.")
    snippet: str = Field(description="A run of the text as it is in the file. Nothing is escaped.")
    highlights: list[tuple[int, int]] = Field(
        description="Where words of the question stand in the snippet: from, and up to but without, in code points."
    )
    score: float = Field(
        description="It falls along the pages, and means nothing across questions."
    )
    matched: Matched


class BehindOut(Told):
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


class ServingOut(Told):
    """The model by which meaning is compared."""

    service: str
    model: str
    dimensions: int | None


class BuildingOut(ServingOut):
    """The model that will serve when all chunks have its vectors."""

    done_chunks: int
    total_chunks: int


class IndexOut(Told):
    """How the index stands of the datasets that were asked."""

    state: IndexState = Field(description="The worst: off, current, catching_up, blocked.")
    pending_texts: int
    pending_chunks: int = Field(description="Without a vector: words find them.")
    oldest_pending_s: float | None
    reason: str
    generation: ServingOut | None
    building: BuildingOut | None
    behind: list[BehindOut] = Field(description="The datasets that are not current: 20 at most.")


class DegradedOut(Told):
    """A list that did not take part in this answer."""

    list: str = Field(description="`words` or `meaning`.")
    code: str
    detail: str


class SearchAnswerOut(Told):
    """What was found, the best first."""

    items: list[HitOut]
    next: str | None
    index: IndexOut
    degraded: list[DegradedOut]


def tell_answer(answer: SearchAnswer) -> dict[str, Any]:
    return {
        "items": [tell_hit(hit) for hit in answer.items],
        "next": answer.next,
        "index": tell_state(answer.index),
        "degraded": [
            {"list": each.list, "code": str(each.code), "detail": each.detail}
            for each in answer.degraded
        ],
    }


def tell_hit(hit: Hit) -> dict[str, Any]:
    apart = ("paths", "highlights", "modified_at", "matched")
    plain = [name for name in HitOut.model_fields if name not in apart]
    return {name: getattr(hit, name) for name in plain} | {
        "paths": list(hit.paths),
        "highlights": [list(pair) for pair in hit.highlights],
        "modified_at": tell_modified(hit.modified_ns),
        "matched": hit.matched.value,
    }


def tell_state(index: StateOfIndex) -> dict[str, Any]:
    apart = ("state", "generation", "building", "behind")
    plain = [name for name in IndexOut.model_fields if name not in apart]
    return {name: getattr(index, name) for name in plain} | {
        "state": index.state.value,
        "generation": _tell(index.generation, ServingOut),
        "building": _tell(index.building, BuildingOut),
        "behind": [tell_behind(each) for each in index.behind],
    }


def tell_behind(each: DatasetBehind) -> dict[str, Any]:
    told = {name: getattr(each, name) for name in BehindOut.model_fields}
    return told | {"state": each.state.value}


def _tell(row: Any, shape: type[Told]) -> dict[str, Any] | None:
    return None if row is None else {name: getattr(row, name) for name in shape.model_fields}
