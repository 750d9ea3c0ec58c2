"""What a job wants of the index of its dataset."""

from __future__ import annotations

from enum import StrEnum


class IndexWish(StrEnum):
    """`off` also deletes the index that is there."""

    WORDS_AND_MEANING = "words_and_meaning"
    WORDS = "words"
    OFF = "off"
