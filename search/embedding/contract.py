"""What a service that turns text into vectors is, and how it fails.

A service answers each text by itself: a vector, or a refusal of this text. What concerns no text (the service
is down, limits us, refuses the key) is an EmbedFailed, and no text is to blame.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # only a stub takes a type here
    Vector = array[float]  # 32-bit floats, of length 1
else:
    Vector = array

LENGTH_ERROR = 1e-4  # below what a half float tells; services mostly give vectors of length 1
TEXT_MAX = 1_000  # characters that a model is given of one text: beyond, memory and time explode


class EmbedCode(StrEnum):
    """Why vectors are missing; the codes that a search tells in `degraded`."""

    UNREACHABLE = "embed_unreachable"
    TIMEOUT = "embed_timeout"
    LIMITED = "embed_limited"
    REFUSED_KEY = "embed_refused_key"
    PROTOCOL = "embed_protocol"
    DIMENSION = "embed_dimension"
    NO_VECTORS = "no_vectors"
    OFF = "off"
    LATE = "late"


class EmbedRefusal(StrEnum):
    """Why one text has no vector; the codes that an index's troubles tell."""

    REFUSED = "embed_refused"
    TOO_LONG = "embed_too_long"
    PROTOCOL = "embed_protocol"


@dataclass(frozen=True, slots=True)
class RefusedText:
    """The service gives this text no vector, and would not at the next try."""

    code: EmbedRefusal
    note: str


class EmbedFailed(Exception):
    """The service gave no vectors, whatever the texts.

    `is_permanent`: waiting does not help, a person must act. A service that limits us has not failed:
    `retry_after_s` is then how long it asked to be left alone, None where it did not say.
    """

    def __init__(
        self,
        code: EmbedCode,
        detail: str,
        *,
        is_permanent: bool = False,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail
        self.is_permanent = is_permanent
        self.retry_after_s = retry_after_s

    @property
    def is_failure(self) -> bool:
        return self.code is not EmbedCode.LIMITED


@dataclass(slots=True)
class RequestTally:
    """How often a service was asked, by what came of it: `ok`, `refused`, or the code of an EmbedFailed."""

    counts: dict[str, int]

    def add(self, outcome: str) -> None:
        self.counts[outcome] = self.counts.get(outcome, 0) + 1

    def take(self) -> dict[str, int]:
        """The counts since the last call."""
        taken, self.counts = self.counts, {}
        return taken


class Embedder(Protocol):
    """One service as one workspace has chosen it; for one thread at a time. Close it.

    `dimensions` is None until the first vector came, where nobody said it. `most` is how many texts it is given at
    once, and `learned` the same where the service allows fewer than was set, else None.
    """

    @property
    def service(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def dimensions(self) -> int | None: ...
    @property
    def most(self) -> int: ...
    @property
    def learned(self) -> int | None: ...
    @property
    def requests(self) -> RequestTally: ...

    def embed(self, texts: Sequence[str]) -> list[Vector | RefusedText]:
        """The answer to each text, in its order. Raises EmbedFailed, and what the check of who asks raises."""
        ...

    def embed_query(self, text: str) -> Vector:
        """The vector of a question. Raises EmbedFailed."""
        ...

    def close(self) -> None: ...


def make_unit(values: Sequence[float]) -> Vector | None:
    """The vector with length 1; None where it has no direction: zeros, or what is no number."""
    try:
        vector = array("f", values)
    except OverflowError:
        return None
    length = math.hypot(*vector)
    if not 0.0 < length < math.inf:  # also False for NaN
        return None
    if abs(length - 1) < LENGTH_ERROR:
        return vector
    return array("f", [value / length for value in vector])
