"""P1: a version is complete and verified, or invisible, wherever a worker is killed.

A job over HTTP is synced again and again from a tree that changes; its worker is killed at points chosen by
a seed, taken over, killed again, and completes. After every death all that can be seen must hold.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection
from django.db.models.functions import Now

from datasets.models import Dataset, Entry, PackedBlob, Receipt, Version
from datasets.places import Places
from datasets.reading import find_entries
from datasets.store import open_store
from farends.http.transport import HttpOptions, HttpSecret
from farends.spec import Target
from store.blobs import BlobStore
from store.repacking import find_sparse
from syncjobs.claims.reaping import reap
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.nginx import running_nginx
from tests.kills.failpoints import POINTS
from tests.kills.forks import Forks, forking
from tests.rows import fill, make_connector, make_job, make_version, make_workspace
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Tree = dict[str, tuple[int, str]]  # size and digest by path
SMALL, LARGE = 20, 3
KILLS_OF_A_RECORD = 6
SWEEP_EVERY = 5  # records
COMPACTING = [
    "after a pack's write",
    "after fsync",
    "before rename",
    "after rename",
    "before packed contents move",
    "after packed contents move",
]


@pytest.fixture
def forks(transactional_db: None, tmp_path: Path) -> Iterator[Forks]:
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    with forking(url, tmp_path / "forks.log") as running:
        yield running


@pytest.fixture
def job(source: Path, tmp_path: Path) -> Iterator[SyncJob]:
    home = tmp_path / "nginx"
    home.mkdir()
    with running_nginx(home, source, form="json") as port:
        target = Target("127.0.0.1", port, HttpOptions(), HttpSecret())
        yield make_job(make_connector(target, kind="http"))


class Run:
    """One seed's run: what was expected of which version, and how often who died where."""

    def __init__(self, job: SyncJob, source: Path, forks: Forks, seed: int) -> None:
        self.dataset = Dataset.objects.get(pk=job.dataset_id)
        self.kills: Counter[str] = Counter()
        self.records = 0
        self._job = job
        self._source = source
        self._forks = forks
        self._random = random.Random(seed)  # noqa: S311 — to be played again
        self._trees: dict[int, Tree] = {}
        self._passes: Counter[str] = Counter()  # how often a point is passed, as it seems
        self._hashed: set[bytes] = set()

    def sync_once(self) -> None:
        """One record: its workers are killed a few times, then it must complete."""
        self._change_source()
        wanted = tree_of(self._source)
        record = enqueue(self._job, trigger=Trigger.MANUAL)
        kills_left = self._random.randint(2, KILLS_OF_A_RECORD) if self.records > 1 else 0
        while record.state not in FINAL:
            point = self._random.choice(sorted(self._passes)) if kills_left else None
            self._work("execute", str(record.pk), point)
            kills_left = max(0, kills_left - 1)
            self._check_what_is_seen(wanted)
            take_back(record)
            if record.state not in FINAL and self._random.random() < 0.1:
                self._change_source()  # what was fetched for nothing is the sweep's
                wanted = tree_of(self._source)
        assert (record.state, record.error) == (State.SUCCEEDED, "")
        assert self._trees[self._current()] == wanted
        assert not Receipt.objects.exists()
        self.records += 1
        if self.records % SWEEP_EVERY == 0:
            self._work("sweep", "0", self._random.choice(["before a removal", "after a removal"]))
            self._check_what_is_seen(wanted)

    def check_everything(self) -> None:
        """Every version is what it was when it came to be; every blob is what it is named by."""
        self._hashed.clear()
        assert sorted(self._trees) == sorted(self.dataset.versions.values_list("number", flat=True))
        for number, tree in self._trees.items():
            self._check_version(number, tree)

    def _work(self, work: str, argument: str, point: str | None) -> None:
        # Rather early, because what an earlier attempt kept is not done again.
        nth = 1 + int(self._passes[point] * self._random.random() ** 2) if point else 0
        ended = self._forks.run(work, argument, kill_at=point, nth=nth)
        if ended.killed:
            self.kills[str(point)] += 1
            self._passes[str(point)] += 1
        elif point is not None:
            self._passes[point] = max(1, nth - 1)
        if self.records == 1:  # the first had more to do than any later one
            self._passes.clear()
        for name, count in ended.passed.items():
            self._passes.setdefault(name, count)

    def _change_source(self) -> None:
        """A few files come, change and go; the large ones now and then."""
        names = [f"{n:02}.txt" for n in range(SMALL)] + [f"{n}.bin" for n in range(LARGE)]
        present = {str(path.relative_to(self._source)) for path in self._source.iterdir()}
        chosen = [name for name in names if name not in present or self._random.random() < 0.3]
        for name in chosen:
            size = self._random.randint(70_000, 200_000 if name.endswith("bin") else 70_500)
            content = self._random.randbytes(size if name.endswith("bin") else size - 69_000)
            fill(self._source, {name: content}, age_s=self._random.randint(3600, 360_000))
        if len(present) == len(names):
            (self._source / self._random.choice(names)).unlink()

    def _check_what_is_seen(self, wanted: Tree) -> None:
        current = self._current()
        if current not in self._trees and current > 0:
            assert current == max(self._trees, default=0) + 1
            self._trees[current] = wanted
        for number, tree in list(self._trees.items())[-2:]:
            self._check_version(number, tree)

    def _current(self) -> int:
        numbers = list(
            self.dataset.versions.filter(is_current=True).values_list("number", flat=True)
        )
        assert numbers == list(self.dataset.versions.values_list("number", flat=True)[:1])
        return numbers[0] if numbers else 0

    def _check_version(self, number: int, tree: Tree) -> None:
        version = Version.objects.get(dataset=self.dataset, number=number)
        entries = list(find_entries(self.dataset, number))
        held = {entry.path: (entry.size_bytes, bytes(entry.sha256).hex()) for entry in entries}
        assert held == tree
        assert version.file_count == len(tree)
        assert version.size_bytes == sum(size for size, _ in tree.values())
        self._hash({bytes(entry.sha256): entry.size_bytes for entry in entries})

    def _hash(self, sizes: dict[bytes, int]) -> None:
        store = open_store(self.dataset.workspace_id)
        new = sizes.keys() - self._hashed
        places = store.locate(list(new))
        for sha256 in new:
            with store.open(sha256, places) as blob:
                content = blob.read()
            assert (len(content), hashlib.sha256(content).digest()) == (sizes[sha256], sha256)
        self._hashed |= new


def tree_of(folder: Path) -> Tree:
    contents = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {
        name: (len(content), hashlib.sha256(content).hexdigest())
        for name, content in contents.items()
    }


def take_back(record: SyncRecord) -> None:
    """What the reaper does a lease after its worker's death, now."""
    record.refresh_from_db()
    if record.state == State.RUNNING:
        SyncRecord.objects.filter(pk=record.pk).update(
            lease_expires_at=Now() - timedelta(seconds=1)
        )
        # Its transaction may still be on its way out.
        until(lambda: reap(young_s=0), "the record was not taken back")
    # Nor is it put off or quarantined: that is another test's.
    SyncRecord.objects.filter(pk=record.pk, state=State.QUEUED).update(
        not_before=None, crash_count=0
    )
    record.refresh_from_db()


def orphans_in(dataset: Dataset) -> list[str]:
    """Files of the store that no version names."""
    home = Path(settings.STORE_ROOT) / str(dataset.workspace_id)
    named = {bytes(sha256) for sha256 in Entry.objects.values_list("sha256", flat=True)}
    places = dict(PackedBlob.objects.values_list("sha256", "pack"))
    packs = {pack.hex for sha256, pack in places.items() if bytes(sha256) in named}
    kept = {sha256.hex() for sha256 in named} | {f"{pack}.pack" for pack in packs}
    return [str(path) for path in home.rglob("*") if path.is_file() and path.name not in kept]


@pytest.mark.timeout(0)  # as long as it takes to kill so often
def test_d05_p1_p2_whatever_is_seen_is_whole_wherever_a_worker_is_killed(
    job: SyncJob, source: Path, forks: Forks, request: pytest.FixtureRequest
) -> None:
    kills = request.config.getoption("--kills")
    seed = request.config.getoption("--seed")
    run = Run(job, source, forks, seed)
    while run.kills.total() < kills:
        run.sync_once()
    run.check_everything()
    forks.run("sweep", "0")
    assert orphans_in(run.dataset) == []
    print(f"seed {seed}: {run.kills.total()} kills over {run.records} records, 0 violations")  # noqa: T201
    for name in POINTS:
        print(f"  {run.kills[name]:5} {name}")  # noqa: T201


def test_a_compaction_that_is_killed_anywhere_keeps_every_content(forks: Forks) -> None:
    """The old packs stay until no row names them; what a dead one left goes with the sweep."""
    dataset = Dataset.objects.create(workspace=make_workspace(), name="files")
    contents = {f"{n:03}": b"%03d" % n * 300 for n in range(120)}
    make_version(dataset, contents)
    store, index = open_store(dataset.workspace_id), Places(dataset.workspace_id)
    Entry.objects.filter(path__in=list(contents)[::2]).delete()
    forks.run("sweep", "0")
    assert PackedBlob.objects.count() == len(contents) / 2
    killed = [
        (point, nth)
        for nth in (1, 2)
        for point in COMPACTING
        if forks.run("compact", str(dataset.workspace_id), kill_at=point, nth=nth).killed
        and can_read_all(store, dataset)
    ]
    assert len(killed) == 2 * len(COMPACTING)
    forks.run("compact", str(dataset.workspace_id))
    assert not any(pack.lost_bytes for pack in find_sparse(store, index, lost_percent=1))
    assert can_read_all(store, dataset)
    forks.run("sweep", "0")
    assert orphans_in(dataset) == []
    assert can_read_all(store, dataset)


def can_read_all(store: BlobStore, dataset: Dataset) -> bool:
    return all(store.verify(bytes(entry.sha256)) for entry in find_entries(dataset, 1))
