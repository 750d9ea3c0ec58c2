"""Weighs the words of a question: rare words first, and each word in all the forms in which a chunk can hold it.

A term is a word as it was typed. A chunk holds it *whole* (as it stands, or an identifier with or without its
joiners), by its *stem*, or by *parts* of the identifier. The weight of a form is its inverse document frequency: a
word that stands in one chunk of a thousand tells more than one that stands in every second.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import IntEnum
from functools import cached_property

STEM_FACTOR = 0.9  # what is meant may be another word of the stem
SAME_FACTOR = 0.95  # the same word with other accents
SLIP_FACTORS = (0.0, 0.9, 0.75)  # by how many slips of the hand lie between
PARTS_FACTOR = 0.6  # some parts of an identifier stand in many places that do not name it
ALL_PARTS_FACTOR = 0.85  # it may be the beginning of a longer one
FORMS_MAX = 60  # bits of a mask that fits a bigint

_SMALL_NUMBER = re.compile(r"\W*\d{1,2}\W*")
_LETTER = re.compile(r"[^\W\d_]")


class Proof(IntEnum):
    """What the words of a content say of it, as an answer to a question. SURE: it holds all of them, the exact ones whole.
    LIKELY: it holds all, but for slips of the hand in the question, or for the order of the digits. NAMED: it holds all
    names of the question whole, whatever else it lacks."""

    NONE = 0
    NAMED = 1
    LIKELY = 2
    SURE = 3


@dataclass(frozen=True, slots=True)
class Term:
    """The lexemes by which a chunk can hold one word. `is_stop` is a word that tells nothing in some language;
    `is_exact` is an identifier, a number or a serial, which somebody asks for because they know it. `same` are the word
    with other accents, or the number as it may be written elsewhere; `alike` are words of the index that the word may be a slip of the hand for, with how many. `has_letters`: single ones are among its parts, by which
    no chunk can be found, such as `V` of `V-1138`."""

    text: str
    whole: tuple[str, ...]
    stems: tuple[str, ...]
    parts: tuple[str, ...]
    is_stop: bool
    is_exact: bool
    same: tuple[str, ...] = ()
    alike: tuple[tuple[str, int], ...] = ()
    has_letters: bool = False

    @property
    def forms(self) -> tuple[str, ...]:
        """All lexemes by which a chunk can hold the word."""
        return (
            *self.whole,
            *self.stems,
            *self.parts,
            *self.same,
            *(form for form, _ in self.alike),
        )

    @property
    def is_name(self) -> bool:
        """Whether who holds it whole is meant, in whatever question it stands. A number of one or two digits stands anywhere."""
        return self.is_exact and not _SMALL_NUMBER.fullmatch(self.text)


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

    def score(self, mask: int) -> tuple[float, Proof]:
        """Returns the part of `most` that a chunk with this mask has (0 to 1), and what its words prove."""
        return self.score_held(self.read_mask(mask))

    def read_mask(self, mask: int) -> set[str]:
        """Returns the forms that a chunk with this mask holds."""
        return {form for bit, form in enumerate(self.forms) if mask >> bit & 1}

    def score_held(self, held: Set[str]) -> tuple[float, Proof]:
        """The same for these forms."""
        total, proof = 0.0, Proof.SURE
        for term in self.terms:
            got, held_by = self._held(term, held)
            total += got
            proof = min(proof, held_by)
        if proof is Proof.NONE and self._holds_names(held):
            proof = Proof.NAMED
        return total / self.most, proof

    def count_held(self, held: Set[str]) -> int:
        """Returns how many terms are held by these forms: whole, by their stem, by all their parts, or but for a slip."""
        return sum(self._held(term, held)[1] > Proof.NONE for term in self.terms)

    @cached_property
    def _names(self) -> list[Set[str]]:
        """The forms of each name of the question that are the name itself."""
        return [{*term.whole, *term.same} for term in self.terms if term.is_name]

    def _holds_names(self, held: Set[str]) -> bool:
        return bool(self._names) and all(not forms.isdisjoint(held) for forms in self._names)

    def _weigh_slips(self, term: Term, held: Set[str]) -> float:
        return max(
            (
                SLIP_FACTORS[slips] * min(self.weights[form], self._best(term))
                for form, slips in term.alike
                if form in held
            ),
            default=0.0,
        )

    def _best(self, term: Term) -> float:
        return max((self.weights[form] for form in term.whole), default=0.0)

    def _held(self, term: Term, held: Set[str]) -> tuple[float, Proof]:
        weights = self.weights
        whole = max((weights[form] for form in term.whole if form in held), default=0.0)
        stem = max((weights[form] for form in term.stems if form in held), default=0.0)
        same = max((weights[form] for form in term.same if form in held), default=0.0)
        slip = self._weigh_slips(term, held)
        best = max(whole, stem * STEM_FACTOR, same * SAME_FACTOR, slip)
        proof = Proof.LIKELY if slip else Proof.NONE
        if whole or same or (stem and not term.is_exact):
            proof = Proof.SURE
        if whole or not term.parts:
            return best, proof
        parts = [form for form in term.parts if form in held]
        has_all = len(parts) == len(term.parts) and not term.has_letters
        wanted = len(term.parts) + term.has_letters
        factor = ALL_PARTS_FACTOR if has_all else PARTS_FACTOR * len(parts) / wanted
        rarest = max((weights[form] for form in parts), default=0.0)
        best = max(best, factor * min(rarest, self._best(term)))
        if has_all:
            # Digits that stand apart make no version, date or address.
            is_spelled_out = any(_LETTER.search(form) for form in parts)
            proof = max(proof, Proof.SURE if is_spelled_out else Proof.LIKELY)
        return best, proof


def weigh_terms(
    terms: Sequence[Term], counts: Mapping[str, float], chunk_count: float
) -> WeighedTerms:
    """`counts` says how many chunks hold each lexeme, of `chunk_count` in all."""
    lexemes = {form for term in terms for form in term.forms}
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
