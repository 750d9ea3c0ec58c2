"""Asks the database which lexemes the words of a question have, and how many chunks hold each."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection

from database.rows import fetch_rows
from search.core.letters import MARKS, match_letters, match_words
from search.core.lexemes import RUN, SIMPLE, ask_parts, iter_plain_numbers, split_compounds
from search.core.terms import Term, write_tsquery

# Configurations with a list of stop words. A question in one of these languages is full of words that tell nothing, and
# that are rare in texts of other languages.
WITH_STOP_WORDS = (
    "danish", "dutch", "english", "finnish", "french", "german", "hungarian", "italian",
    "norwegian", "portuguese", "russian", "spanish", "swedish", "turkish",
)  # fmt: skip
PARTS_MAX = 40  # of runs without spaces: what is beyond adds nothing to a ranking
COUNTED_MAX = 20_000  # chunks: who stands in more is common enough
STATISTICS_FOR_S = 300.0

_DIGIT = re.compile(r"\d")
_OUTER = re.compile(rf"^[^\w@#]+|[^\w+#{MARKS}]+$")

_LEXIZE = """
SELECT w.n, c.name, tsvector_to_array(to_tsvector(c.name::regconfig, w.word)) AS lexemes
  FROM unnest(%(words)s::text[]) WITH ORDINALITY w (word, n)
 CROSS JOIN unnest(%(configurations)s::text[]) c (name)
"""

_STEMS_AMONG = """
SELECT DISTINCT word, lexeme
  FROM unnest(%(words)s::text[]) word CROSS JOIN unnest(%(languages)s::text[]) l (name)
 CROSS JOIN LATERAL unnest(tsvector_to_array(to_tsvector(l.name::regconfig, word))) lexeme
 WHERE lexeme = ANY(%(stems)s)
"""

_WITHOUT = """
SELECT DISTINCT phraseto_tsquery(c.name::regconfig, r.text)::text
  FROM unnest(%(refused)s::text[]) r (text)
 CROSS JOIN unnest(%(configurations)s::text[]) c (name)
 WHERE c.name = 'simple' OR numnode(phraseto_tsquery('simple', r.text)) = 1
"""

# A table that was never analysed has no row of statistics.
_STATISTICS = """
SELECT greatest(c.reltuples, 0) AS chunk_count, coalesce(s.most_common_elems::text::text[], '{}') AS lexemes,
       coalesce(s.most_common_elem_freqs, '{}') AS parts
  FROM pg_class c
  LEFT JOIN pg_stats s ON s.schemaname = current_schema() AND s.tablename = c.relname AND s.attname = 'words'
 WHERE c.oid = 'search_textchunk'::regclass
"""

_COUNT = """
SELECT l.lexeme, (SELECT count(*) FROM (SELECT 1 FROM search_textchunk c WHERE c.words @@ l.query::tsquery
                                         LIMIT %(most)s) counted)
  FROM unnest(%(lexemes)s::text[], %(queries)s::text[]) l (lexeme, query)
"""


@dataclass(frozen=True, slots=True)
class _Collected:
    """What ANALYZE knows of the chunks: their number, and the part of them that holds each common lexeme."""

    chunk_count: float
    lexemes: list[str]
    parts: list[float]


@dataclass(frozen=True, slots=True)
class _Lexized:
    """What one configuration makes of one word; `n` counts from 1."""

    n: int
    name: str
    lexemes: list[str]


@dataclass(frozen=True, slots=True)
class QuestionTerms:
    """The words of a question; `is_foreign`: it is spoken in another language than those of the workspace."""

    terms: tuple[Term, ...] = ()
    is_foreign: bool = False


def read_terms(words: Sequence[str], languages: Sequence[str]) -> QuestionTerms:
    """Returns a term for each word that the parser of PostgreSQL finds a lexeme in, and for each part of a run without
    spaces."""
    parts = _find_parts(words)[:PARTS_MAX]
    runs = tuple(Term(part, (part,), (), (), is_stop=False, is_exact=False) for part in parts)
    spaced = [piece for word in words for piece in RUN.sub(" ", word).split()]
    cleaned = [each for each in (_OUTER.sub("", word) for word in spaced) if each]
    spaced_terms = _read_spaced(cleaned, languages)
    return QuestionTerms((*spaced_terms.terms, *runs), spaced_terms.is_foreign)


def _find_parts(words: Iterable[str]) -> list[str]:
    """The parts of runs without spaces, in their order."""
    runs = (run for word in words if not word.isascii() for run in RUN.findall(word))
    return list(dict.fromkeys(part for run in runs for part in ask_parts(run)))


def _read_spaced(cleaned: Sequence[str], languages: Sequence[str]) -> QuestionTerms:
    if not cleaned:
        return QuestionTerms()
    configurations = list(dict.fromkeys([SIMPLE, *languages, *WITH_STOP_WORDS]))
    with connection.cursor() as cursor:
        cursor.execute(_LEXIZE, {"words": list(cleaned), "configurations": configurations})
        found: dict[int, dict[str, list[str]]] = {}
        for row in fetch_rows(cursor, _Lexized):
            found.setdefault(row.n - 1, {})[row.name] = row.lexemes
    spoken = _guess_language(found)
    stop_in = dict.fromkeys([*languages, *spoken])
    terms = tuple(
        _make_term(word, found[n], languages, stop_in)
        for n, word in enumerate(cleaned)
        if found[n][SIMPLE]
    )
    return QuestionTerms(terms, is_foreign=bool(spoken) and spoken[0] not in languages)


def _make_term(
    word: str, lexemes: Mapping[str, list[str]], languages: Sequence[str], stop_in: Iterable[str]
) -> Term:
    simple = lexemes[SIMPLE]
    compounds = split_compounds(word)
    name = word.lower()
    joined = re.sub(r"[-_./:@+#]", "", name)
    stems = [stem for language in languages for stem in lexemes[language]]
    if not compounds:
        whole = [name] if name in simple else simple
        return Term(
            word,
            whole=tuple(dict.fromkeys(whole)),
            stems=tuple(dict.fromkeys(stems)) if len(simple) == 1 else (),
            parts=() if len(simple) == 1 else tuple(simple),
            is_stop=any(not lexemes[language] for language in stop_in),
            is_exact=bool(_DIGIT.search(word)),
            same=_list_same_numbers([name]),
        )
    numbers = list(iter_plain_numbers(word))
    whole = [each for each in (name, joined, *numbers) if each in compounds]
    parts = compounds - {*whole, joined}
    if numbers:  # what stands between the signs of one is another number
        parts = {part for part in parts if not part[:1].isdecimal()}
    return Term(
        word,
        whole=tuple(dict.fromkeys(whole)),
        stems=(),
        parts=tuple(sorted(parts)),
        is_stop=False,
        is_exact=True,
        has_letters=any(len(each) == 1 for each in match_letters(word).findall(word)),
        same=_list_same_numbers(numbers),
    )


def _list_same_numbers(forms: Iterable[str]) -> tuple[str, ...]:
    """A whole number as it stands with a sign before it, which PostgreSQL takes for a part of it, or as a round amount."""
    whole = [form for form in forms if form.isdecimal()]
    return tuple(same for form in whole for same in (f"+{form}", f"-{form}", f"{form}.00"))


def _guess_language(found: Mapping[int, Mapping[str, list[str]]]) -> list[str]:
    """Returns the language whose stop words are most of the question's words: two at least."""
    counts = {
        name: sum(1 for each in found.values() if each[SIMPLE] and not each[name])
        for name in WITH_STOP_WORDS
    }
    best = max(counts, key=lambda name: counts[name])
    return [best] if counts[best] >= 2 else []


def write_without(refused: Sequence[str], languages: Sequence[str]) -> str:
    """Returns the tsquery of what no hit may hold: a word in any of its forms, a phrase as it stands. Empty for nothing."""
    if not refused:
        return ""
    runs = [each for each in refused if RUN.search(each)]
    queries = [write_tsquery(_find_parts([each]), "&") for each in runs]
    with connection.cursor() as cursor:
        spaced = [each for each in refused if each not in runs]
        cursor.execute(_WITHOUT, {"refused": spaced, "configurations": [SIMPLE, *languages]})
        queries += [query for (query,) in cursor.fetchall() if query]
    return " | ".join(f"({query})" for query in queries)


def write_phrase(phrase: str) -> str:
    """Returns the tsquery of what each chunk that holds the phrase holds. Some of them hold no such phrase."""
    parts = write_tsquery(_find_parts([phrase]), "&")
    with connection.cursor() as cursor:
        if not parts:
            cursor.execute("SELECT phraseto_tsquery('simple', %s)::text", [phrase])
        else:
            rest = RUN.sub(" ", phrase)
            cursor.execute(
                "SELECT (%s::tsquery && plainto_tsquery('simple', %s))::text", [parts, rest]
            )
        return str(cursor.fetchone()[0])


def write_loose_phrase(phrase: str) -> str:
    """Returns the tsquery of the single words of a phrase: each chunk that holds the phrase holds these, whatever the parser of
    PostgreSQL takes it for, such as an address or a file. Empty where no chunk can be found by them."""
    if RUN.search(phrase):
        return ""
    words = {
        word
        for word in match_words(phrase).findall(phrase.lower())
        if len(word) > 1 or word.isdigit()
    }
    return " & ".join(f"({write_tsquery(_with_signs(word), '|')})" for word in sorted(words))


def _with_signs(word: str) -> list[str]:
    """A number may have been read with a sign before it."""
    return [word, f"-{word}", f"+{word}"] if word.isdigit() else [word]


def find_stemmed(
    words: Iterable[str], stems: Mapping[str, float], languages: Sequence[str]
) -> dict[str, float]:
    """Returns the weight of each of these words whose stem is wanted, in any of the languages."""
    found = find_stems(words, stems, languages)
    return {word: max(stems[stem] for stem in held) for word, held in found.items()}


def find_stems(
    words: Iterable[str], stems: Iterable[str], languages: Sequence[str]
) -> dict[str, set[str]]:
    """Returns the words that have one of the stems in any of the languages, each with these."""
    asked, wanted = sorted(words), list(stems)
    if not asked or not wanted:
        return {}
    found: dict[str, set[str]] = {}
    with connection.cursor() as cursor:
        cursor.execute(
            _STEMS_AMONG, {"words": asked, "languages": list(languages), "stems": wanted}
        )
        for word, stem in cursor.fetchall():
            found.setdefault(word, set()).add(stem)
    return found


@dataclass(frozen=True, slots=True)
class _Statistics:
    """The part of chunks that holds each of the common lexemes, as ANALYZE has estimated it."""

    parts: Mapping[str, float]
    chunk_count: float
    read_at_s: float


class LexemeCounts:
    """How many chunks hold a lexeme, in the whole table: the common ones from the planner's statistics, which are read
    again every few minutes; the others are counted, which is cheap because they are rare."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._read: _Statistics | None = None

    def count(self, lexemes: Iterable[str]) -> tuple[dict[str, float], float]:
        """Returns the counts, and how many chunks there are."""
        statistics = self._statistics()
        counts: dict[str, float] = {}
        rare: list[str] = []
        for lexeme in set(lexemes):
            part = statistics.parts.get(lexeme)
            if part is None:
                rare.append(lexeme)
            else:
                counts[lexeme] = max(1.0, part * statistics.chunk_count)
        if rare:
            counts.update(_count_exactly(rare))
        return counts, statistics.chunk_count

    def _statistics(self) -> _Statistics:
        with self._lock:
            known = self._read
            if known is None or time.monotonic() - known.read_at_s > STATISTICS_FOR_S:
                known = self._read = _read_statistics()
            return known

    def forget(self) -> None:
        """For tests: another database has other counts."""
        with self._lock:
            self._read = None


def _read_statistics() -> _Statistics:
    with connection.cursor() as cursor:
        cursor.execute(_STATISTICS)
        [row] = fetch_rows(cursor, _Collected)
    parts = dict(zip(row.lexemes, row.parts, strict=False))
    return _Statistics(parts, row.chunk_count, time.monotonic())


def _count_exactly(lexemes: Sequence[str]) -> dict[str, float]:
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNT,
            {
                "lexemes": list(lexemes),
                "queries": [write_tsquery([lexeme], "&") for lexeme in lexemes],
                "most": COUNTED_MAX,
            },
        )
        return {lexeme: float(count) for lexeme, count in cursor.fetchall()}


lexeme_counts = LexemeCounts()
