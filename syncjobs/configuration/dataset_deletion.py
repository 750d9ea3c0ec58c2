"""Deletes what a dataset holds: versions, entries or tables, and its index, in one transaction.

The content of its files goes by the sweep, which spares what another dataset has too. Records stay, and so does the job,
switched off: when it syncs again it begins with nothing, and its versions get higher numbers than those that were.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

import structlog
from django.db import connection, transaction
from django.db.models.functions import Now

from datasets.fencing import take_token
from datasets.keeping import measure_kept
from datasets.models import Dataset, Table, Version
from datasets.tables.dropping import TableNeeded, drop_home_table
from search.indexing.emptying import forget_dataset
from search.models import IndexedText, TextState
from syncjobs.core.states import OPEN
from syncjobs.models import CurrentTree, QuarantinedRow, QuarantineState, SyncJob, SyncRecord
from workspaces import auditing

_FORGET = (
    "DELETE FROM datasets_entry WHERE dataset_id = %s",
    "DELETE FROM datasets_receipt WHERE dataset_id = %s",
)

log = structlog.get_logger(__name__)


class DatasetInUse(Exception):
    """The dataset cannot go; the message says why, and what to do. `record` is the one that is in the way, if one is."""

    def __init__(self, words: str, record: SyncRecord | None = None) -> None:
        super().__init__(words)
        self.record = record


@dataclass(frozen=True, slots=True)
class TableOfDataset:
    """A table by the names of its database; `connector_id` None: the home database."""

    entity: str
    schema: str
    relation: str
    connector_id: uuid.UUID | None


@dataclass(frozen=True, slots=True)
class WhatGoes:
    """What a deletion takes away. `size_bytes` is what the contents need, each once; another dataset may have some of them
    too. `tables` go, `tables_left` stay where they are. `job` is the one that stays, switched off, and `tree` the folder
    that it kept, whose files stay too."""

    versions: int
    size_bytes: int
    rows: int
    texts: int
    tables: tuple[TableOfDataset, ...]
    tables_left: tuple[TableOfDataset, ...]
    job: str | None
    records: int
    tree: str


def measure_deletion(dataset: Dataset) -> WhatGoes:
    """Reads every entry of the dataset."""
    kept = measure_kept(dataset)
    tables = list(Table.objects.filter(dataset=dataset).exclude(version=None).order_by("name"))
    job = _find_job(dataset)
    told = [
        TableOfDataset(table.name, table.schema, table.relation, table.connector_id)
        for table in tables
    ]
    texts = IndexedText.objects.filter(dataset=dataset, state=TextState.DONE)
    current = dataset.versions.filter(is_current=True).values_list("rows", "size_bytes").first()
    rows, table_bytes = current if tables and current else (0, 0)
    return WhatGoes(
        versions=kept.version_count,
        size_bytes=kept.current_bytes + kept.older_bytes + table_bytes,
        rows=rows or 0,
        texts=texts.count(),
        tables=tuple(table for table in told if table.connector_id is None),
        tables_left=tuple(table for table in told if table.connector_id is not None),
        job=None if job is None else job.name,
        records=0 if job is None else SyncRecord.objects.filter(job=job).count(),
        tree="" if job is None else job.current_tree,
    )


def find_use(dataset: Dataset) -> DatasetInUse | None:
    """What is in the way of a deletion, as things stand; what only PostgreSQL knows of its tables is not looked for."""
    try:
        _refuse_in_use(dataset)
    except DatasetInUse as exc:
        return exc
    return None


def delete_dataset(dataset: Dataset) -> WhatGoes:
    """Deletes it, and tells what went. Raises DatasetInUse."""
    with transaction.atomic():
        SyncJob.objects.select_for_update(no_key=True).filter(dataset=dataset).first()
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL statement_timeout = '15min'")
            take_token(cursor, dataset.pk)  # from here on nobody claims or publishes
            _refuse_in_use(dataset)
            gone = measure_deletion(dataset)
            _drop_tables(dataset)
            forget_dataset(cursor, dataset.pk)
            for statement in _FORGET:
                cursor.execute(statement, [dataset.pk])
        _forget_of_job(dataset)
        auditing.note(dataset, auditing.DELETED, _tell_audit(gone))
        Version.either.filter(dataset=dataset).update(is_current=False, expired_at=Now())
        Dataset.objects.filter(pk=dataset.pk).update(deleted_at=Now())
        if gone.job is None:
            forget_deleted(dataset)
    log.info(
        "dataset.deleted",
        dataset=str(dataset.pk),
        versions=gone.versions,
        size_bytes=gone.size_bytes,
    )
    return gone


def forget_deleted(dataset: Dataset) -> None:
    """A deleted dataset whose job is gone too needs no row, unless records of other jobs have read it: it keeps a row that
    is in nobody's way."""
    rows = Dataset.either.filter(pk=dataset.pk).exclude(deleted_at=None)
    if not rows.exists():
        return
    if SyncRecord.either.filter(source_dataset=dataset).exists():
        rows.update(name=dataset.pk.hex)
    else:
        rows.delete()


def _find_job(dataset: Dataset) -> SyncJob | None:
    return SyncJob.objects.filter(dataset=dataset).first()


def _refuse_in_use(dataset: Dataset) -> None:
    """Raises DatasetInUse."""
    job = _find_job(dataset)
    if job is not None and job.enabled:
        raise DatasetInUse(
            f"job {job.name} is switched on and would fill it again: switch the job off first"
        )
    records = SyncRecord.either.select_related("job").filter(state__in=sorted(OPEN))
    at_work = records.filter(job=job).first() if job is not None else None
    if at_work is not None:
        raise DatasetInUse(
            f"record {at_work.pk} of job {at_work.job.name} is {at_work.state}: wait until it has ended, or cancel it",
            at_work,
        )
    readers = list(
        SyncJob.objects.filter(source_dataset=dataset).values_list("name", flat=True)[:20]
    )
    if readers:
        raise DatasetInUse(
            f"its files are read as rows by {', '.join(readers)}: delete what reads them first"
        )
    reading = records.filter(source_dataset=dataset).first()
    if reading is not None:
        raise DatasetInUse(
            f"record {reading.pk} of job {reading.job.name} reads it: wait until it has ended, or cancel it",
            reading,
        )


def _drop_tables(dataset: Dataset) -> None:
    """Raises DatasetInUse. Tables in the databases of connectors are their owners'."""
    for table in Table.objects.filter(dataset=dataset, connector_id=None):
        try:
            drop_home_table(table)
        except TableNeeded as exc:
            raise DatasetInUse(
                f"something in the database needs table {table.schema}.{table.relation} ({exc}): drop that first"
            ) from exc
    Table.objects.filter(dataset=dataset).delete()


def _forget_of_job(dataset: Dataset) -> None:
    """What the job knows of what it held. Its folder cannot be told from others any more: the job asks for an empty one."""
    CurrentTree.objects.filter(job__dataset=dataset).delete()
    rows = QuarantinedRow.objects.filter(record__job__dataset=dataset)
    rows.filter(state=QuarantineState.OPEN).update(state=QuarantineState.DROPPED)
    SyncJob.objects.filter(dataset=dataset).update(last_verified_at=None)


def _tell_audit(gone: WhatGoes) -> dict[str, list[int | None]]:
    counted = ("versions", "size_bytes", "rows")
    return {name: [getattr(gone, name), None] for name in counted}
