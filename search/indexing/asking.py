"""A person asks how the index of a dataset stands, or has it made again."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime

import structlog
from django.db import connection, transaction

from database.rows import fetch_row
from datasets.models import Dataset, DatasetKind
from search.core.wishes import IndexWish
from search.indexing.marking import ask_reindex, ensure_index
from search.models import DatasetIndex, IndexState
from workspaces import auditing

log = structlog.get_logger(__name__)

NO_VERSION = "nothing was published yet"
NO_FILES = "the dataset holds tables: rows are found by their columns"

_READ = """
SELECT d.name AS dataset, d.id AS dataset_id, i.state, i.indexed_version, v.number AS current_version,
       i.pending_texts, i.pending_chunks, i.since, i.reason, i.chunk_count, i.text_count, i.refused_count
  FROM search_datasetindex i
  JOIN datasets_dataset d ON d.id = i.dataset_id
  LEFT JOIN datasets_version v ON v.dataset_id = d.id AND v.is_current
 WHERE i.dataset_id = %s
"""


class IndexIsOff(Exception):
    """The job of the dataset wants no index."""


class NothingToIndex(Exception):
    """The dataset has no files to index; the message says why."""


@dataclass(frozen=True, slots=True)
class IndexOfDataset:
    """How the index of one dataset stands."""

    dataset: str
    dataset_id: uuid.UUID
    state: str = IndexState.OFF.value
    indexed_version: int | None = None
    current_version: int | None = None
    pending_texts: int = 0
    pending_chunks: int = 0
    since: datetime | None = None
    reason: str = ""
    chunk_count: int = 0
    text_count: int = 0
    refused_count: int = 0


def read_index(dataset: Dataset) -> IndexOfDataset:
    """Returns what is known; of a dataset without an index, that it is off and why."""
    with connection.cursor() as cursor:
        cursor.execute(_READ, [dataset.pk])
        found = fetch_row(cursor, IndexOfDataset)
    if found is not None:
        return found
    version = dataset.versions.filter(is_current=True).values_list("number", flat=True).first()
    reason = (
        NO_FILES if dataset.kind != DatasetKind.FILES else NO_VERSION if version is None else ""
    )
    return IndexOfDataset(dataset.name, dataset.pk, current_version=version, reason=reason)


def remake_index(dataset: Dataset) -> IndexOfDataset:
    """Has every text made again, by the queue; what is there serves until then. Raises IndexIsOff, NothingToIndex."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            ensure_index(cursor, dataset.pk)
            held = DatasetIndex.objects.filter(dataset=dataset).first()
            if held is None:
                raise NothingToIndex(read_index(dataset).reason)
            if held.wish == IndexWish.OFF:
                raise IndexIsOff("its job says index: off")
            ask_reindex(cursor, dataset.pk)
        auditing.note(dataset, "reindexed")
    log.info("index.asked_again", dataset=str(dataset.pk))
    return read_index(dataset)
