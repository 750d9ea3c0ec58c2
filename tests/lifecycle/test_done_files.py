"""A file is taken when its marker is in the same listing, and waits until then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from database.sessions import open_session
from datasets.catalog import Catalog, Counts, Listed
from datasets.models import Dataset
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, make_connector, make_job, make_workspace, run

pytestmark = pytest.mark.django_db(transaction=True)


def waiting(record: SyncRecord) -> set[str]:
    found = record.items.filter(action="deferred", error_code="waiting_for_marker")
    return set(found.values_list("path", flat=True))


@pytest.mark.parametrize(
    ("pattern", "markers", "taken"),
    [
        ("{name}.done", ["a.csv.done", "sub/b.csv.done"], {"a.csv", "sub/b.csv"}),
        ("{stem}.ok", ["a.ok"], {"a.csv", "a.xml"}),
        ("_SUCCESS", ["sub/_SUCCESS"], {"sub/b.csv", "sub/c.csv"}),
    ],
)
def test_files_wait_for_their_marker(
    sshd: Sshd, source: Path, pattern: str, markers: list[str], taken: set[str]
) -> None:
    names = {"a.csv", "a.xml", "sub/b.csv", "sub/c.csv", "sub/deep/d.csv"}
    fill(source, {name: name.encode() for name in names} | dict.fromkeys(markers, b""))
    job = make_job(make_connector(sshd.target(source)), done_pattern=pattern)
    record = run(job)
    assert (record.state, record.verdict) == (State.SUCCEEDED, "ok")
    assert set(digests_of(job.dataset)) == taken
    assert waiting(record) == names - taken
    assert record.files_deferred == len(names - taken)


def test_a_marker_counts_where_no_pattern_selects_it(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.csv": b"1", "a.csv.done": b"", "b.csv": b"2"})
    job = make_job(
        make_connector(sshd.target(source)), include=["*.csv"], done_pattern="{name}.done"
    )
    assert waiting(run(job)) == {"b.csv"}
    assert set(digests_of(job.dataset)) == {"a.csv"}


def test_what_is_held_stays_while_its_marker_is_away(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.csv": b"one", "a.csv.done": b""})
    job = make_job(make_connector(sshd.target(source)), done_pattern="{name}.done")
    run(job)
    first = digests_of(job.dataset)
    fill(source, {"a.csv": b"half of two"}, age_s=600)
    (source / "a.csv.done").unlink()
    record = run(job)
    assert (record.state, record.files_removed, record.files_changed) == (State.SUCCEEDED, 0, 0)
    assert digests_of(job.dataset) == first
    fill(source, {"a.csv.done": b""})
    assert run(job).files_changed == 1


def test_names_in_no_unicode_have_markers_too(sshd: Sshd, source: Path) -> None:
    raw = os.fsdecode(b"caf\xe9.txt")
    fill(source, {raw: b"x", f"{raw}.done": b"", "$(touch x)": b"y", "$(touch x).done": b""})
    job = make_job(make_connector(sshd.target(source)), done_pattern="{name}.done")
    assert run(job).files_added == 2


def test_many_files_and_markers_in_any_order_are_matched_by_the_database() -> None:
    dataset = Dataset.objects.create(workspace=make_workspace(), name="many")
    session = open_session(statement_timeout_s=60, name="test")
    try:
        catalog = Catalog(session, dataset_id=dataset.pk, record_id=dataset.pk, token=0, full=False)
        count = 60_000
        catalog.stage(
            Listed(f"{n % 7}/{n}.csv", n, n, None, needs=f"{n % 7}/{n}.csv.done")
            for n in range(count)
        )
        catalog.stage(
            Listed(f"{n % 7}/{n}.csv.done", None, None, None, marker=True)
            for n in reversed(range(0, count, 3))
        )
        unmarked = {path for path, _ in catalog.defer_unmarked()}
        assert len(unmarked) == count - count // 3
        catalog.compare(lambda pair: False)
        counts: Counts = catalog.count()
        assert (counts.listed, counts.added) == (count, count // 3)
    finally:
        session.close()
