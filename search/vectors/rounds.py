"""A round of making vectors for one dataset: what the queue `index` does until all chunks have theirs.

Nothing is embedded twice: a chunk whose text has a vector anywhere in the workspace gets a copy. Every batch is written
in one transaction with the counts that people see, so a round may die at any line; the next one asks which chunks still
want a vector.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import structlog
from django.db import DatabaseError, connection, transaction

from database.away import is_away
from database.rows import fetch_rows
from search.choices import EmbeddingChoice
from search.core.passages import write_passage
from search.embedding.breaker import (
    BreakerState,
    count_requests,
    find_breaker,
    note_embed_failure,
    note_embed_success,
)
from search.embedding.contract import EmbedCode, Embedder, EmbedFailed, RefusedText, Vector
from search.embedding.openai import TOTAL_S
from search.embedding.opening import open_embedder
from search.models import DatasetIndex, IndexGeneration
from search.vectors.generations import (
    ensure_target,
    read_choice,
    refresh_progress,
    switch_when_whole,
)
from search.vectors.leases import IndexLease
from search.vectors.pending import (
    find_missing,
    forget_refusals,
    recount_pending,
    settle_states,
    wishes_meaning,
)
from search.vectors.tables import (
    ensure_vector_table,
    find_vector_tables,
    has_vector_table,
    insert_vectors,
    open_staging,
    vector_table,
)
from search.vectors.turns import Turn, TurnOver, begin_turn
from workspaces.races import is_busy

log = structlog.get_logger(__name__)

BUDGET_S = 10.0
PROBE_S = 10.0  # for the one text that asks whether a service is back
_PAGE = 512
_SHRINK = 4  # a batch that took too long is so much smaller the next time
# What is nobody's answer.
_FAULTS = (DatabaseError, ValueError, TypeError, LookupError, ArithmeticError, MemoryError)

_READ = """
SELECT c.id, c.digest, c.heading, c.body FROM search_textchunk c
  JOIN search_indexedtext t ON t.id = c.text_id AND t.gone_at IS NULL
  JOIN search_datasetindex i ON i.dataset_id = c.dataset_id AND i.wish = 'words_and_meaning'
 WHERE c.dataset_id = %(dataset)s AND c.id > %(after)s AND {missing}
 ORDER BY c.id LIMIT %(page)s
"""
_COPY = """
INSERT INTO {table} (chunk_id, generation, workspace_id, dataset_id, text_id, embedding)
SELECT c.id, %(generation)s, c.workspace_id, c.dataset_id, c.text_id, k.embedding
  FROM search_textchunk c
 CROSS JOIN LATERAL (
       SELECT v.embedding FROM search_textchunk o
         JOIN {table} v ON v.chunk_id = o.id AND v.generation = %(generation)s
        WHERE o.workspace_id = c.workspace_id AND o.digest = c.digest LIMIT 1) k
 WHERE c.id = ANY(%(chunks)s) ORDER BY c.id FOR KEY SHARE OF c
ON CONFLICT DO NOTHING RETURNING chunk_id
"""
_COPY_REFUSED = """
INSERT INTO search_chunkrefusal (workspace_id, dataset_id, chunk_id, generation_id, code, note)
SELECT c.workspace_id, c.dataset_id, c.id, %(generation)s, k.code, k.note
  FROM search_textchunk c
 CROSS JOIN LATERAL (
       SELECT r.code, r.note FROM search_textchunk o
         JOIN search_chunkrefusal r ON r.chunk_id = o.id AND r.generation_id = %(generation)s
        WHERE o.workspace_id = c.workspace_id AND o.digest = c.digest LIMIT 1) k
 WHERE c.id = ANY(%(chunks)s) ORDER BY c.id
ON CONFLICT DO NOTHING RETURNING chunk_id
"""
_REFUSE = """
INSERT INTO search_chunkrefusal (workspace_id, dataset_id, chunk_id, generation_id, code, note)
SELECT c.workspace_id, c.dataset_id, c.id, %(generation)s, k.code, k.note
  FROM unnest(%(chunks)s::bigint[], %(codes)s::text[], %(notes)s::text[]) k (id, code, note)
  JOIN search_textchunk c ON c.id = k.id ORDER BY c.id FOR KEY SHARE OF c
ON CONFLICT DO NOTHING
"""
_FORGET_ROWS = 5_000
# In one order, so that nobody waits in a circle.
_FORGET = """
DELETE FROM {table} WHERE (chunk_id, generation) IN (
       SELECT chunk_id, generation FROM {table} WHERE generation = ANY(%(generations)s) AND dataset_id = %(dataset)s
        ORDER BY chunk_id, generation LIMIT %(most)s FOR UPDATE)
"""
_DONE = "UPDATE search_indexgeneration SET done_chunks = done_chunks + %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class WantedChunk:
    """A chunk that wants a vector."""

    id: int
    digest: bytes
    heading: str
    body: str

    @property
    def passage(self) -> str:
        return write_passage(self.heading, self.body)


@dataclass(slots=True)
class VectorRound:
    """What a round came to. `more`: another one is to follow at once. `failure`: why it stopped."""

    embedded: int = 0
    copied: int = 0
    refused: int = 0
    more: bool = False
    failure: str = ""
    is_busy: bool = False  # another round has the workspace's turn
    most: int | None = None  # texts of the next batch, where one took too long


def index_vectors(
    lease: IndexLease, *, check: Callable[[], None], budget_s: float = BUDGET_S
) -> VectorRound:
    """Makes vectors for the dataset until none is wanted, the service fails, or the budget is used up.

    Raises IndexFenced when another works on the index, and what `check` raises.
    """
    done = VectorRound()
    turn = begin_turn(lease.workspace_id)
    if turn is None:
        done.is_busy = True
        return done
    try:
        _run(lease, turn, done, check, budget_s)
    except TurnOver:
        done.more = True
    except EmbedFailed as exc:
        _note_failure(lease, done, exc)
    except _FAULTS as exc:
        if is_away(exc) or is_busy(exc):
            raise
        # Else the same texts would be sent again at once, and for ever.
        log.exception("vectors.fault", dataset=str(lease.dataset_id))
        words = f"internal error while vectors are stored: {type(exc).__name__}. The log of the index process has more."
        _note_failure(lease, done, EmbedFailed(EmbedCode.PROTOCOL, words, is_permanent=True))
    finally:
        turn.leave()
    return done


def _note_failure(lease: IndexLease, done: VectorRound, failure: EmbedFailed) -> None:
    done.failure = str(failure)
    note_embed_failure(lease.workspace_id, failure, most=done.most)
    settle_states(lease.workspace_id)
    log.warning(
        "vectors.stopped",
        dataset=str(lease.dataset_id),
        code=failure.code.value,
        error=failure.detail,
    )


def _run(
    lease: IndexLease,
    turn: Turn,
    done: VectorRound,
    check: Callable[[], None],
    budget_s: float,
) -> None:
    target = ensure_target(lease.workspace_id)
    if target is None:
        return
    if not wishes_meaning(lease.dataset_id) and not _forget_vectors(lease, check):
        done.more = True
        return
    _recount(lease, target)
    breaker = find_breaker(lease.workspace_id)
    if breaker.is_open and _count_left(lease.dataset_id):
        done.failure = breaker.reason
        settle_states(lease.workspace_id)
        return

    def look() -> None:
        check()
        lease.renew_when_due()
        turn.renew_when_due()

    with closing(_Filling(lease, target, read_choice(target), breaker, look, done)) as filling:
        done.more = not filling.fill(time.monotonic() + budget_s)
    if not done.more:
        _recount(lease, target)
    refresh_progress(target)
    if not done.more:
        switch_when_whole(lease.workspace_id)
    settle_states(lease.workspace_id)


def _forget_vectors(lease: IndexLease, check: Callable[[], None]) -> bool:
    """Whether none is left of a dataset that is to be found by words alone."""
    with connection.cursor() as cursor:
        forget_refusals(cursor, lease.dataset_id)
    generations = IndexGeneration.objects.filter(workspace_id=lease.workspace_id)
    told: dict[str, Any] = {
        "generations": list(generations.values_list("pk", flat=True)),
        "dataset": lease.dataset_id,
        "most": _FORGET_ROWS,
    }
    for table, _ in find_vector_tables():
        check()
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(_FORGET.format(table=table), told)
            count = cursor.rowcount
            lease.fence()
        if count == _FORGET_ROWS:
            return False
    return True


def _recount(lease: IndexLease, target: IndexGeneration) -> None:
    with transaction.atomic():
        recount_pending(
            lease.workspace_id, target.pk, target.dimensions, dataset_id=lease.dataset_id
        )
        lease.fence()


class _Filling:
    """Fills one generation for one dataset. Close it."""

    def __init__(
        self,
        lease: IndexLease,
        target: IndexGeneration,
        choice: EmbeddingChoice,
        breaker: BreakerState,
        look: Callable[[], None],
        done: VectorRound,
    ) -> None:
        self._lease = lease
        self._target = target
        self._choice = choice
        self._breaker = breaker
        self._look = look
        self._done = done
        self._embedder: Embedder | None = None
        self._is_proved = breaker.failures == 0
        self._has_probed = False
        self._has_table = False

    def close(self) -> None:
        if self._embedder is not None:
            self._embedder.close()

    def fill(self, ends_at: float) -> bool:
        """Whether no chunk is left that wants a vector."""
        after = 0
        while page := self._read_page(after):
            after = page[-1].id
            known = self._copy_known([chunk.id for chunk in page])
            wanted: dict[bytes, list[WantedChunk]] = {}
            for chunk in page:
                if chunk.id not in known:
                    wanted.setdefault(bytes(chunk.digest), []).append(chunk)
            groups = list(wanted.values())
            while groups:
                self._look()
                if not wishes_meaning(self._lease.dataset_id):
                    return False  # the next round forgets what was made
                if time.monotonic() > ends_at and self._done.embedded:
                    return False
                size = self._size_batch()
                self._embed(groups[:size])
                groups = groups[size:]
        return True

    def _read_page(self, after: int) -> list[WantedChunk]:
        told: dict[str, Any] = {
            "dataset": self._lease.dataset_id,
            "generation": self._target.pk,
            "after": after,
            "page": _PAGE,
        }
        with connection.cursor() as cursor:
            cursor.execute(_READ.format(missing=find_missing(self._target.dimensions)), told)
            return fetch_rows(cursor, WantedChunk)

    def _copy_known(self, chunk_ids: list[int]) -> set[int]:
        """The chunks whose text was embedded, or refused, before: they have the same answer now."""
        told: dict[str, Any] = {"generation": self._target.pk, "chunks": chunk_ids}
        dimensions = self._target.dimensions
        copied: set[int] = set()
        with transaction.atomic(), connection.cursor() as cursor:
            if dimensions is not None and has_vector_table(dimensions):
                cursor.execute(_COPY.format(table=vector_table(dimensions)), told)
                copied = {chunk_id for (chunk_id,) in cursor.fetchall()}
            cursor.execute(_COPY_REFUSED, told)
            refused = {chunk_id for (chunk_id,) in cursor.fetchall()}
            self._count_settled(cursor, len(copied) + len(refused))
        self._done.copied += len(copied) + len(refused)
        return copied | refused

    def _size_batch(self) -> int:
        if not self._is_proved:
            return 1  # whether it is back, one text finds out
        return self._open().most

    def _open(self) -> Embedder:
        if self._embedder is None:
            self._embedder = open_embedder(
                self._choice,
                check=self._look,
                total_s=TOTAL_S if self._is_proved else PROBE_S,
                most=self._breaker.most,
                dimensions=self._target.dimensions,
            )
        return self._embedder

    def _embed(self, groups: Sequence[Sequence[WantedChunk]]) -> None:
        embedder = self._open()
        try:
            answers = embedder.embed([group[0].passage for group in groups])
        except EmbedFailed as exc:
            if len(groups) > 1 and (exc.code is EmbedCode.TIMEOUT or self._answers_one(exc)):
                self._done.most = max(1, len(groups) // _SHRINK)
            raise
        finally:
            count_requests(self._lease.workspace_id, embedder.requests.take())
        self._settle_dimensions(embedder)
        self._write(groups, answers)
        self._note_success(embedder)

    def _answers_one(self, failure: EmbedFailed) -> bool:
        """Whether the service understands one text at a time, and no batch of them."""
        return self._has_probed and failure.code is EmbedCode.PROTOCOL

    def _note_success(self, embedder: Embedder) -> None:
        learned = embedder.learned
        if not self._is_proved or learned != self._breaker.most:
            note_embed_success(self._lease.workspace_id, most=learned)
            settle_states(self._lease.workspace_id)
        if not self._is_proved:
            self._is_proved = self._has_probed = True
            self.close()
            self._embedder = None  # the next has all the time that a batch takes
        self._breaker = BreakerState(most=learned)

    def _settle_dimensions(self, embedder: Embedder) -> None:
        """The first vector says how many dimensions the generation has, where nobody set it."""
        if embedder.dimensions is None or self._has_table:
            return
        if self._target.dimensions is None:
            rows = IndexGeneration.objects.filter(pk=self._target.pk, dimensions=None)
            rows.update(dimensions=embedder.dimensions)
            self._target.dimensions = embedder.dimensions
        ensure_vector_table(embedder.dimensions)
        open_staging()
        self._has_table = True

    def _write(
        self, groups: Sequence[Sequence[WantedChunk]], answers: Sequence[Vector | RefusedText]
    ) -> None:
        vectors: dict[int, Vector] = {}
        refused: dict[int, RefusedText] = {}
        for group, answer in zip(groups, answers, strict=True):
            for chunk in group:
                if isinstance(answer, RefusedText):
                    refused[chunk.id] = answer
                else:
                    vectors[chunk.id] = answer
        with transaction.atomic(), connection.cursor() as cursor:
            embedded = self._write_vectors(cursor, vectors)
            told = self._write_refusals(cursor, refused)
            self._count_settled(cursor, embedded + told)
        self._done.embedded += embedded
        self._done.refused += told

    def _write_vectors(self, cursor: Any, vectors: dict[int, Vector]) -> int:
        if not vectors or self._target.dimensions is None:
            return 0
        return insert_vectors(cursor, self._target.dimensions, self._target.pk, vectors)

    def _write_refusals(self, cursor: Any, refused: dict[int, RefusedText]) -> int:
        if not refused:
            return 0
        cursor.execute(
            _REFUSE,
            {
                "generation": self._target.pk,
                "chunks": list(refused),
                "codes": [answer.code.value for answer in refused.values()],
                "notes": [answer.note[:1_000] for answer in refused.values()],
            },
        )
        return int(cursor.rowcount)

    def _count_settled(self, cursor: Any, count: int) -> None:
        """Ends a transaction: it holds the row of the index, for which publishers wait, for an instant."""
        if count:
            cursor.execute(_DONE, [count, self._target.pk])
        self._lease.fence(settled=count)


def _count_left(dataset_id: uuid.UUID) -> int:
    found = DatasetIndex.objects.filter(pk=dataset_id).values_list("pending_chunks", flat=True)
    return int(found.first() or 0)
