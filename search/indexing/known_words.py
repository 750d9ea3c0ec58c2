"""Keeps the words that the texts of a workspace hold, so that a misspelt one of a question finds those that it was meant for.

A word is told before the chunks that hold it, in a transaction of its own and in the order of the key, so that two who
tell the same words wait for each other but for a moment. A word that no chunk holds any more does no harm: a question
counts the chunks of each word before it looks for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from database.rows import Cursor
from search.core.lexemes import LONGEST_WORD, iter_plain_numbers, split_at_signs, split_token
from search.core.spelling import fold_word, iter_spelled

PLAIN_MAX, COMPOUNDS_MAX = 100_000, 50_000  # tokens that are remembered, in some 20 MB

_KEEP = r"""
INSERT INTO search_knownword (workspace_id, folded, word)
SELECT %(workspace)s, s.folded, s.word
  FROM unnest(string_to_array(%(folded)s, E'\n'), string_to_array(%(words)s, E'\n')) s (folded, word)
 ORDER BY s.folded, s.word
ON CONFLICT DO NOTHING
"""


def keep_words(cursor: Cursor, workspace_id: uuid.UUID, words: Iterable[str]) -> None:
    """Words in lower case. Call it in no transaction that holds locks."""
    told = sorted(set(words))
    if told:
        # As texts, because psycopg makes an array one word at a time.
        lines = {"folded": "\n".join(map(fold_word, told)), "words": "\n".join(told)}
        cursor.execute(_KEEP, {"workspace": workspace_id, **lines})


@dataclass(slots=True)
class WordCollector:
    """Takes texts apart, each token once: a text repeats most of what the ones before it held. And gathers the words that
    can be misspelt."""

    _plain: set[str] = field(default_factory=set)  # tokens that are made of no others
    _compounds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _found: set[str] = field(default_factory=set)

    def read(self, text: str) -> set[str]:
        """Returns what `split_compounds` does."""
        compounds = set(iter_plain_numbers(text))
        new = []
        for token in split_at_signs(text) - self._plain:
            if (known := self._compounds.get(token)) is None:
                new.append(token)
            else:
                compounds.update(known)
        if new:
            compounds.update(self._read_new(new))
        return compounds

    def take(self) -> set[str]:
        """Returns the words that came since the last time."""
        found, self._found = self._found, set()
        return found

    def _read_new(self, tokens: Sequence[str]) -> set[str]:
        if len(self._plain) > PLAIN_MAX:
            self._plain.clear()
        if len(self._compounds) > COMPOUNDS_MAX:
            self._compounds.clear()
        found: set[str] = set()
        for token in tokens:
            if not (compounds := split_token(token)):
                if len(token) <= LONGEST_WORD:
                    self._plain.add(token)
                continue
            if len(token) <= LONGEST_WORD:
                self._compounds[token] = tuple(compounds)
            found |= compounds
        self._found.update(iter_spelled("\n".join([*tokens, *found])))
        return found
