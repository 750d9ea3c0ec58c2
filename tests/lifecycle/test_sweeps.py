"""What nothing names goes; what a reader reads and a writer is about to name stays."""

from __future__ import annotations

import hashlib
import os
import random
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from datasets.checkout import TreeFile, check_out
from datasets.models import Dataset, PackedBlob
from datasets.places import Places
from datasets.reading import iter_entries
from datasets.store import open_store
from farends import names
from store.blobs import BlobStore
from store.errors import BlobMissing, StoreAway
from store.repacking import compact, find_sparse
from store.sentinel import SENTINEL, write_store_id
from syncjobs.claims.claiming import claim
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from syncjobs.upkeep.sweeping import GRACE_S, Removed, sweep, sweep_partials
from tests.hosts.sshd import Sshd
from tests.racing import meet
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

ROUNDS = 12


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, {"small.txt": b"small", "large.bin": b"large" * 20_000})
    return make_job(make_connector(sshd.target(source)))


@pytest.fixture
def store(job: SyncJob) -> BlobStore:
    made = open_store(job.workspace_id)
    made.prepare()
    return made


def put(store: BlobStore, *contents: bytes) -> list[bytes]:
    received = []
    for content in contents:
        writer = store.create("put")
        writer.write(content)
        received.append(writer.finish())
    store.commit("put", received)
    return [item.sha256 for item in received]


def make_old(store: BlobStore, digests: list[bytes], *, age_s: float = 2 * GRACE_S) -> None:
    then = timezone.now().timestamp() - age_s
    PackedBlob.objects.filter(sha256__in=digests).update(
        stored_at=datetime.fromtimestamp(then, tz=UTC)
    )
    for digest in digests:
        if store.path(digest).exists():
            os.utime(store.path(digest), (then, then))


def is_there(store: BlobStore, digest: bytes) -> bool:
    try:
        return store.verify(digest)
    except BlobMissing:
        return False


def test_what_nothing_names_and_is_old_goes(job: SyncJob, store: BlobStore) -> None:
    run(job)
    held = digests_of(job.dataset)
    unnamed = put(store, b"tiny", b"x" * 100_000)
    assert sweep() == Removed(0, 0, 0)  # too young
    make_old(store, [*unnamed, *map(bytes.fromhex, held.values())])
    assert sweep() == Removed(leftovers=0, blobs=2, size_bytes=100_004)
    assert [is_there(store, digest) for digest in unnamed] == [False, False]
    assert digests_of(job.dataset) == held
    assert sweep(kept_s=0).leftovers == 1  # the pack that holds nothing any more


@pytest.mark.parametrize("away", [None, uuid.UUID(int=7)], ids=["missing", "foreign"])
def test_nothing_is_swept_on_a_disk_that_is_not_the_store(
    away: uuid.UUID | None, job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    """The same workspace may have its blobs there, of another database."""
    settings.STORE_ROOT = tmp_path / "other"
    other = BlobStore(settings.STORE_ROOT, job.workspace_id, Places(job.workspace_id))
    write_store_id(settings.STORE_ROOT, uuid.UUID(int=7))
    other.prepare()
    (large,) = put(other, b"not named here" * 10_000)
    os.utime(other.path(large), (0, 0))
    if away is None:
        (settings.STORE_ROOT / SENTINEL).unlink()
    with pytest.raises(StoreAway):
        sweep(grace_s=-1)
    with pytest.raises(StoreAway):
        sweep_partials(0)
    with pytest.raises(CommandError, match=re.escape(str(settings.STORE_ROOT))):
        call_command("sweep")
    assert other.verify(large)


def test_what_a_receipt_names_stays(job: SyncJob, store: BlobStore, source: Path) -> None:
    """Fetched by a record that did not come to publish."""
    run(job)
    digests = put(store, b"tiny", b"x" * 100_000)
    for digest in digests:
        job.dataset.receipts.create(
            record_id=job.pk, path=digest.hex(), size_bytes=1, sha256=digest, settled=True
        )
    make_old(store, digests)
    assert sweep().blobs == 0
    assert all(is_there(store, digest) for digest in digests)


def test_what_is_stored_once_more_is_young_again_and_stays(store: BlobStore) -> None:
    """Its writer has found it there, and has not named it yet."""
    contents = (b"tiny", b"x" * 100_000)
    digests = put(store, *contents)
    make_old(store, digests)
    put(store, *contents)
    assert sweep().blobs == 0
    assert all(is_there(store, digest) for digest in digests)


def test_what_was_stored_since_the_oldest_record_at_work_began_stays(
    job: SyncJob, store: BlobStore
) -> None:
    record = enqueue(job, trigger=Trigger.MANUAL)
    assert claim(record.pk, "worker") is not None
    began = timezone.now() - timedelta(seconds=5 * GRACE_S)
    SyncRecord.objects.filter(pk=record.pk).update(started_at=began)
    digests = put(store, b"tiny", b"x" * 100_000)
    make_old(store, digests, age_s=5.5 * GRACE_S)
    assert sweep().blobs == 0
    make_old(store, digests, age_s=6.5 * GRACE_S)
    assert sweep().blobs == 2


def test_the_command_tells_what_it_removed(
    job: SyncJob, store: BlobStore, capsys: pytest.CaptureFixture[str]
) -> None:
    make_old(store, put(store, b"x" * 100_000))
    call_command("sweep")
    assert "1 blobs (100000 bytes)" in capsys.readouterr().out


def test_d11_p2_a_sweep_and_a_compaction_beside_a_reader_and_a_writer_break_neither(
    job: SyncJob, store: BlobStore, source: Path, tmp_path: Path
) -> None:
    """What the writer brings is in the store already, named by nothing and old: the sweep takes it, or the
    writer makes it young and names it."""
    run(job)
    numbers = iter(range(10_000))
    index = Places(job.workspace_id)

    def compact_all() -> int:
        return compact(store, index, find_sparse(store, index, lost_percent=1)).contents

    with (
        repeating(lambda: sweep(kept_s=GRACE_S, grace_s=0)) as swept,
        repeating(compact_all) as moved,
        repeating(lambda: read(job.dataset, tmp_path / f"tree {next(numbers)}")) as reads,
    ):
        for number in range(ROUNDS):
            chosen = random.Random(number)  # noqa: S311 — content
            contents = [chosen.randbytes(70_000) for _ in range(12)]
            contents += [chosen.randbytes(500) for _ in range(12)]
            make_old(store, put(store, *contents))
            files = {f"{n}.bin": content for n, content in enumerate(contents)}
            fill(source, files, age_s=3600 * (number + 1))
            assert run(job).state == State.SUCCEEDED
            assert digests_of(job.dataset) == digests_below(source)
    assert min(len(swept), len(reads), sum(map(bool, moved))) > 2
    for number in range(1, ROUNDS + 2):
        digests_of(job.dataset, number)


def test_a_sweep_and_a_writer_of_the_same_contents_never_wait_for_each_other(
    job: SyncJob, store: BlobStore
) -> None:
    """The sweep meets the contents in the order in which they were stored; the writer asks in that of their
    digests, and has the first of them when the sweep begins."""
    by_digest = sorted((hashlib.sha256(each).digest(), each) for each in (b"one", b"two", b"three"))
    digests = [digest for digest, _ in by_digest]
    for digest, content in reversed(by_digest):
        put(store, content)
        make_old(store, [digest])
    index = Places(job.workspace_id)
    swept = meet(
        lambda: index.forget_unnamed(time.time() - GRACE_S),
        hold=lambda: index.refresh(digests[:1]),
        rest=lambda: index.refresh(digests[1:]),
    )
    assert swept == (0, 0)


def read(dataset: Dataset, folder: Path) -> None:
    version = dataset.versions.get(is_current=True)
    entries = iter_entries(dataset, version.number)
    files = (
        TreeFile(names.from_text(each.path), bytes(each.sha256), each.size_bytes, None)
        for each in entries
    )
    tree = check_out(files, open_store(dataset.workspace_id), folder)
    assert tree.files == version.file_count


@contextmanager
def repeating(call: Callable[[], object]) -> Iterator[list[object]]:
    """Calls it again and again, beside the block; what it raises comes out at the end."""
    answers: list[object] = []
    errors: list[BaseException] = []
    over = threading.Event()

    def work() -> None:
        try:
            while not over.is_set():
                answers.append(call())
        except BaseException as exc:  # noqa: BLE001 — raised again below
            errors.append(exc)
        finally:
            connection.close()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield answers
    finally:
        over.set()
        thread.join(30)
    if errors:
        raise errors[0]
