"""Opens what a record reads its rows from: the connector's far end, or the files of a dataset."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from connectors.learning import learn_answer
from connectors.opening import open_rows
from datasets.held_files import VersionFiles
from datasets.models import Version
from datasets.store import open_store
from farends.errors import RootMissing
from farends.rows.contract import RowSource
from farends.tabular.source import TabularSource
from syncjobs.core.patterns import parse_pattern
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Assignment


@contextmanager
def open_rows_of(assignment: Assignment) -> Iterator[RowSource]:
    """Raises TransportError's children, StoreError's too."""
    record, lease = assignment.record, assignment.lease
    if record.connector is None:
        yield _open_files(assignment)
        return
    source = open_rows(
        record.connector,
        check=lease.check,
        moved=lease.progress.moved,
        waits=lease.progress.waits,
    )
    with closing(source):
        yield source
    learn_answer(record.connector)


def _open_files(assignment: Assignment) -> TabularSource:
    record = assignment.record
    version = _choose_version(record, assignment.claim.token)
    store = open_store(record.workspace_id)
    store.need()
    return TabularSource(
        VersionFiles(version, store, parse_pattern),
        check=assignment.lease.check,
    )


def _choose_version(record: SyncRecord, token: int) -> Version:
    """The version that an earlier attempt of the record has read, or the record whose rows are sent again; else the
    current one. Raises RootMissing."""
    if record.redrive:
        sent = SyncRecord.objects.filter(pk=record.redrive["record"]).first()
        record.source_version = sent.source_version if sent else None
    versions = Version.objects.filter(dataset=record.source_dataset_id).select_related("dataset")
    version = None
    if record.source_version is not None:
        version = versions.filter(number=record.source_version).first()
    version = version or versions.filter(is_current=True).first()
    if version is None:
        name = record.source_dataset.name if record.source_dataset else ""
        raise RootMissing(f"Dataset {name} has no version yet: run its job first.")
    record.source_version = version.number
    SyncRecord.objects.filter(pk=record.pk, token=token).update(source_version=version.number)
    return version
