"""An index that was killed at any point, by a record's stage or by the queue, ends as a fresh one."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.db.models.functions import Now

from search.indexing.marking import ask_reindex
from search.models import DatasetIndex, TextChunk
from tests.kills.failpoints import POINTS
from tests.kills.forks import Forks, forking
from tests.search.indexes import (
    chunks_of,
    fresh_chunks_of,
    has_true_counts,
    make_dataset,
    publish,
)

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

TEXTS = 40
OF_INDEX = [
    point
    for point in POINTS
    if point.startswith(("after a statement", "before a commit", "after a commit"))
    or "text" in point
    or "index is" in point
]
SHORT = 6  # so many kills of an index in a run of the suite's length are of one version


@pytest.fixture
def forks(transactional_db: None, tmp_path: Path) -> Iterator[Forks]:
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    with forking(url, tmp_path / "forks.log") as running:
        yield running


@pytest.mark.timeout(0)  # as long as it takes to kill so often
def test_wherever_its_worker_is_killed_an_index_ends_as_a_fresh_one(
    request: pytest.FixtureRequest, forks: Forks
) -> None:
    kills_wanted = max(1, request.config.getoption("--kills") // 4)
    chance = random.Random(request.config.getoption("--seed"))  # noqa: S311 — to be played again
    dataset = make_dataset()
    files = {f"{n}.txt": b"text number %d of the first" % n for n in range(TEXTS)}
    kills: Counter[str] = Counter()
    passed: Counter[str] = Counter()
    rounds = 0
    while kills.total() < kills_wanted:
        rounds += 1
        assert rounds < 3 * kills_wanted
        for name in chance.sample(sorted(files), 12):
            files[name] = b"%s in round %d\n\n" % (name.encode(), rounds) * chance.randint(1, 60)
        gone = chance.sample(sorted(files), 3)
        publish(dataset, {name: content for name, content in files.items() if name not in gone})
        if chance.random() < 0.3:
            with connection.cursor() as cursor:
                ask_reindex(cursor, dataset.pk)
        for _ in range(min(SHORT, kills_wanted)):
            point = chance.choice(OF_INDEX)
            nth = 1 + int(passed.get(point, 8) * chance.random() ** 2)
            let_go(dataset.pk)
            ended = forks.run("index", str(dataset.pk), kill_at=point, nth=nth)
            kills[point] += ended.killed
            passed |= ended.passed
            if not ended.killed:
                break
        let_go(dataset.pk)
        forks.run("index", str(dataset.pk))
        assert DatasetIndex.objects.get(dataset=dataset).state == "current"
        assert has_true_counts(dataset)
        assert no_chunk_is_doubled()
        if rounds % 5 == 1:
            assert chunks_of(dataset) == fresh_chunks_of(dataset)
    assert chunks_of(dataset) == fresh_chunks_of(dataset)
    print(f"{kills.total()} kills of an index: {dict(kills)}")  # noqa: T201 — what `make kills` shows


def let_go(dataset_id: uuid.UUID) -> None:
    """The lease of who died is over, and so is his wait."""
    DatasetIndex.objects.filter(dataset=dataset_id).update(
        leased_until=Now() - timedelta(seconds=1), not_before=None
    )


def no_chunk_is_doubled() -> bool:
    numbers = list(TextChunk.objects.values_list("text_id", "n"))
    return len(numbers) == len(set(numbers))
