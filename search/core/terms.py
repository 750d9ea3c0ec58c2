"""Weighs the words of a question: rare words first, and each word in all the forms in which a chunk can hold it.

A term is a word as it was typed. A chunk holds it *whole* (as it stands, or an identifier with or without its
joiners), by its *stem*, or by *parts* of the identifier. The weight of a form is its inverse document frequency: a
word that stands in one chunk of a thousand tells more than one that stands in every second.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

STEM_FACTOR = 0.9  # what is meant may be another word of the stem
PARTS_FACTOR = 0.6  # some parts of an identifier stand in many places that do not name it
ALL_PARTS_FACTOR = 0.85  # it may be the beginning of a longer one
FORMS_MAX = 60  # bits of a mask that fits a bigint


@dataclass(frozen=True, slots=True)
class Term:
    """The lexemes by which a chunk can hold one word. `is_stop` is a word that tells nothing in some language;
    `is_exact` is an identifier, a number or a serial, which somebody asks for because they know it."""

    text: str
    whole: tuple[str, ...]
    stems: tuple[str, ...]
    parts: tuple[str, ...]
    is_stop: bool
    is_exact: bool


@dataclass(frozen=True)
class WeighedTerms:
    """Terms with the weight of each of their lexemes. `forms` are all lexemes, the rarest first: bit n of a chunk's
    mask says whether the chunk holds form n."""

    terms: tuple[Term, ...]
    weights: Mapping[str, float]
    counts: Mapping[str, float]  # of chunks that hold the lexeme

    @cached_property
    def forms(self) -> tuple[str, ...]:
        known = [form for form in self.weights if self.counts[form] > 0]
        return tuple(sorted(known, key=lambda form: (self.counts[form], form))[:FORMS_MAX])

    @cached_property
    def most(self) -> float:
        """The score of a chunk that holds each term whole, also of those that no chunk holds."""
        return sum(self._best(term) for term in self.terms) or 1.0

    def score(self, mask: int) -> tuple[float, bool]:
        """Returns the part of `most` that a chunk with this mask has (0 to 1), and whether it holds each term that is
        no stop word, the exact ones whole."""
        return self.score_held(self.read_mask(mask))

    def read_mask(self, mask: int) -> set[str]:
        """Returns the forms that a chunk with this mask holds."""
        return {form for bit, form in enumerate(self.forms) if mask >> bit & 1}

    def score_held(self, held: Set[str]) -> tuple[float, bool]:
        """The same for these forms."""
        total, has_all = 0.0, True
        for term in self.terms:
            got, is_held = self._held(term, held)
            total += got
            has_all = has_all and is_held
        return total / self.most, has_all

    def count_held(self, held: Set[str]) -> int:
        """Returns how many terms are held by these forms: whole, by their stem, or by all their parts."""
        return sum(self._held(term, held)[1] for term in self.terms)

    def holds_exact(self, mask: int) -> float:
        """Returns the weight of the exact terms that a chunk holds whole."""
        held = self.read_mask(mask)
        return sum(
            max((self.weights[form] for form in term.whole if form in held), default=0.0)
            for term in self.terms
            if term.is_exact
        )

    def _best(self, term: Term) -> float:
        return max((self.weights[form] for form in term.whole), default=0.0)

    def _held(self, term: Term, held: Set[str]) -> tuple[float, bool]:
        weights = self.weights
        whole = max((weights[form] for form in term.whole if form in held), default=0.0)
        stem = max((weights[form] for form in term.stems if form in held), default=0.0)
        best = max(whole, stem * STEM_FACTOR)
        if whole or not term.parts:
            return best, bool(whole or (stem and not term.is_exact))
        parts = [form for form in term.parts if form in held]
        has_all = len(parts) == len(term.parts)
        factor = ALL_PARTS_FACTOR if has_all else PARTS_FACTOR * len(parts) / len(term.parts)
        rarest = max((weights[form] for form in parts), default=0.0)
        return max(best, factor * min(rarest, self._best(term))), has_all


def weigh_terms(
    terms: Sequence[Term], counts: Mapping[str, float], chunk_count: float
) -> WeighedTerms:
    """`counts` says how many chunks hold each lexeme, of `chunk_count` in all."""
    lexemes = {form for term in terms for form in (*term.whole, *term.stems, *term.parts)}
    known = {form: counts.get(form, 0.0) for form in lexemes}
    total = max(chunk_count, *known.values(), 1.0) if known else 1.0
    weights = {form: math.log(1 + total / (count + 0.5)) for form, count in known.items()}
    return WeighedTerms(tuple(terms), weights, known)


def choose_gate(weighed: WeighedTerms, most_rows: int) -> tuple[str, ...]:
    """Returns the rarest forms that together stand in about `most_rows` chunks: who holds none of them is no
    candidate. At least one, if any chunk holds any."""
    chosen: list[str] = []
    rows = 0.0
    for form in weighed.forms:
        rows += weighed.counts[form]
        if chosen and rows > most_rows:
            break
        chosen.append(form)
    return tuple(chosen)


def write_tsquery(lexemes: Iterable[str], operator: str) -> str:
    """Returns the text of a tsquery of lexemes, which are taken as they are; `operator` is `&` or `|`."""
    return f" {operator} ".join(_quote_lexeme(lexeme) for lexeme in lexemes)


def _quote_lexeme(lexeme: str) -> str:
    escaped = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
