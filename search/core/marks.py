"""Cuts the part of a chunk that a hit shows, and says where the words of the question stand in it.

A snippet is an unchanged run of the text: nothing is escaped, and nothing is put between. So who shows it marks by
offsets, and no text of a file can pass for a mark. Offsets count code points. Words are compared in the form NFC, in
whatever form the text is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from search.core.letters import MARK, WORD, compose, compose_with_places, is_mark, match_words
from search.core.lexemes import HYPHEN, LONGEST_WORD, RUN, find_plain_numbers, list_parts

SNIPPET_MAX = 400
LEAD = 60  # characters before the first mark, at most

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and line end
_PHRASE_WORD = re.compile(rf"{RUN.pattern}|{WORD}")
_PLAIN_COMPOUND = re.compile(r"[^\W_]+(?:[-_./:@+#]+[^\W_]+)+")
# A word with or without joiners: to look for two with one between would read a long word once for each of its letters.
_MAYBE_COMPOUND = re.compile(rf"[^\W_]+(?:(?:[-_./:@+#]+[^\W_]|{MARK})[^\W_]*)*")
_JOINERS = re.compile("[-_./:@+#]")
_HUMP = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+|[^A-Za-z0-9]+")  # of a word


@dataclass(frozen=True, slots=True)
class WantedWords:
    """What is marked. `lexemes` are words and identifiers in lower case with their weights; `stemmed` are the words of these
    texts whose stem is asked for, with their weights, as the database told them; `phrases` are marked where they stand whole."""

    lexemes: Mapping[str, float]
    stemmed: Mapping[str, float]
    phrases: Sequence[str]


@dataclass(frozen=True, slots=True)
class Snippet:
    """`line` counts from the line in which the body begins, which is 0."""

    text: str
    highlights: tuple[tuple[int, int], ...]
    line: int


@dataclass(frozen=True, slots=True)
class _Mark:
    start: int
    end: int
    word: str
    weight: float


def list_words(text: str) -> set[str]:
    """Returns the words that may be marked in a text, in lower case: the database is asked which of them have a stem that is
    wanted."""
    text = compose(text)
    words = match_words(text).findall(text)
    found = {word.lower() for word in words}
    found.update(hump.lower() for word in words for hump in _HUMP.findall(word))
    return {word for word in found if len(word) <= LONGEST_WORD}


def has_phrase(text: str, phrase: str) -> bool:
    """Whether the words of the phrase stand in the text side by side, in this order."""
    phrase = compose(phrase)
    if not _PHRASE_WORD.search(phrase):
        return True
    return next(_match_phrase(compose(text), phrase), None) is not None


def cut_snippet(body: str, wanted: WantedWords) -> Snippet:
    text = _leave_out_controls(body)
    marks = _find_marks(text, wanted)
    start, end = _choose_run(text, marks)
    shown = _join_marks([mark for mark in marks if start <= mark.start and mark.end <= end])
    return Snippet(
        text[start:end],
        tuple((first - start, last - start) for first, last in shown),
        text.count("\n", 0, start),
    )


def _leave_out_controls(text: str) -> str:
    return _CONTROLS.sub("", text)


def _find_marks(text: str, wanted: WantedWords) -> list[_Mark]:
    composed, places = (text, None) if compose(text) == text else compose_with_places(text)
    found = [*_find_phrases(composed, wanted.phrases), *_find_words(composed, wanted)]
    if places is not None:
        moved = [replace(mark, start=places[mark.start], end=places[mark.end]) for mark in found]
        found = [mark for mark in moved if mark.start < mark.end]
    return sorted(found, key=lambda mark: (mark.start, -mark.end))


def _find_phrases(text: str, phrases: Sequence[str]) -> Iterator[_Mark]:
    for phrase in phrases:
        for start, end in _match_phrase(text, compose(phrase)):
            for word in match_words(text).finditer(text, start, end):
                yield _Mark(word.start(), word.end(), f'"{phrase}"', 10.0)


def _find_words(text: str, wanted: WantedWords) -> Iterator[_Mark]:
    yield from _find_compounds(text, wanted)
    for start, end, number in find_plain_numbers(text):
        if weight := wanted.lexemes.get(number):
            yield _Mark(start, end, number, weight)
    single = wanted.lexemes.keys() | wanted.stemmed.keys()
    for match in match_words(text).finditer(text):
        word = match.group()
        if word.lower() in single or not (word.isalpha() and (word.islower() or word.istitle())):
            yield from _find_in_word(word, match.start(), wanted)
    for match in () if text.isascii() else RUN.finditer(text):
        for at, part in list_parts(match.group()):
            if weight := wanted.lexemes.get(part):
                start = match.start() + at
                yield _Mark(start, start + len(part), part, weight)


def _find_compounds(text: str, wanted: WantedWords) -> Iterator[_Mark]:
    for match in (_PLAIN_COMPOUND if text.isascii() else _MAYBE_COMPOUND).finditer(text):
        name = match.group().lower()
        if (joined := _JOINERS.sub("", name)) == name:
            continue
        weight = wanted.lexemes.get(name) or wanted.lexemes.get(joined)
        if weight:
            yield _Mark(match.start(), match.end(), name, weight)


def _find_in_word(word: str, start: int, wanted: WantedWords) -> Iterator[_Mark]:
    """The word itself, or else its humps: `Mismatch` in `HeaderMismatch`."""
    name = word.lower()
    if weight := wanted.lexemes.get(name) or wanted.stemmed.get(name):
        yield _Mark(start, start + len(word), name, weight)
        return
    for hump in _HUMP.finditer(word):
        part = hump.group().lower()
        if weight := wanted.lexemes.get(part) or wanted.stemmed.get(part):
            yield _Mark(start + hump.start(), start + hump.end(), part, weight)


def _choose_run(text: str, marks: Sequence[_Mark]) -> tuple[int, int]:
    """Returns the run that shows most of what is wanted, each word counted once; the earliest of equals."""
    first = len(text) - len(text.lstrip())
    last = len(text.rstrip())
    if last - first <= SNIPPET_MAX:
        return first, max(first, last)
    best, best_weight = first, _weigh_run(marks, first, first + SNIPPET_MAX)
    for mark in marks:
        start = _begin_before(text, mark.start, first)
        weight = _weigh_run(marks, start, start + SNIPPET_MAX)
        if weight > best_weight * 1.001:
            best, best_weight = start, weight
    return best, _end_at(text, best, min(best + SNIPPET_MAX, last), marks)


def _weigh_run(marks: Sequence[_Mark], start: int, end: int) -> float:
    each: dict[str, float] = {}
    count = 0
    for mark in marks:
        if start <= mark.start and mark.end <= end:
            each[mark.word] = mark.weight
            count += 1
    return sum(each.values()) + 0.01 * count


def _begin_before(text: str, at: int, first: int) -> int:
    """The begin of the line, where it is near; else a word's begin."""
    earliest = max(first, at - LEAD)
    line = text.rfind("\n", earliest, at)
    if line >= 0:
        return min(at, line + 1 + _count_space(text, line + 1, at))
    if earliest == first:
        return first
    space = text.find(" ", earliest, at)
    return space + 1 if space >= 0 else at


def _count_space(text: str, start: int, end: int) -> int:
    run = text[start:end]
    return len(run) - len(run.lstrip("\n\r"))


def _end_at(text: str, start: int, end: int, marks: Sequence[_Mark]) -> int:
    """Cuts no word in two, where a space is near."""
    if end < len(text) and not text[end].isspace():
        space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
        reached = max(
            (mark.end for mark in marks if start <= mark.start and mark.end <= end), default=0
        )
        if space >= max(reached, end - LEAD):
            end = space
    return start + len(text[start:end].rstrip())


def _join_marks(marks: Sequence[_Mark]) -> list[tuple[int, int]]:
    """Rising and without overlap."""
    joined: list[tuple[int, int]] = []
    for mark in marks:
        if joined and mark.start < joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], mark.end))
        else:
            joined.append((mark.start, mark.end))
    return joined


def _match_phrase(text: str, phrase: str) -> Iterator[tuple[int, int]]:
    """Yields where the phrase stands. Both are in the form NFC."""
    pattern = _compile_phrase(phrase, text)
    at = 0
    while pattern and (match := pattern.search(text, at)):
        if text.isascii() or _is_whole(match, phrase):
            yield match.span()
            at = match.end()
        else:
            at = match.start() + 1


def _is_whole(match: re.Match[str], phrase: str) -> bool:
    """Whether none of its words goes on with a mark: what the pattern takes for the space between words may be one."""
    text, (start, end) = match.string, match.span()
    if not RUN.match(text[start]) and start and is_mark(text[start - 1]):
        return False
    if not RUN.match(text[end - 1]) and end < len(text) and is_mark(text[end]):
        return False
    return _count_letters(match.group()) == _count_letters(phrase)


def _count_letters(text: str) -> int:
    return sum(map(len, _PHRASE_WORD.findall(text)))


def _compile_phrase(phrase: str, text: str) -> re.Pattern[str] | None:
    """A word ends where no letter follows; in a run without spaces it ends anywhere. A word may be hyphenated in the text."""
    words = _PHRASE_WORD.findall(phrase)
    if not words:
        return None
    before = "" if RUN.match(words[0][0]) else r"(?<![^\W_])"
    behind = "" if RUN.match(words[-1][-1]) else r"(?![^\W_])"
    within = f"(?:{HYPHEN})?" if re.search(HYPHEN, text) else ""
    side_by_side = r"[\W_]+".join(within.join(map(re.escape, word)) for word in words)
    return re.compile(f"{before}{side_by_side}{behind}", re.IGNORECASE)
