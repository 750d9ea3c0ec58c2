"""A whole file sync without a database and without a host: memory, dictionaries, and a store on the disk."""

from __future__ import annotations

import hashlib
import tempfile
import uuid
from dataclasses import replace
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from datasets.catalog import Trust
from farends.contract import Reason, Skipped
from store.blobs import BlobStore
from store.sentinel import write_store_id
from syncjobs.core.comparing import Comparison
from syncjobs.core.deadlines import Allowance, DeadlineRule
from syncjobs.core.selection import Selection
from syncjobs.engine.filesync import FileSync
from syncjobs.engine.order import Attempt, Order, Outcome
from syncjobs.engine.progress import Progress, Trouble
from tests.datasets.test_blobs import InMemory
from tests.engine.dictionary import TRUSTING, Dataset, DictionaryCatalog, DictionaryReceipts
from tests.engine.memory import Files, MemoryFile, MemoryTransport
from tests.hosts.sinks import loopback_context

OLD_NS = 1_700_000_000 * 10**9
NAMES = ("a", "b", "c", "d", "a/b", "a/c", "b/c", "b/c/d", "e/f", "ü")
ORDER = Order(
    source="memory",
    selection=Selection(),
    removals_apply=True,
    full=False,
    waiver=None,
    allowance=Allowance(DeadlineRule()),
)


def sync(
    files: Files, dataset: Dataset, order: Order = ORDER, trust: Trust = TRUSTING
) -> tuple[Outcome, list[Trouble], list[str]]:
    """One record: the outcome, what was told of single files, and the paths that were fetched."""
    progress = Progress()
    record = uuid.uuid4().hex
    attempt = Attempt(record, progress, lambda: None)
    catalog = DictionaryCatalog(dataset, record, full=order.full, trust=trust)
    transport = MemoryTransport(files, loopback_context())
    with tempfile.TemporaryDirectory(dir="/dev/shm") as root:
        write_store_id(Path(root), uuid.uuid4())
        store = BlobStore(Path(root), uuid.UUID(int=1), InMemory())
        outcome = FileSync(order, transport, catalog, attempt).run(
            store, DictionaryReceipts(dataset, record)
        )
        fetched = sorted(dataset.receipts)
        for path in fetched:
            _, arrived = dataset.receipts[path]
            with store.open(arrived.sha256) as blob:
                assert hashlib.sha256(blob.read()).digest() == arrived.sha256
    if outcome.held is None:
        catalog.publish(removals=outcome.removals)
    return outcome, progress.troubles, fetched


def digests_of(files: Files) -> dict[str, bytes]:
    return {
        path: hashlib.sha256(file.read(0, 1_000)).digest()
        for path, file in files.items()
        if not isinstance(file, Skipped)
    }


def held(dataset: Dataset) -> dict[str, bytes]:
    return {path: entry.sha256 for path, entry in dataset.entries.items()}


def has_conflict(*trees: Files) -> bool:
    paths = {path for tree in trees for path in tree}
    return any(other.startswith(f"{path}/") for path in paths for other in paths)


memory_files = st.builds(
    MemoryFile,
    st.sampled_from([b"", b"x", b"y", b"content"]),
    st.sampled_from([OLD_NS, OLD_NS + 1, OLD_NS + 10**9]),
)
trees = st.dictionaries(st.sampled_from(NAMES), memory_files)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(trees, trees)
def test_a_plan_adds_up_and_what_is_published_is_what_was_listed(
    before: dict[str, MemoryFile], after: dict[str, MemoryFile]
) -> None:
    dataset = Dataset()
    sync(before, dataset)
    first = held(dataset)
    outcome, troubles, fetched = sync(after, dataset)
    plan = outcome.plan
    assert plan.listed == len(after)
    assert plan.held == len(first)
    assert plan.wanted == plan.added + plan.changed == len(fetched) or outcome.held is not None
    if has_conflict(before, after):
        return  # what is both file and folder waits, and is told
    assert plan.added == len(after.keys() - first.keys())
    assert plan.removed == len(first.keys() - after.keys())
    assert plan.changed + plan.unchanged == len(first.keys() & after.keys())
    assert troubles == []
    if outcome.held is not None:
        assert held(dataset) == first
        assert fetched == []
    else:
        assert held(dataset) == digests_of(after) or any(
            same_fingerprint(before[path], after[path]) for path in before.keys() & after.keys()
        )


def same_fingerprint(one: MemoryFile, other: MemoryFile) -> bool:
    """Of two contents with one size and one time, which no listing tells apart."""
    return one.describe() == other.describe() and one.content != other.content


@settings(max_examples=20, deadline=None, derandomize=True)
@given(trees)
def test_a_second_sync_of_the_same_tree_does_nothing(tree: dict[str, MemoryFile]) -> None:
    dataset = Dataset()
    sync(tree, dataset)
    once = held(dataset)
    outcome, _, fetched = sync(tree, dataset)
    assert fetched == []
    assert (outcome.plan.changed, outcome.plan.removed, held(dataset)) == (0, 0, once)
    if not has_conflict(tree):
        assert once == digests_of(tree)
        assert outcome.plan.unchanged == len(tree)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(trees, trees)
def test_nothing_is_removed_by_a_listing_that_is_not_complete(
    before: dict[str, MemoryFile], after: dict[str, MemoryFile]
) -> None:
    dataset = Dataset()
    sync(before, dataset)
    gone = held(dataset).keys() - after.keys()
    unreadable = Skipped("locked", Reason.UNREADABLE, "no")
    outcome, troubles, _ = sync({**after, "locked": unreadable}, dataset)
    assert (outcome.removals, outcome.listing_complete) == (False, False)
    assert gone <= held(dataset).keys()
    assert "locked" in {trouble.path for trouble in troubles}


def test_a_quiet_change_is_found_by_checksum_alone() -> None:
    dataset = Dataset()
    sync({"file": MemoryFile(b"x", OLD_NS)}, dataset)
    changed = {"file": MemoryFile(b"y", OLD_NS)}
    assert sync(changed, dataset)[2] == []
    by_content = replace(ORDER, comparison=Comparison.CHECKSUM)
    assert sync(changed, dataset, by_content, Trust(listing=False))[2] == ["file"]
    assert held(dataset) == digests_of(changed)


def test_an_emptied_source_is_held_and_nothing_changes() -> None:
    dataset = Dataset()
    sync({"file": MemoryFile(b"x", OLD_NS)}, dataset)
    outcome, _, _ = sync({}, dataset)
    assert outcome.held is not None
    assert outcome.held.rule == "empty_listing"
    assert list(held(dataset)) == ["file"]
