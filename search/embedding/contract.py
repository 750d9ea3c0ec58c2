"""What the index asks of a service that turns text into vectors.

EmbedFailed is the only error that leaves an `Embedder`. A text that the service refuses is no error: it is a
RefusedText in the place of its vector, and the other texts of the call have theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class EmbedCode(StrEnum):
    """Why a service gives no vectors. Searchers read these words in `degraded` of an answer."""

    UNREACHABLE = "embed_unreachable"
    TIMEOUT = "embed_timeout"
    LIMITED = "embed_limited"
    REFUSED_KEY = "embed_refused_key"
    PROTOCOL = "embed_protocol"
    DIMENSION = "embed_dimension"


class EmbedFailed(Exception):
    """The service gave no vectors. `permanent` means that a person must act before another try makes sense."""

    def __init__(
        self,
        code: EmbedCode,
        detail: str,
        *,
        retry_after_s: float | None = None,
        permanent: bool = False,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.permanent = permanent


@dataclass(frozen=True, slots=True)
class RefusedText:
    """One text that the service does not take; `code` is a code of the index's troubles, such as `embed_refused`."""

    code: str
    note: str


Embedding = Sequence[float]


class Embedder(Protocol):
    """A service that is set up. `dimensions` is None until it has answered once, if nobody has set it."""

    service: str
    model: str
    dimensions: int | None

    def embed(self, texts: Sequence[str]) -> list[Embedding | RefusedText]:
        """Returns one answer for each text, in the order of the texts. Raises EmbedFailed."""
        ...

    def embed_query(self, text: str) -> Embedding:
        """Returns the vector that a question is compared by. Raises EmbedFailed."""
        ...
