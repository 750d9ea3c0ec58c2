"""Tries a service with one sentence of our own, so that a person knows before it is saved. No text of a file is sent."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from search.choices import BUILTIN, EmbeddingChoice
from search.embedding.builtin import MODEL, the_model
from search.embedding.contract import EmbedCode, EmbedFailed, Vector, make_unit
from search.embedding.openai import OpenAIEmbedder

TRIAL_TEXT = "The harbour of Emden has a berth for each ship."
TRIAL_S = 8.0  # a person waits for it, and a page gives up after ten seconds


@dataclass(frozen=True, slots=True)
class Trial:
    """What came back: a vector of so many dimensions, or why none did."""

    model: str
    dimensions: int = 0
    code: EmbedCode | None = None
    detail: str = ""

    @property
    def passed(self) -> bool:
        return self.code is None


def try_embedding(choice: EmbeddingChoice) -> Trial:
    """Asks the service for the vector of `TRIAL_TEXT`, as a question is asked. Never raises for the service's sake."""
    model = MODEL if choice.service == BUILTIN else choice.model
    try:
        vector = _ask_builtin() if choice.service == BUILTIN else _ask_outside(choice)
    except EmbedFailed as exc:
        return Trial(model, code=exc.code, detail=exc.detail)
    return Trial(model, dimensions=len(vector))


def _ask_builtin() -> Vector:
    try:
        vector = make_unit(the_model().ask([TRIAL_TEXT]).result(TRIAL_S)[0])
    except NotYet:
        words = f"the built-in model did not answer within {TRIAL_S:g} s"
        raise EmbedFailed(EmbedCode.LATE, words) from None
    if vector is None:
        raise EmbedFailed(EmbedCode.PROTOCOL, "the model gives this sentence no direction")
    return vector


def _ask_outside(choice: EmbeddingChoice) -> Vector:
    embedder = OpenAIEmbedder(choice, total_s=TRIAL_S)
    try:
        return embedder.embed_query(TRIAL_TEXT)
    finally:
        embedder.close()
