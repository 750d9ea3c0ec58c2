"""Writes the chunks of a batch of texts: staged first, while files are read, then indexed in one short transaction.

The chunks go into a temporary table, so that the worker keeps none of them and no transaction is open while a file is
taken apart. The transaction makes their words, and takes each text from `pending` to its end. It locks the row of the
index last and for an instant, because whoever publishes waits for this row. A text that somebody else has finished
meanwhile is passed over with its chunks: so whatever is done twice is written once.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg

from database.rows import fetch_rows
from search.core.lexemes import clean_signs, compose_words
from search.core.passages import digest_passage
from search.core.texts import CHARACTERS_MAX, Cut, RefusalCode, TextRefusal
from search.indexing.known_words import WordCollector
from search.indexing.plan import IndexBusy
from search.models import TextState

_TABLE = """
CREATE TEMP TABLE IF NOT EXISTS staged_chunk (
    text_id bigint, n int, line int, place text, heading text, body text, digest bytea, compounds text,
    clean_heading text, clean_body text)
"""
_STAGE = """
COPY staged_chunk (text_id, n, line, place, heading, body, digest, compounds, clean_heading, clean_body)
FROM STDIN (FORMAT binary)
"""
_TYPES = ("int8", "int4", "int4", "text", "text", "text", "bytea", "text", "text", "text")
# In one order, and past what somebody else has locked, so that nobody waits.
_FINISH = """
WITH told AS (
    SELECT * FROM unnest(%(ids)s::bigint[], %(states)s::text[], %(codes)s::text[], %(notes)s::text[],
                         %(kinds)s::text[], %(counts)s::int[]) AS t (id, state, code, note, kind, chunk_count)),
mine AS (
    SELECT t.id, t.chunk_count AS had, t.gone_at IS NULL AS is_current FROM search_indexedtext t JOIN told USING (id)
     WHERE t.state = 'pending' ORDER BY t.id FOR UPDATE OF t SKIP LOCKED)
UPDATE search_indexedtext t
   SET state = told.state, code = told.code, note = told.note, kind = told.kind, chunk_count = told.chunk_count, at = now()
  FROM told JOIN mine USING (id) WHERE t.id = told.id
RETURNING t.id, t.state, t.chunk_count, mine.had, mine.is_current
"""
_INSERT = """
INSERT INTO search_textchunk (workspace_id, dataset_id, text_id, n, line, place, heading, body, digest, words)
SELECT %(workspace)s, %(dataset)s, s.text_id, s.n, s.line, s.place, s.heading, s.body, s.digest, {words}
  FROM staged_chunk s WHERE s.text_id = ANY(%(ids)s)
"""
# A chunk whose digest stays keeps its id, and with it its vector. Equal chunks of one text are told apart by a number, which is
# part of what is joined: thousands of them would make millions of pairs otherwise.
_KEY = "digest || int8send(row_number() OVER (PARTITION BY text_id, digest ORDER BY n)) AS key"
_REPLACE = """
WITH new AS (
    SELECT s.*, {key}, {words} AS words FROM staged_chunk s WHERE s.text_id = ANY(%(ids)s)),
old AS (
    SELECT id, text_id, {key} FROM search_textchunk WHERE text_id = ANY(%(ids)s)),
kept AS (
    UPDATE search_textchunk c SET n = new.n, line = new.line, place = new.place, words = new.words
      FROM old JOIN new USING (text_id, key) WHERE c.id = old.id RETURNING c.id),
gone AS (
    DELETE FROM search_textchunk c USING old WHERE c.id = old.id
       AND NOT EXISTS (SELECT FROM new WHERE new.text_id = old.text_id AND new.key = old.key)
    RETURNING c.id),
come AS (
    INSERT INTO search_textchunk (workspace_id, dataset_id, text_id, n, line, place, heading, body, digest, words)
    SELECT %(workspace)s, %(dataset)s, new.text_id, new.n, new.line, new.place, new.heading, new.body, new.digest,
           new.words
      FROM new
     WHERE NOT EXISTS (SELECT FROM old WHERE old.text_id = new.text_id AND old.key = new.key)
    RETURNING 1)
SELECT (SELECT count(*) FROM come), coalesce(array_agg(id), '{{}}') FROM gone
"""
# A temporary table is one of which the planner knows nothing, whatever its size.
_LOOK = "ANALYZE staged_chunk (text_id, digest)"
_COUNT = """
UPDATE search_datasetindex
   SET pending_texts = greatest(0, pending_texts - %(finished)s), text_count = text_count + %(done)s,
       refused_count = refused_count + %(refused)s, chunk_count = greatest(0, chunk_count + %(chunks)s),
       pending_chunks = CASE wish WHEN 'words_and_meaning' THEN pending_chunks + %(new)s ELSE 0 END,
       not_before = CASE WHEN %(alone_s)s > 0 THEN clock_timestamp() + make_interval(secs => %(alone_s)s)
                         ELSE not_before END
 WHERE dataset_id = %(dataset)s AND wish <> 'off' AND NOT emptying AND recipe = %(recipe)s
"""
_PUT_OFF = """
UPDATE search_indexedtext SET code = %(code)s, note = %(note)s, at = now() WHERE id = %(id)s AND state = 'pending'
"""
_CUT = f"It is found by the first {CHARACTERS_MAX:,} characters of its text; no more are read."


@dataclass(frozen=True, slots=True)
class WordsRecipe:
    """How the words of a dataset are made, and whose they are. `alone_s` keeps the queue away for so long after each
    batch; 0: nobody is kept away."""

    workspace_id: uuid.UUID
    dataset_id: uuid.UUID
    configurations: tuple[str, ...]
    name: str
    alone_s: int = 0


@dataclass(frozen=True, slots=True)
class _Finished:
    id: int
    state: str
    chunk_count: int
    had: int
    is_current: bool


@dataclass(slots=True)
class TextBatch:
    """What is known of the texts of one batch. `write` it once all are told."""

    recipe: WordsRecipe
    session: psycopg.Connection[Any]
    ids: list[int] = field(default_factory=list)
    states: list[str] = field(default_factory=list)
    codes: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)

    def add_done(self, text_id: int, kind: str, chunk_count: int, *, is_cut: bool) -> None:
        code, note = (RefusalCode.TOO_LARGE, _CUT) if is_cut else ("", "")
        self._add(text_id, TextState.DONE, code=code, note=note, kind=kind, chunk_count=chunk_count)

    def add_refused(self, text_id: int, kind: str, refusal: TextRefusal) -> None:
        note = clean_text(refusal.note)
        self._add(text_id, TextState.REFUSED, code=refusal.code, note=note, kind=kind)

    def _add(
        self, text_id: int, state: TextState, *, kind: str, code: str = "", note: str = "", chunk_count: int = 0
    ) -> None:  # fmt: skip
        self.ids.append(text_id)
        self.states.append(state.value)
        self.codes.append(code)
        self.notes.append(note[:2_000])
        self.kinds.append(kind[:20])
        self.counts.append(chunk_count)

    def write(self) -> int:
        """Indexes what was staged; how many texts that were. Raises IndexBusy where the terms of the index have
        changed: then nothing was written."""
        recipe = self.recipe
        told: dict[str, Any] = {"workspace": recipe.workspace_id, "dataset": recipe.dataset_id}
        with self.session.transaction(), self.session.cursor() as cursor:
            # All of it can be made again, so no commit waits for the disk.
            cursor.execute("SET LOCAL synchronous_commit = off")
            cursor.execute(
                _FINISH,
                {"ids": self.ids, "states": self.states, "codes": self.codes, "notes": self.notes,
                 "kinds": self.kinds, "counts": self.counts},
            )  # fmt: skip
            finished = fetch_rows(cursor, _Finished)
            first = [text.id for text in finished if text.had == 0 and text.chunk_count]
            again = [text.id for text in finished if text.had]
            new = 0
            if first:
                cursor.execute(_INSERT.format(words=self._words()), told | {"ids": first})
                new += cursor.rowcount
            if again:
                cursor.execute(_LOOK)
                statement = _REPLACE.format(words=self._words(), key=_KEY)
                cursor.execute(statement, told | {"ids": again})
                [(come, _gone)] = cursor.fetchall()
                new += come
            self._count(cursor, [text for text in finished if text.is_current], new)
        return len(finished)

    def _words(self) -> str:
        return compose_words(
            self.recipe.configurations,
            heading="coalesce(s.clean_heading, s.heading)",
            body="coalesce(s.clean_body, s.body)",
            compounds="string_to_array(s.compounds, ' ')",
        )

    def _count(self, cursor: psycopg.Cursor[Any], finished: Sequence[_Finished], new: int) -> None:
        cursor.execute(
            _COUNT,
            {
                "dataset": self.recipe.dataset_id,
                "recipe": self.recipe.name,
                "finished": len(finished),
                "done": sum(text.state == TextState.DONE for text in finished),
                "refused": sum(text.state == TextState.REFUSED for text in finished),
                "chunks": sum(text.chunk_count - text.had for text in finished),
                "new": new,
                "alone_s": self.recipe.alone_s,
            },
        )
        if cursor.rowcount != 1:
            raise IndexBusy


class ChunkCopy:
    """A stream of chunks into the staging table."""

    def __init__(self, copy: psycopg.Copy, words: WordCollector) -> None:
        self._copy = copy
        self.words = words

    def write(self, text_id: int, cuts: Iterable[Cut]) -> int:
        """Stages the chunks of one text; their number."""
        count = 0
        for cut in cuts:
            heading, body = clean_text(cut.heading), clean_text(cut.body)
            passage = f"{heading}\n{body}" if heading else body
            compounds = self.words.read(passage)
            self._copy.write_row(
                (text_id, cut.n, cut.line, clean_text(cut.place), heading, body, digest_passage(heading, body),
                 " ".join(compounds), _clean_or_none(heading), _clean_or_none(body))
            )  # fmt: skip
            count += 1
        return count


@contextmanager
def staging(session: psycopg.Connection[Any], words: WordCollector) -> Iterator[ChunkCopy]:
    """What is written within is in the staging table afterwards, and its words are in `words`. What was in the table
    before is gone: a batch that was not written."""
    with session.cursor() as cursor:
        cursor.execute(_TABLE)
        cursor.execute("TRUNCATE staged_chunk")
        with cursor.copy(_STAGE) as copy:
            copy.set_types(_TYPES)
            yield ChunkCopy(copy, words)


def put_off(session: psycopg.Connection[Any], text_id: int, code: str, note: str) -> None:
    """A text stays pending, with the reason why it was not read."""
    session.execute(_PUT_OFF, {"id": text_id, "code": code[:30], "note": clean_text(note)[:2_000]})


def _clean_or_none(text: str) -> str | None:
    """None where PostgreSQL reads the text as it is."""
    cleaned = clean_signs(text)
    return None if cleaned == text else cleaned


def clean_text(text: str) -> str:
    """Returns the text without what no database holds: NUL and halves of surrogate pairs."""
    if "\0" in text:
        text = text.replace("\0", " ")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text
