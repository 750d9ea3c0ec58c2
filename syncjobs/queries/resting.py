"""What still rests on older versions of a dataset: they stay until it does not any more."""

from __future__ import annotations

from collections.abc import Iterator

from datasets.models import Dataset
from search.core.wishes import IndexWish
from search.models import DatasetIndex
from syncjobs.core.keeping import Rest
from syncjobs.core.states import OPEN
from syncjobs.models import CurrentTree, QuarantinedRow, QuarantineState, SyncRecord


def find_rests(dataset: Dataset) -> list[Rest]:
    return [
        *_find_tree(dataset),
        *_find_index(dataset),
        *_find_readers(dataset),
        *_find_plans(dataset),
    ]


def _find_tree(dataset: Dataset) -> Iterator[Rest]:
    """What the folder holds of older versions is known from their entries."""
    trees = CurrentTree.objects.filter(job__dataset=dataset).exclude(path="")
    for tree in trees.select_related("job"):
        if tree.path != tree.job.current_tree:
            continue  # its job has no such tree any more, or goes to another folder
        if tree.version is not None:
            yield Rest(tree.version, f"the current tree still shows version {tree.version}")
        elif tree.target is not None:
            yield Rest(0, "the current tree was never whole")


def _find_index(dataset: Dataset) -> Iterator[Rest]:
    """The index learns what went from the entries that have ended since."""
    rows = DatasetIndex.objects.filter(dataset=dataset).exclude(wish=IndexWish.OFF)
    number = rows.values_list("indexed_version", flat=True).first()
    if number is not None:
        yield Rest(number, f"the search index is at version {number}")


def _find_readers(dataset: Dataset) -> Iterator[Rest]:
    """Jobs that read the files as rows."""
    reading = SyncRecord.either.filter(source_dataset=dataset).exclude(source_version=None)
    at_work = reading.filter(state__in=sorted(OPEN)).order_by("source_version").first()
    if at_work is not None and at_work.source_version is not None:
        yield Rest(
            at_work.source_version,
            f"record {at_work.pk} reads version {at_work.source_version}",
        )
    rows = QuarantinedRow.objects.filter(record__in=reading, state=QuarantineState.OPEN)
    held = rows.order_by("record__source_version").select_related("record").first()
    if held is not None and held.record.source_version is not None:
        number = held.record.source_version
        yield Rest(number, f"rows of record {held.record_id} in quarantine are of version {number}")


def _find_plans(dataset: Dataset) -> Iterator[Rest]:
    """A person is told that this version keeps what would go."""
    records = SyncRecord.either.filter(job__dataset=dataset, state__in=sorted(OPEN))
    for record in records.exclude(hold=None).only("hold"):
        number = (record.hold or {}).get("version")
        if isinstance(number, int):
            yield Rest(number, f"record {record.pk} waits for a decision about version {number}")
