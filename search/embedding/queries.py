"""Vectors of questions: quickly, or not at all.

A question is embedded by the service of the generation that its workspace is searched by. Web processes ask the built-in
model in a process of its own, so none of them holds it. The last 200 questions of a process are remembered, and so is
for a few seconds that a service has failed: people do not wait for it one after another.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from dataclasses import dataclass

from django.db import connection

from database.extensions import has_extension
from farends.errors import AuthConfig
from search.choices import (
    BUILTIN,
    OFF,
    EmbeddingChoice,
    default_embedding,
    embedding_of,
    find_search_choice,
    restore_embedding,
)
from search.embedding.breaker import count_requests, find_breaker
from search.embedding.builtin import the_model, warm_up
from search.embedding.contract import TEXT_MAX, EmbedCode, EmbedFailed, Vector, make_unit
from search.embedding.openai import OpenAIEmbedder
from search.models import GenerationState, IndexGeneration, SearchChoice
from workspaces.models import Workspace

REMEMBERED = 200
FAILED_S = 5.0
_NONE_YET = "the workspace has no vectors yet"
_NO_EXTENSION = (
    "the database has no extension vector; an administrator makes it: CREATE EXTENSION vector"
)


@dataclass(frozen=True, slots=True)
class QueryVector:
    """The vector of a question, of length 1, and the generation that it belongs to. Without a vector `code` and
    `detail` say why; they stand so in `degraded`."""

    vector: Vector | None = None
    generation: int | None = None
    dimensions: int | None = None
    code: EmbedCode | None = None
    detail: str = ""

    @property
    def literal(self) -> str:
        """As pgvector reads it, for a parameter that is cast to `halfvec`."""
        return f"[{','.join(f'{value:.6g}' for value in self.vector or ())}]"


@dataclass(frozen=True, slots=True)
class _Failure:
    until: float
    code: EmbedCode
    detail: str


class QuestionMemory:
    """The latest questions with their vectors, and the services that have just failed. For any number of threads."""

    def __init__(self, most: int = REMEMBERED) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[int, str], Vector] = OrderedDict()
        self._failures: dict[int, _Failure] = {}

    def find(self, generation: int, text: str) -> Vector | None:
        with self._lock:
            found = self._vectors.get((generation, text))
            if found is not None:
                self._vectors.move_to_end((generation, text))
            return found

    def keep(self, generation: int, text: str, vector: Vector) -> None:
        with self._lock:
            self._vectors[generation, text] = vector
            self._failures.pop(generation, None)
            while len(self._vectors) > self._most:
                self._vectors.popitem(last=False)

    def note_failure(self, generation: int, failure: EmbedFailed) -> None:
        with self._lock:
            until = time.monotonic() + FAILED_S
            self._failures[generation] = _Failure(until, failure.code, failure.detail)

    def check(self, generation: int) -> None:
        """Raises EmbedFailed for a service that failed a moment ago."""
        with self._lock:
            known = self._failures.get(generation)
            if known is not None and known.until <= time.monotonic():
                del self._failures[generation]
                known = None
        if known is not None:
            raise EmbedFailed(known.code, known.detail)

    def forget(self) -> None:
        with self._lock:
            self._vectors.clear()
            self._failures.clear()


MEMORY = QuestionMemory()


def embed_question(workspace: Workspace, text: str, timeout_s: float) -> QueryVector:
    """Never raises for the service's sake, and takes no longer than `timeout_s` for it."""
    generations, chosen = list_generations(workspace.pk), find_search_choice(workspace.pk)
    return begin_question(workspace, text, generations, chosen).wait(timeout_s)


def list_generations(workspace_id: uuid.UUID) -> list[IndexGeneration]:
    """The one that serves and the one that is built, as far as there are any."""
    rows = IndexGeneration.objects.filter(workspace=workspace_id)
    return list(rows.exclude(state=GenerationState.RETIRED))


def begin_question(
    workspace: Workspace,
    text: str,
    generations: Iterable[IndexGeneration],
    chosen: SearchChoice | None,
) -> BegunQuestion:
    """Lets the built-in model begin. So it is at work while the caller does something else; other services are asked when
    they are waited for. `generations` and `chosen` are those of `list_generations` and `find_search_choice`. Never raises for the service's sake."""
    begun = BegunQuestion(workspace.pk, text.strip()[:TEXT_MAX])
    with begun.keeping_failure():
        serving = _choose_serving(generations, chosen)
        if serving is None:
            begun.told = _tell_none(workspace.pk, chosen)
            return begun
        choice = restore_embedding(serving.embedding, serving.sealed_secret)
        begun.serving, begun.choice = serving, choice
        vector = MEMORY.find(serving.pk, begun.known)
        if vector is not None:
            begun.told = _tell(serving, vector)
        elif choice.service == BUILTIN:
            begun.asked = the_model().ask([begun.text])
    return begun


@dataclass(slots=True)
class BegunQuestion:
    """A question whose vector is on its way. `told` once it is known, or why there is none."""

    workspace_id: uuid.UUID
    text: str
    serving: IndexGeneration | None = None
    choice: EmbeddingChoice | None = None
    asked: Future[list[Vector]] | None = None
    told: QueryVector | None = None

    @property
    def known(self) -> str:
        """By which its vector is remembered."""
        return f"{self.choice.query_prefix if self.choice else ''}\0{self.text}"

    def wait(self, timeout_s: float) -> QueryVector:
        """Never raises for the service's sake, and takes no longer than `timeout_s` for it."""
        with self.keeping_failure():
            if self.told is None and self.serving is not None and self.choice is not None:
                vector = _embed(self, self.serving, self.choice, timeout_s)
                MEMORY.keep(self.serving.pk, self.known, vector)
                self.told = _tell(self.serving, vector)
        return self.told or QueryVector(code=EmbedCode.NO_VECTORS, detail=_NONE_YET)

    @contextmanager
    def keeping_failure(self) -> Iterator[None]:
        try:
            yield
        except EmbedFailed as exc:
            self.told = QueryVector(code=exc.code, detail=exc.detail)
        except AuthConfig as exc:
            self.told = QueryVector(code=EmbedCode.REFUSED_KEY, detail=str(exc))


def _tell(serving: IndexGeneration, vector: Vector) -> QueryVector:
    if len(vector) != serving.dimensions:
        words = f"the service gives vectors of {len(vector)} dimensions, and not of {serving.dimensions}"
        return QueryVector(code=EmbedCode.DIMENSION, detail=words)
    return QueryVector(vector, serving.pk, serving.dimensions)


def warm_up_for_questions() -> None:
    """Starts the built-in model in the background where workspaces have it that set nothing: else the first question
    waits for it. Takes milliseconds."""
    if default_embedding().service == BUILTIN:
        warm_up()


def _embed(
    begun: BegunQuestion, serving: IndexGeneration, choice: EmbeddingChoice, timeout_s: float
) -> Vector:
    if begun.asked is not None:
        return _wait_for_builtin(begun.asked, serving.pk, begun.known, timeout_s)
    MEMORY.check(serving.pk)
    _check_breaker(begun.workspace_id)
    embedder = OpenAIEmbedder(choice, total_s=timeout_s, dimensions=serving.dimensions)
    try:
        return embedder.embed_query(begun.text)
    except EmbedFailed as exc:
        MEMORY.note_failure(serving.pk, exc)
        raise
    finally:
        embedder.close()
        count_requests(begun.workspace_id, embedder.requests.take())


def _wait_for_builtin(
    asked: Future[list[Vector]], generation: int, known: str, timeout_s: float
) -> Vector:
    try:
        vector = make_unit(asked.result(timeout_s)[0])
    except NotYet:
        asked.add_done_callback(lambda done: _keep_late(generation, known, done))
        raise EmbedFailed(
            EmbedCode.LATE, f"the built-in model did not answer within {round(timeout_s, 2):g} s"
        ) from None
    if vector is None:
        raise EmbedFailed(EmbedCode.PROTOCOL, "the model gives this question no direction")
    return vector


def _keep_late(generation: int, known: str, done: Future[list[Vector]]) -> None:
    """Who asks the same again has the answer."""
    if done.exception() is None and (vector := make_unit(done.result()[0])) is not None:
        MEMORY.keep(generation, known, vector)


def _check_breaker(workspace_id: uuid.UUID) -> None:
    """What the index has learned of the service holds for questions too. Raises EmbedFailed."""
    if _has_building(workspace_id):
        return  # then it is about another service
    breaker = find_breaker(workspace_id)
    if breaker.is_open and breaker.code:
        raise EmbedFailed(EmbedCode(breaker.code), breaker.detail)


def _choose_serving(
    generations: Iterable[IndexGeneration], chosen: SearchChoice | None
) -> IndexGeneration | None:
    serving = next((row for row in generations if row.state == GenerationState.SERVING), None)
    if serving is None or serving.dimensions is None:
        return None
    is_off = embedding_of(chosen).service == OFF
    return None if is_off else serving


def _has_building(workspace_id: uuid.UUID) -> bool:
    return IndexGeneration.objects.filter(
        workspace_id=workspace_id, state=GenerationState.BUILDING
    ).exists()


def _tell_none(workspace_id: uuid.UUID, chosen: SearchChoice | None) -> QueryVector:
    if embedding_of(chosen).service == OFF:
        return QueryVector(code=EmbedCode.OFF, detail="the workspace has switched meaning off")
    with connection.cursor() as cursor:
        is_there = has_extension(cursor, "vector")
    breaker = find_breaker(workspace_id)
    if is_there and breaker.code:
        return QueryVector(code=EmbedCode(breaker.code), detail=breaker.detail)
    return QueryVector(code=EmbedCode.NO_VECTORS, detail=_NONE_YET if is_there else _NO_EXTENSION)
