"""Generations of vectors: all of one are made by one model, and a workspace is searched by one.

Another model gets a generation of its own, which is filled beside the one that serves. When no chunk wants a vector of
it, it serves from one transaction on, and the old one retires. A retired one is kept for a while: who goes back to its
model has it at once.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from datetime import timedelta

import structlog
from django.db import connection, transaction
from django.db.models import Q, Sum
from django.utils import timezone

from farends.errors import AuthConfig
from search.choices import OFF, EmbeddingChoice, find_embedding, restore_embedding, seal_key
from search.core.wishes import IndexWish
from search.embedding.breaker import close_breaker
from search.embedding.contract import EmbedCode, EmbedFailed
from search.embedding.opening import find_dimensions, name_model
from search.models import (
    ChunkRefusal,
    DatasetIndex,
    GenerationState,
    IndexGeneration,
)
from search.vectors.cells import drop_cells, needs_cells
from search.vectors.pending import forget_pending, recount_pending, settle_states
from search.vectors.tables import has_vector_extension, has_vector_table, vector_table

log = structlog.get_logger(__name__)

KEEP_RETIRED = timedelta(days=7)
RETIRED_MAX = 1  # of a workspace: the one to go back to
_DROP_ROWS = 5_000
_LOCK = "search.generations:"


def sign_choice(choice: EmbeddingChoice) -> str:
    """A digest of what decides a vector. What decides only how the service is asked is not in it: key, size of a
    batch, and the prefix of questions."""
    decides = [
        choice.service,
        choice.url.rstrip("/"),
        name_model(choice),
        find_dimensions(choice),
        choice.passage_prefix,
    ]
    return hashlib.sha256(json.dumps(decides).encode()).hexdigest()


def find_serving(workspace_id: uuid.UUID) -> IndexGeneration | None:
    """The generation that searches of this workspace use."""
    return IndexGeneration.objects.filter(
        workspace_id=workspace_id, state=GenerationState.SERVING
    ).first()


def find_building(workspace_id: uuid.UUID) -> IndexGeneration | None:
    """The generation that is filled beside the one that serves."""
    return IndexGeneration.objects.filter(
        workspace_id=workspace_id, state=GenerationState.BUILDING
    ).first()


def find_wanted_generation(workspace_id: uuid.UUID) -> IndexGeneration | None:
    """The generation that new vectors are made for."""
    return find_building(workspace_id) or find_serving(workspace_id)


def read_choice(generation: IndexGeneration) -> EmbeddingChoice:
    """How the service of these vectors is reached. Raises EmbedFailed where its key does not open."""
    try:
        return restore_embedding(generation.embedding, generation.sealed_secret)
    except AuthConfig as exc:
        raise EmbedFailed(EmbedCode.REFUSED_KEY, str(exc), is_permanent=True) from None


def ensure_target(workspace_id: uuid.UUID) -> IndexGeneration | None:
    """The generation that new vectors are made for, as the present settings want it; None where there are to be no
    vectors. Raises EmbedFailed."""
    target = find_wanted_generation(workspace_id)
    choice = _find_choice(workspace_id)
    if choice.service == OFF or not has_vector_extension():
        _give_up(workspace_id, is_off=choice.service == OFF)
        return None
    if target is None or target.signature != sign_choice(choice):
        return settle_generation(workspace_id)
    return target


def settle_generation(workspace_id: uuid.UUID) -> IndexGeneration | None:
    """Brings the generations of a workspace to its present settings. Call it whenever these change. None where there
    are to be no vectors. Raises EmbedFailed."""
    choice = _find_choice(workspace_id)
    if choice.service == OFF or not has_vector_extension():
        _give_up(workspace_id, is_off=choice.service == OFF)
        return None
    with transaction.atomic():
        _hold(workspace_id)
        target = _choose_target(workspace_id, choice)
        close_breaker(workspace_id)
        recount_pending(workspace_id, target.pk, target.dimensions)
        refresh_progress(target)
        is_ready = target.cell_count > 0 or not needs_cells(target, target.total_chunks)
        if target.done_chunks == target.total_chunks and is_ready:
            _switch(target)
        settle_states(workspace_id)
    return target


def refresh_progress(generation: IndexGeneration) -> None:
    """Counts how far the filling is: chunks come and go meanwhile."""
    workspace_id = generation.workspace_id
    total = count_chunks(workspace_id)
    done = max(0, total - _count_pending(workspace_id))
    generation.total_chunks, generation.done_chunks = total, done
    generation.save(update_fields=["total_chunks", "done_chunks"])


def switch_when_whole(workspace_id: uuid.UUID) -> bool:
    """Lets the generation that is filled serve, if no chunk wants a vector of it and its cells stand where it needs
    them; whether it does now."""
    with transaction.atomic():
        _hold(workspace_id)
        building = find_building(workspace_id)
        if building is None or _count_pending(workspace_id):
            return False
        recount_pending(workspace_id, building.pk, building.dimensions)
        if _count_pending(workspace_id):
            settle_states(workspace_id)
            return False
        if needs_cells(building, count_chunks(workspace_id)) and not building.cell_count:
            return False
        _switch(building)
    return True


def is_whole(workspace_id: uuid.UUID) -> bool:
    """Whether no chunk of the workspace wants a vector, as far as was counted."""
    return _count_pending(workspace_id) == 0


def find_outdated() -> list[uuid.UUID]:
    """The workspaces whose vectors are by other settings than the present ones; after a start with other variables
    these may be many."""
    outdated = []
    for workspace_id in DatasetIndex.objects.values_list("workspace_id", flat=True).distinct():
        target = find_wanted_generation(workspace_id)
        try:
            choice = find_embedding(workspace_id)
        except AuthConfig:
            continue
        if target is not None and choice.service != OFF and target.signature != sign_choice(choice):
            outdated.append(workspace_id)
    return outdated


def drop_retired() -> int:
    """Removes generations that nobody goes back to, a bounded number of rows at a time; how many are gone."""
    gone = 0
    for generation in _find_droppable():
        if not _drop_vectors(generation):
            break
        ChunkRefusal.objects.filter(generation=generation).delete()
        generation.delete()
        log.info("generation.dropped", generation=generation.pk, model=generation.model)
        gone += 1
    return gone


def _find_droppable() -> list[IndexGeneration]:
    rows = IndexGeneration.objects.filter(state=GenerationState.RETIRED)
    old = list(rows.filter(retired_at__lt=timezone.now() - KEEP_RETIRED))
    kept: dict[uuid.UUID, int] = {}
    for row in rows.order_by("-retired_at"):
        kept[row.workspace_id] = kept.get(row.workspace_id, 0) + 1
        if kept[row.workspace_id] > RETIRED_MAX and row not in old:
            old.append(row)
    return old


def _drop_vectors(generation: IndexGeneration) -> bool:
    """Whether all are gone; else the next turn goes on."""
    if generation.dimensions is None or not has_vector_table(generation.dimensions):
        return True
    drop_cells(generation)
    table = vector_table(generation.dimensions)
    statement = f"""
    DELETE FROM {table} WHERE ctid = ANY (ARRAY(
      SELECT ctid FROM {table} WHERE generation = %s LIMIT {_DROP_ROWS}))"""  # noqa: S608 - a table of ours
    for _ in range(100):
        with connection.cursor() as cursor:
            cursor.execute(statement, [generation.pk])
            if cursor.rowcount < _DROP_ROWS:
                return True
    return False


def _find_choice(workspace_id: uuid.UUID) -> EmbeddingChoice:
    try:
        return find_embedding(workspace_id)
    except AuthConfig as exc:
        raise EmbedFailed(EmbedCode.REFUSED_KEY, str(exc), is_permanent=True) from None


def _choose_target(workspace_id: uuid.UUID, choice: EmbeddingChoice) -> IndexGeneration:
    rows = IndexGeneration.objects.filter(workspace_id=workspace_id)
    signature = sign_choice(choice)
    target = rows.filter(signature=signature).order_by("-made_at").first()
    serves = rows.filter(state=GenerationState.SERVING).exists()
    others = rows.filter(state=GenerationState.BUILDING)
    others = others.exclude(pk=target.pk) if target else others
    others.update(state=GenerationState.RETIRED, retired_at=timezone.now())
    if target is None:
        # The first one serves while it is filled: there is nothing better.
        target = IndexGeneration(
            workspace_id=workspace_id,
            service=choice.service,
            model=name_model(choice),
            dimensions=find_dimensions(choice),
            signature=signature,
            state=GenerationState.BUILDING if serves else GenerationState.SERVING,
        )
    elif target.state == GenerationState.RETIRED:
        target.state = GenerationState.BUILDING if serves else GenerationState.SERVING
    target.embedding, target.sealed_secret = choice.stored, seal_key(choice)
    target.retired_at = None
    target.save()
    target.refresh_from_db()
    return target


def _switch(target: IndexGeneration) -> None:
    if target.state == GenerationState.SERVING:
        return
    now = timezone.now()
    rows = IndexGeneration.objects.filter(workspace_id=target.workspace_id)
    rows.filter(state=GenerationState.SERVING).update(state=GenerationState.RETIRED, retired_at=now)
    target.state, target.ready_at = GenerationState.SERVING, now
    target.save(update_fields=["state", "ready_at"])
    log.info("generation.serves", workspace=str(target.workspace_id), model=target.model)


def _give_up(workspace_id: uuid.UUID, *, is_off: bool) -> None:
    forget_pending(workspace_id)
    if is_off:
        close_breaker(workspace_id)
    settle_states(workspace_id, words_only=not is_off)


def _hold(workspace_id: uuid.UUID) -> None:
    """Nobody else moves the workspace's generations until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"{_LOCK}{workspace_id}"]
        )


def _wishing(workspace_id: uuid.UUID) -> Q:
    return Q(workspace_id=workspace_id, wish=IndexWish.WORDS_AND_MEANING)


def count_chunks(workspace_id: uuid.UUID) -> int:
    """The chunks of the workspace that want, or have, a vector."""
    rows = DatasetIndex.objects.filter(_wishing(workspace_id))
    return int(rows.aggregate(total=Sum("chunk_count"))["total"] or 0)


def _count_pending(workspace_id: uuid.UUID) -> int:
    rows = DatasetIndex.objects.filter(_wishing(workspace_id))
    return int(rows.aggregate(total=Sum("pending_chunks"))["total"] or 0)
