"""Opens the embedding service that a workspace, or a generation of its vectors, has."""

from __future__ import annotations

from collections.abc import Callable

from search.choices import BUILTIN, OPENAI, EmbeddingChoice
from search.embedding.builtin import DIMENSIONS, MODEL, BuiltinEmbedder
from search.embedding.contract import EmbedCode, Embedder, EmbedFailed
from search.embedding.openai import TOTAL_S, OpenAIEmbedder


def open_embedder(
    choice: EmbeddingChoice,
    *,
    check: Callable[[], None] = lambda: None,
    total_s: float = TOTAL_S,
    most: int | None = None,
    dimensions: int | None = None,
) -> Embedder:
    """`most`: texts at once, where that was learned. `dimensions`: of the vectors that are there already. Raises
    EmbedFailed for a service that is off or cannot be used."""
    if choice.service == BUILTIN:
        return BuiltinEmbedder(check)
    if choice.service == OPENAI:
        return OpenAIEmbedder(
            choice, check=check, total_s=total_s, most=most, dimensions=dimensions
        )
    raise EmbedFailed(EmbedCode.OFF, "the workspace has switched meaning off", is_permanent=True)


def name_model(choice: EmbeddingChoice) -> str:
    return MODEL if choice.service == BUILTIN else choice.model


def find_dimensions(choice: EmbeddingChoice) -> int | None:
    """None where only the service knows."""
    return DIMENSIONS if choice.service == BUILTIN else choice.dimensions
