"""The one function that searches; REST, console, command line and MCP call it.

Two lists are made: what words find, and what meaning finds. Both are limited by the same SearchScope, so the workspace, the
current entries and the filters hold in each. Fusion makes one list of them. A list that is late or cannot be made is left
out, and the answer names it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import TypeVar

from django.db import OperationalError, connection, transaction
from psycopg.errors import QueryCanceled

from datasets.models import Dataset
from search.choices import find_search_choice, languages_of
from search.core.asking import Asked, InvalidQuery, read_query
from search.core.fusion import Fused, MeaningHit, WordsHit, fuse
from search.core.spelling import is_spelled
from search.core.terms import Term, WeighedTerms, weigh_terms
from search.embedding.contract import EmbedCode
from search.embedding.queries import BegunQuestion, QueryVector, begin_question, list_generations
from search.models import IndexGeneration, SearchChoice
from search.querying.durations import search_durations
from search.querying.hits import count_facets, read_hits, read_places
from search.querying.lexemes_of_query import lexeme_counts, read_terms, write_without
from search.querying.meaning import find_unmeant, list_by_meaning, list_words_only
from search.querying.narrowing import narrow_scope
from search.querying.question import (
    DEEPEST,
    LIMIT_MAX,
    Degraded,
    Hit,
    InvalidQuestion,
    NoSuchDataset,
    Question,
    SearchAnswer,
    SearchMode,
)
from search.querying.scope import SearchScope
from search.querying.spelling import find_same, respell
from search.querying.states import read_state
from search.querying.words import add_phrases, find_phrase, list_by_words
from workspaces.lookup import find_row
from workspaces.models import Workspace

T = TypeVar("T")
CURSOR_PATTERN = r"^[1-9][0-9]{0,2}$"
_CURSOR = re.compile(CURSOR_PATTERN)
WITHIN_S = 2.0  # both lists
LIST_S, SOON_S = (
    0.4,
    0.05,
)  # what is left of it for the list of meaning, and the least that a service gets
AGE_MAX_S = 100 * 365.25 * 86_400.0
NEAR = LIMIT_MAX + 1  # contents of each list on the first pages, and whether more follow


def find_datasets(workspace: Workspace, called: Iterable[str]) -> tuple[Dataset, ...]:
    """Returns the datasets of these ids or names. Raises NoSuchDataset."""
    found = []
    for each in dict.fromkeys(called):
        dataset = find_row(Dataset.objects.all(), workspace, each)
        if dataset is None:
            raise NoSuchDataset(each)
        found.append(dataset)
    return tuple(found)


def search(workspace: Workspace, question: Question) -> SearchAnswer:
    """Takes two seconds at most for the lists. Raises InvalidQuestion."""
    began_s = time.monotonic()
    asked, offset = _read_question(question), _read_cursor(question.cursor)
    answer = _answer(workspace, question, asked, offset)
    search_durations.add(workspace, question.mode, time.monotonic() - began_s)
    return answer


def _answer(workspace: Workspace, question: Question, asked: Asked, offset: int) -> SearchAnswer:
    chosen = find_search_choice(workspace.pk)
    languages = languages_of(chosen)
    generations = list_generations(workspace.pk)
    index = read_state(workspace.pk, question.dataset_ids, generations)
    run = _Run(
        workspace, question, asked, languages, time.monotonic() + WITHIN_S, generations, chosen
    )
    found = run.find(offset + question.limit + 1)  # whether another page follows, too
    if found and (question.newer_than_s is not None or question.with_facets):
        places = read_places(run.scope, [each.text_id for each in found])
        found = [each for each in found if each.text_id in places]
    else:
        places = {}
    page = found[offset : offset + question.limit]
    items: list[Hit] = []
    if page:
        items = read_hits(run.scope, page, run.weighed, asked.phrases, languages)
    end = offset + question.limit
    is_last = end >= min(len(found), DEEPEST)
    if is_last and run.is_late and offset and page:
        # The list ends because time was up: who asks again from here may get further, and gets no such place a second time.
        end = offset + len(page)
        is_last = end >= DEEPEST
    return SearchAnswer(
        items=items,
        next=None if is_last else str(end),
        index=index,
        degraded=run.degraded,
        found=len(found),
        has_more=run.has_more,
        facets=count_facets(list(places.values())) if question.with_facets else {},
    )


@dataclass
class _Run:
    """One search: the lists as far as they were made."""

    workspace: Workspace
    question: Question
    asked: Asked
    languages: Sequence[str]
    until_s: float
    generations: Sequence[IndexGeneration]
    chosen: SearchChoice | None
    weighed: WeighedTerms = field(default_factory=lambda: weigh_terms((), {}, 0))
    degraded: list[Degraded] = field(default_factory=list)
    held: dict[int, int] = field(default_factory=dict)  # contents with the phrases, and the chunk
    has_more: bool = False  # the lists were not made to their end
    is_late: bool = False  # one of them could not be made in time
    begun: BegunQuestion | None = None

    def __post_init__(self) -> None:
        question = self.question
        age_s = question.newer_than_s
        self.scope = SearchScope(
            self.workspace.pk,
            dataset_ids=question.dataset_ids,
            prefix=question.prefix,
            types=tuple(suffix.lower() for suffix in question.types),
            newer_than=None if age_s is None else timedelta(seconds=min(age_s, AGE_MAX_S)),
        )

    def find(self, depth: int) -> list[Fused]:
        """Returns at least `depth` contents, if there are so many. The first ones do not depend on `depth`, so pages neither
        repeat nor miss any."""
        asked = self.asked
        if self.question.mode is not SearchMode.WORDS:
            self.begun = begin_question(
                self.workspace, _text_of(asked), self.generations, self.chosen
            )
        read = read_terms([*asked.words, *_words_of(asked.phrases)], self.languages)
        telling = [term for term in read.terms if not term.is_stop]
        if not telling and not asked.phrases:
            return []
        self.weighed = self._weigh(telling, is_foreign=read.is_foreign)
        if not self._narrow():
            return []
        near = self._fuse(NEAR)
        if len(near) < NEAR:
            return near
        if depth <= len(near):
            self.has_more = True
            return near
        shown = {each.text_id for each in near}
        deep = [each for each in self._fuse(DEEPEST) if each.text_id not in shown]
        return [*near, *_below(near[-1].score, deep)][:DEEPEST]

    def _weigh(self, terms: Sequence[Term], *, is_foreign: bool) -> WeighedTerms:
        counts, chunk_count = lexeme_counts.count(form for term in terms for form in term.forms)
        made = respell(terms, counts, self.workspace.pk, is_foreign=is_foreign)
        more = {form for term in made for form in term.forms} - counts.keys()
        if more:
            counts |= lexeme_counts.count(more)[0]
        return weigh_terms(made, counts, chunk_count)

    def _narrow(self) -> bool:
        """Limits the scope to contents that obey the phrases; False where none does."""
        asked = self.asked
        self.scope = self.scope.without_words(
            write_without(self._list_refused(), self.languages)
        ).without_texts(self._find_refused())
        self.scope = self._in_time("words", lambda: narrow_scope(self.scope)) or self.scope
        if not asked.phrases:
            return True
        self.held = self._find_demanded()
        self.scope = self.scope.with_texts(list(self.held))
        return bool(self.held)

    def _list_refused(self) -> list[str]:
        """What no hit may hold, with and without accents."""
        refused = self.asked.without
        spelled = [word for each in refused if is_spelled(word := each.lower())]
        same = find_same(self.workspace.pk, spelled) if spelled else {}
        return [*refused, *{word for found in same.values() for word in found}]

    def _find_refused(self) -> set[int]:
        """Contents that hold what is refused and is no plain word: their text is looked at."""
        found: set[int] = set()
        for each in self.asked.without:
            if not each.isalnum():
                found.update(self._find_phrase(self.scope, each))
        return found

    def _find_demanded(self) -> dict[int, int]:
        """The contents that hold each of the phrases, with a chunk that holds the first."""
        first, *others = self.asked.phrases
        found = self._find_phrase(self.scope, first)
        for phrase in others:
            if not found:
                break
            held = self._find_phrase(self.scope.with_texts(list(found)), phrase)
            found = {text: chunk for text, chunk in found.items() if text in held}
        return found

    def _find_phrase(self, scope: SearchScope, phrase: str) -> dict[int, int]:
        """Within what is left of the time: there may be many."""
        return self._in_time("words", partial(find_phrase, scope, phrase)) or {}

    def _fuse(self, depth: int) -> list[Fused]:
        words = self._list_words(depth)
        return fuse(words, *self._list_meaning(depth, [hit.text_id for hit in words]))

    def _list_words(self, depth: int) -> list[WordsHit]:
        if self.question.mode is SearchMode.MEANING:
            return []
        made = self._in_time(
            "words", lambda: list_by_words(self.scope, self.weighed, self.languages, limit=depth)
        )
        return add_phrases(made or [], self.held, depth) if self.held else made or []

    def _list_meaning(
        self, depth: int, by_words: Sequence[int]
    ) -> tuple[list[MeaningHit], set[int]]:
        """With those of the contents that words found which meaning could not find: they have no vector yet, or never."""
        if self.begun is None:
            return [], set()
        vector = self.begun.wait(max(SOON_S, self._left_s() - LIST_S))
        if vector.code is not None:
            self._degrade("meaning", vector.code, vector.detail)
            return [], set()
        made = self._in_time(
            "meaning", lambda: _find_by_meaning(self.scope, vector, depth, by_words)
        )
        if made is None:
            return [], set()
        found, unmeant = made
        if not found and not self.asked.phrases:
            self._degrade("meaning", EmbedCode.NO_VECTORS, _NO_VECTORS)
        return found, unmeant

    def _in_time(self, name: str, make: Callable[[], T]) -> T | None:
        """None where the time is up."""
        left_ms = int(self._left_s() * 1000)
        if left_ms > 0:
            try:
                with transaction.atomic(), connection.cursor() as cursor:
                    cursor.execute(
                        "SELECT set_config('statement_timeout', %s, true)", [f"{left_ms}"]
                    )
                    made = make()
                    cursor.execute("SET LOCAL statement_timeout TO DEFAULT")
                    return made
            except OperationalError as exc:
                if not isinstance(exc.__cause__, QueryCanceled):
                    raise
        self.is_late = True
        self._degrade("words" if name == "words" else "meaning", EmbedCode.LATE, _LATE)
        return None

    def _left_s(self) -> float:
        return self.until_s - time.monotonic()

    def _degrade(self, name: str, code: str, detail: str) -> None:
        found = Degraded(name, code, detail)
        if all(each.list != name for each in self.degraded):
            self.degraded.append(found)


_NO_VECTORS = "No text in scope has a vector."
_LATE = f"It was not ready within {WITHIN_S:g} s and was left out."


def _find_by_meaning(
    scope: SearchScope, vector: QueryVector, depth: int, by_words: Sequence[int]
) -> tuple[list[MeaningHit], set[int]]:
    scope = scope.without_datasets(list_words_only(scope.workspace_id))
    found = list_by_meaning(scope, vector, depth)
    return found, find_unmeant(scope, vector, by_words) if found and by_words else set()


def _read_question(question: Question) -> Asked:
    """Raises InvalidQuestion."""
    try:
        asked = read_query(question.q)
    except InvalidQuery as exc:
        raise InvalidQuestion("q", str(exc)) from None
    if not 1 <= question.limit <= LIMIT_MAX:
        raise InvalidQuestion("limit", f"Give a limit from 1 to {LIMIT_MAX}.")
    for field_name, text in (
        ("prefix", question.prefix),
        *(("type", each) for each in question.types),
    ):
        if "\0" in text or not _is_whole(text):
            raise InvalidQuestion(field_name, "It holds a character that no path has.")
    return asked


def _is_whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # half a character
        return False
    return True


def _text_of(asked: Asked) -> str:
    """What a model is asked: without what a hit must not hold."""
    return " ".join([*asked.words, *asked.phrases])


def _words_of(phrases: Sequence[str]) -> list[str]:
    return [word for phrase in phrases for word in phrase.split()]


def _below(score: float, found: Sequence[Fused]) -> Iterable[Fused]:
    """Scores fall along all pages."""
    for n, each in enumerate(found, 1):
        yield Fused(each.text_id, each.chunk_id, round(score * 0.999**n, 6), each.matched)


def _read_cursor(cursor: str | None) -> int:
    """A cursor is how many hits the pages before have shown. Raises InvalidQuestion."""
    if cursor is None:
        return 0
    if not _CURSOR.fullmatch(cursor):
        raise InvalidQuestion("cursor", "Give `next` of the page before as it came.")
    return int(cursor)
