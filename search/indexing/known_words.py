"""Keeps the words that the texts of a workspace hold, so that a misspelt one of a question finds those that it was meant for.

A word is told before the chunks that hold it, in a transaction of its own and in the order of the key, so that two who
tell the same words wait for each other but for a moment. A word that no chunk holds any more does no harm: a question
counts the chunks of each word before it looks for it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field

from database.rows import Cursor
from search.core.spelling import fold_word, iter_spelled

TOLD_MAX = 100_000  # tokens that are remembered: a text repeats most of what the one before it held

_KEEP = """
INSERT INTO search_knownword (workspace_id, folded, word)
SELECT %(workspace)s, s.folded, s.word FROM unnest(%(folded)s::text[], %(words)s::text[]) s (folded, word)
 ORDER BY s.folded, s.word
ON CONFLICT DO NOTHING
"""


def keep_words(cursor: Cursor, workspace_id: uuid.UUID, words: Iterable[str]) -> None:
    """Words in lower case. Call it in no transaction that holds locks."""
    told = sorted(set(words))
    if told:
        folded = [fold_word(word) for word in told]
        cursor.execute(_KEEP, {"workspace": workspace_id, "folded": folded, "words": told})


@dataclass(slots=True)
class WordCollector:
    """Gathers the words of texts, each once."""

    _seen: set[str] = field(default_factory=set)
    _found: set[str] = field(default_factory=set)

    def add(self, text: str, compounds: Iterable[str]) -> None:
        tokens = set(text.lower().split())
        tokens.update(compounds)
        new = tokens - self._seen
        if not new:
            return
        if len(self._seen) > TOLD_MAX:
            self._seen.clear()
        self._seen |= new
        self._found.update(iter_spelled("\n".join(new)))

    def take(self) -> set[str]:
        """Returns what came since the last time."""
        found, self._found = self._found, set()
        return found
