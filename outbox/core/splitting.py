"""How a batch that was refused as a whole is taken apart.

The parts are batches of their own with ids of their own: the client system has refused the old one, so its key
is used up. Readings that a part leaves out keep their numbers; `members` tells which of the numbers it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

REFUSED_ALONE_MAX = (
    20  # single readings in a row that were refused, and none passed: then no more dead letters
)
BATCH_BYTES_MIN = 1024
GROWS_EACH_S = 3600  # what 413 has taught is doubled so often


@dataclass(frozen=True, slots=True)
class BatchPart:
    """Numbers from `sequence_from` to `sequence_to`; of these, places counted from the first. None: all."""

    sequence_from: int
    sequence_to: int
    members: tuple[int, ...] | None = None

    @property
    def places(self) -> Sequence[int]:
        count = self.sequence_to - self.sequence_from + 1
        return range(count) if self.members is None else self.members

    @property
    def count(self) -> int:
        return len(self.places)

    def sequence_of(self, index: int) -> int:
        """The number of the reading that stands at this place of the batch's own list."""
        return self.sequence_from + self.places[index]


def halve(part: BatchPart) -> tuple[BatchPart, BatchPart]:
    """Halves a batch of at least two readings."""
    middle = part.count // 2
    if part.members is not None:
        return keep(part, range(middle)), keep(part, range(middle, part.count))
    border = part.sequence_from + middle
    return BatchPart(part.sequence_from, border - 1), BatchPart(border, part.sequence_to)


def keep(part: BatchPart, indexes: Sequence[int]) -> BatchPart:
    """Only the readings at these places of the batch's own list, under the numbers of the whole."""
    places = tuple(part.places[index] for index in indexes)
    return BatchPart(part.sequence_from, part.sequence_to, places)


def learn_bytes(known: int, refused_bytes: int) -> int:
    """The largest batch to send after one of so many bytes was too large."""
    return max(BATCH_BYTES_MIN, min(known, refused_bytes // 2))
