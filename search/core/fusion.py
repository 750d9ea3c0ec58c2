"""Makes one list of two: what words found and what meaning found.

Ranks are fused by their reciprocals (RRF, Cormack 2009), which knows no scores. That alone buries what words put first
for good reason: the one file with this serial, identifier or name stands below files that meaning likes somewhat and
words like somewhat. So a content whose words prove it stands in an upper tier, in the order of words, below it what they would prove
but for a slip of the hand, and then what holds the names that stand in a longer question; and words count less in the
lowest tier where they found little of the question.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from search.core.terms import Proof

K = 20
# What words found of a question weighs as much as the share of it that they found: a question in another language shares
# but a name with what it is about, or a small word with what it is not about.
SHARE_POWER = 1.5
SCORE_OF_PROOF = {Proof.NONE: 0.0, Proof.NAMED: 0.25, Proof.LIKELY: 0.5, Proof.SURE: 1.0}


class Matched(StrEnum):
    """Which list a hit stands in."""

    WORDS = "words"
    MEANING = "meaning"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class WordsHit:
    """A content that words found. `share` is the part of the question's weight that it holds (0 to 1); `proof` says
    what words alone prove of it."""

    text_id: int
    chunk_id: int
    share: float
    proof: Proof


@dataclass(frozen=True, slots=True)
class MeaningHit:
    """A content that meaning found; `likeness` is the cosine."""

    text_id: int
    chunk_id: int
    likeness: float


@dataclass(frozen=True, slots=True)
class Fused:
    """A content with its place: the chunk to show, and its score, which falls along the list."""

    text_id: int
    chunk_id: int
    score: float
    matched: Matched


def fuse(
    words: Sequence[WordsHit], meaning: Sequence[MeaningHit], unmeant: Collection[int] = ()
) -> list[Fused]:
    """Both lists are in their own order, the best first, each content once. Of `unmeant` contents there is no vector: what words
    found of the question stands in for what meaning would say, or any content with a vector would be above them."""
    scores: dict[int, float] = {}
    for rank, found in enumerate(words, 1):
        scores[found.text_id] = found.share**SHARE_POWER / (K + rank) + SCORE_OF_PROOF[found.proof]
        if found.text_id in unmeant:
            scores[found.text_id] += found.share / (K + rank)
    for rank, near in enumerate(meaning, 1):
        scores[near.text_id] = scores.get(near.text_id, 0.0) + 1 / (K + rank)
    chunk_by_words = {found.text_id: found.chunk_id for found in words}
    chunk_by_meaning = {near.text_id: near.chunk_id for near in meaning}
    fused = [
        Fused(
            text_id,
            chunk_by_words.get(text_id) or chunk_by_meaning[text_id],
            round(score, 6),
            _say_matched(text_id in chunk_by_words, text_id in chunk_by_meaning),
        )
        for text_id, score in scores.items()
    ]
    return sorted(fused, key=lambda each: (-each.score, each.text_id))


def _say_matched(by_words: bool, by_meaning: bool) -> Matched:
    if by_words and by_meaning:
        return Matched.BOTH
    return Matched.WORDS if by_words else Matched.MEANING
