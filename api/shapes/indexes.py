"""The index of one dataset as JSON: how it stands, and which files it does not hold."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from api.shapes.search import BehindOut, BuildingOut, ServingOut, tell_state
from search.indexing.asking import IndexOfDataset
from search.indexing.troubles import IndexTrouble
from search.querying.question import StateOfIndex


class DatasetIndexOut(BehindOut):
    """How the index of a dataset stands to its current version."""

    chunk_count: int = Field(description="Parts of texts that a search finds, each by itself.")
    text_count: int = Field(description="Contents whose text is indexed.")
    refused_count: int = Field(description="Contents without a text: …/index/troubles says why.")
    generation: ServingOut | None
    building: BuildingOut | None


class IndexTroubleOut(Told):
    """A file, or a part of one, that is not found by all that stands in it."""

    path: str = Field(description="The first of the content's paths, bytewise.")
    sha256: str
    code: str = Field(
        description="too_large, extract_failed, extract_crashed, extract_timeout, encrypted, binary, unknown_charset,"
        " hostile; of a part: embed_refused, embed_too_long, embed_protocol."
    )
    detail: str
    at: datetime
    chunk: int | None = Field(
        description="The number of the part that has no vector; words find it. null: all of the file."
    )


class IndexTroublePage(Told):
    items: list[IndexTroubleOut]
    next: str | None


def tell_index(held: IndexOfDataset, state: StateOfIndex) -> dict[str, Any]:
    """`state` is of the same dataset: it has what belongs to the workspace."""
    models = ("generation", "building")
    plain = [name for name in DatasetIndexOut.model_fields if name not in models]
    told = tell_state(state)
    return {name: getattr(held, name) for name in plain} | {name: told[name] for name in models}


def tell_trouble(trouble: IndexTrouble) -> dict[str, Any]:
    told = {name: getattr(trouble, name) for name in IndexTroubleOut.model_fields}
    return told | {"sha256": trouble.sha256.hex()}
