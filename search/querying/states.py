"""Says how the index stands of the datasets that a question asks."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from django.db.models import F, OuterRef, QuerySet, Subquery

from datasets.models import Version
from search.embedding.queries import list_generations
from search.models import DatasetIndex, GenerationState, IndexGeneration, IndexState
from search.querying.question import BuildingModel, DatasetBehind, ServingModel, StateOfIndex

BEHIND_SHOWN = 20
_WORSE = {state: rank for rank, state in enumerate(IndexState)}


def read_state(
    workspace_id: uuid.UUID,
    dataset_ids: Sequence[uuid.UUID],
    generations: Sequence[IndexGeneration] | None = None,
) -> StateOfIndex:
    """Datasets that were never published have no index and are left out. Without any, the state is `off`. Who has
    `list_generations` already gives it."""
    rows = DatasetIndex.objects.filter(workspace=workspace_id, dataset__workspace=workspace_id)
    if dataset_ids:
        rows = rows.filter(dataset__in=dataset_ids)
    states = list(rows.values_list("state", "pending_texts", "pending_chunks", "since"))
    behind = _list_behind(rows) if any(state != IndexState.CURRENT for state, *_ in states) else ()
    worst = max((IndexState(state) for state, *_ in states), key=_rank, default=IndexState.OFF)
    oldest = min((since for *_, since in states if since is not None), default=None)
    if generations is None:
        generations = list_generations(workspace_id)
    serving, building = _tell_generations(generations)
    return StateOfIndex(
        state=worst,
        pending_texts=sum(texts for _, texts, _, _ in states),
        pending_chunks=sum(chunks for _, _, chunks, _ in states),
        oldest_pending_s=None if oldest is None else _seconds_since(oldest),
        reason=next((each.reason for each in behind if each.state == worst), ""),
        generation=serving,
        building=building,
        behind=behind,
    )


def _rank(state: IndexState) -> int:
    return _WORSE[state]


def _seconds_since(moment: datetime) -> float:
    return round(max(0.0, (datetime.now(UTC) - moment).total_seconds()), 3)


def _list_behind(rows: QuerySet[DatasetIndex]) -> tuple[DatasetBehind, ...]:
    """The worst first, then the oldest."""
    current = Version.objects.filter(dataset=OuterRef("dataset"), is_current=True)
    found = rows.exclude(state=IndexState.CURRENT).annotate(
        current_version=Subquery(current.values("number")), dataset_name=F("dataset__name")
    )
    ordered = sorted(found, key=lambda row: (-_rank(IndexState(row.state)), row.dataset_name))
    return tuple(
        DatasetBehind(
            dataset=row.dataset_name,
            dataset_id=row.dataset_id,
            state=IndexState(row.state),
            indexed_version=row.indexed_version,
            current_version=row.current_version,
            pending_texts=row.pending_texts,
            pending_chunks=row.pending_chunks,
            since=row.since,
            reason=row.reason,
        )
        for row in ordered[:BEHIND_SHOWN]
    )


def _tell_generations(
    generations: Sequence[IndexGeneration],
) -> tuple[ServingModel | None, BuildingModel | None]:
    serving, building = None, None
    for row in generations:
        if row.state == GenerationState.SERVING:
            serving = ServingModel(row.service, row.model, row.dimensions)
        else:
            building = BuildingModel(
                row.service, row.model, row.dimensions, row.done_chunks, row.total_chunks
            )
    return serving, building
