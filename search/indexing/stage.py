"""Brings the texts of a dataset's index to its current version.

A record does this once it has published, for as long as its budget lasts; the queue `index` does the rest. Both may do
it at once, and either may die at any line: see `search.indexing.plan` and `search.indexing.batches` for what is
durable when. All of it can be made again from versions and blobs.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import psycopg
import structlog

from database.rows import fetch_rows
from search.core.chunking import cut
from search.core.texts import RefusalCode, TextRefusal
from search.core.wishes import IndexWish
from search.extracting.extractor import ChildUnavailable, Extractor
from search.indexing.batches import ChunkCopy, TextBatch, WordsRecipe, put_off, staging
from search.indexing.emptying import drop_gone, empty_index
from search.indexing.known_words import WordCollector, keep_words
from search.indexing.opening import ProvedOpener
from search.indexing.plan import (
    IndexBusy,
    IndexTerms,
    find_configurations,
    find_terms,
    name_recipe,
    plan_texts,
)
from search.indexing.settling import settle_index
from search.indexing.writing import BatchWriter
from store.blobs import BlobStore
from store.errors import BlobDamaged, BlobMissing, BlobUnreadable
from store.packs import Place

log = structlog.get_logger(__name__)

BATCH_TEXTS = 400
BATCH_BYTES = 4 << 20  # of files; so that a transaction makes words for about a second
LISTED_TEXTS = 10 * BATCH_TEXTS  # to find them costs more than to hold them
TRY_AGAIN_S = 600  # a text whose blob is damaged
NO_CHILD = "extract_unavailable"

# One path is enough: it says which format the content is likely to have.
_PENDING = """
SELECT t.id, t.sha256, e.path, e.size_bytes, t.code
  FROM search_indexedtext t
 CROSS JOIN LATERAL (SELECT path, size_bytes FROM datasets_entry
                      WHERE dataset_id = t.dataset_id AND sha256 = t.sha256 AND until IS NULL
                      ORDER BY path LIMIT 1) e
 WHERE t.dataset_id = %(dataset)s AND t.state = 'pending' AND t.gone_at IS NULL
   AND (t.code = '' OR t.at < now() - make_interval(secs => %(again_s)s))
 ORDER BY t.at, t.id LIMIT %(most)s
"""
_CLEAN = "SELECT gin_clean_pending_list('chunk_words'), gin_clean_pending_list('textpaths_words')"


@dataclass(frozen=True, slots=True)
class PendingText:
    """A content that waits, with one of its current paths. `code` says why it was not read the last time."""

    id: int
    sha256: bytes
    path: str
    size_bytes: int
    code: str


@dataclass(frozen=True, slots=True)
class TextsIndexed:
    """What one call did, and what it left. `reason` is empty where nothing is left that it could have done; `more`: its
    budget was spent."""

    texts: int = 0
    pending_texts: int = 0
    reason: str = ""
    more: bool = False


def _tell_nobody(_done: int, _total: int) -> None:
    return None


@dataclass(slots=True)
class TextStage:
    """The work on the texts of one dataset. `check` raises what must end the work; `moved` hears that it goes on, and
    `told` how many of the pending texts are done."""

    session: psycopg.Connection[Any]
    dataset_id: uuid.UUID
    store: BlobStore
    languages: Sequence[str]
    budget_s: float
    keep_s: float
    check: Callable[[], None]
    moved: Callable[[], None] = lambda: None
    told: Callable[[int, int], None] = _tell_nobody
    alone_s: int = 0
    _began_s: float = field(default_factory=time.monotonic)
    _words: WordCollector = field(default_factory=WordCollector)
    _reason: str = ""
    _has_unread: bool = False
    _total: int = 0
    _done: int = 0

    def run(self) -> TextsIndexed:
        """Raises what `check` raises, StoreAway, OSError and psycopg.Error."""
        terms = find_terms(self.session, self.dataset_id)
        if terms is None:
            return TextsIndexed()
        try:
            if terms.emptying:
                return self._empty()
            if terms.wish == IndexWish.OFF:
                return TextsIndexed()
            return self._index(terms)
        except IndexBusy:
            return TextsIndexed(self._done, self._total - self._done, "somebody else works on it")

    @property
    def is_over(self) -> bool:
        return time.monotonic() - self._began_s > self.budget_s

    def _empty(self) -> TextsIndexed:
        while empty_index(self.session, self.dataset_id):
            self.check()
            self.moved()
            if self.is_over:
                return TextsIndexed(reason="the index is being emptied", more=True)
        return TextsIndexed()

    def _index(self, terms: IndexTerms) -> TextsIndexed:
        configurations = find_configurations(self.session, self.languages)
        recipe = WordsRecipe(
            terms.workspace_id, self.dataset_id, configurations, name_recipe(configurations), self.alone_s
        )  # fmt: skip
        if terms.is_done(recipe.name):
            return TextsIndexed()
        self._total = terms.pending_texts
        if not terms.is_planned(recipe.name):
            counts = plan_texts(self.session, self.dataset_id, terms, configurations)
            self._total = 0 if counts is None else counts.pending_texts
        self._index_pending(recipe)
        self._drop_gone()
        left = settle_index(
            self.session,
            self.dataset_id,
            reason=self._reason,
            after_s=TRY_AGAIN_S if self._has_unread else 0,
        )
        return TextsIndexed(self._done, left, self._reason, more=bool(left) and self.is_over)

    def _index_pending(self, recipe: WordsRecipe) -> None:
        with Extractor(self.check) as extractor, BatchWriter(self.session) as writer:
            while texts := self._list_pending():
                for batch in _split_batches(texts):
                    self._index_batch(recipe, extractor, writer, batch)
                    if self.is_over:
                        break
                writer.wait()  # what is being written is still listed
                if self.is_over:
                    self._reason, self._has_unread = (
                        "the rest of the texts is left to the queue",
                        False,
                    )
                    break
        if self._done:
            self._clean_pending_list()

    def _list_pending(self) -> list[PendingText]:
        return fetch_rows(
            self.session.execute(
                _PENDING,
                {"dataset": self.dataset_id, "again_s": TRY_AGAIN_S, "most": LISTED_TEXTS},
            ),
            PendingText,
        )

    def _index_batch(
        self,
        recipe: WordsRecipe,
        extractor: Extractor,
        writer: BatchWriter,
        texts: Sequence[PendingText],
    ) -> None:
        places = self.store.locate([text.sha256 for text in texts])
        session = writer.free_session
        batch = TextBatch(recipe, session)
        unread: list[tuple[PendingText, str, str]] = []
        with staging(session, self._words) as copy:
            for text in texts:
                self.check()
                try:
                    self._stage(batch, copy, extractor, text, places)
                except (BlobMissing, BlobDamaged, BlobUnreadable) as exc:
                    unread.append((text, exc.code, str(exc)))
                except ChildUnavailable as exc:
                    unread.append((text, NO_CHILD, str(exc)))
                self._done += 1
                self.moved()
                self.told(self._done, self._total)
                if self.is_over:
                    break
        for text, code, note in unread:
            self._done -= 1
            put_off(session, text.id, code, note)
            self._reason, self._has_unread = f"{code}: {text.path}: {note}", True
        if batch.ids:
            self._keep_words(session, recipe.workspace_id)
            writer.write(batch)

    def _keep_words(self, session: psycopg.Connection[Any], workspace_id: uuid.UUID) -> None:
        """Before the chunks that hold them, and while the batch before is still being written."""
        if words := self._words.take():
            with session.transaction(), session.cursor() as cursor:
                cursor.execute("SET LOCAL synchronous_commit = off")
                keep_words(cursor, workspace_id, words)

    def _stage(
        self,
        batch: TextBatch,
        copy: ChunkCopy,
        extractor: Extractor,
        text: PendingText,
        places: dict[bytes, Place],
    ) -> None:
        suffix = PurePosixPath(text.path).suffix.lower()

        open_ = ProvedOpener(self.store, text.sha256, text.size_bytes, places)

        try:
            found = extractor.extract(text.path, open_, text.size_bytes)
            if isinstance(found, TextRefusal):
                batch.add_refused(text.id, suffix, found)
                return
            count = copy.write(text.id, cut(found, text.path))
        except (ValueError, LookupError, ArithmeticError, RecursionError, MemoryError) as exc:
            # A file that trips over a fault of ours fails alone.
            log.exception("index.extract_failed", path=text.path)
            refusal = TextRefusal(
                RefusalCode.EXTRACT_FAILED, f"internal error: {type(exc).__name__}"
            )
            batch.add_refused(text.id, suffix, refusal)
        else:
            batch.add_done(text.id, found.kind, count, is_cut=found.is_cut)

    def _drop_gone(self) -> None:
        while not self.is_over and drop_gone(self.session, self.dataset_id, keep_s=self.keep_s):
            self.check()
            self.moved()

    def _clean_pending_list(self) -> None:
        """A list that stays makes each search slower."""
        self.moved()
        with suppress(psycopg.errors.LockNotAvailable):  # then somebody else cleans it
            self.session.execute(_CLEAN)
        self.moved()


def _split_batches(texts: Sequence[PendingText]) -> Iterator[list[PendingText]]:
    """In their order; a text that is larger than a batch is one of its own."""
    batch: list[PendingText] = []
    size_bytes = 0
    for text in texts:
        size_bytes += text.size_bytes
        if batch and (size_bytes > BATCH_BYTES or len(batch) == BATCH_TEXTS):
            yield batch
            batch, size_bytes = [], text.size_bytes
        batch.append(text)
    if batch:
        yield batch
