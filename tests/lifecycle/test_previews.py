"""A changed selection shows first what would leave the dataset and what would come back."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from datasets.models import Entry, Version
from syncjobs.configuration.jobs import save_job
from syncjobs.configuration.previewing import preview_selection
from syncjobs.core.selection import Selection
from syncjobs.core.states import State
from syncjobs.models import OnDelete, SyncJob
from syncjobs.works.files.order import make_selection
from tests.hosts.sshd import Sshd
from tests.rows import digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {f"reports/{n:02}.csv": b"x" * n for n in range(20)} | {
    f"drafts/{n}.csv": b"draft" for n in range(5)
}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    return job


def edited(job: SyncJob, **fields: Any) -> SyncJob:
    fresh = SyncJob.objects.get(pk=job.pk)
    for name, value in fields.items():
        setattr(fresh, name, value)
    return fresh


def test_what_a_new_exclusion_takes_away_is_what_then_goes(job: SyncJob) -> None:
    after = edited(job, exclude=["drafts/**"])
    preview = preview_selection(after)
    assert preview is not None
    assert (preview.held, preview.leaving, preview.resting, preview.returning) == (25, 5, 0, 0)
    assert set(preview.leaving_paths) == {f"drafts/{n}.csv" for n in range(5)}
    assert preview.guard is not None
    assert "5 files of 25 leave the next version, e.g. drafts/0.csv" in preview.sentences()[0]
    save_job(after)
    assert run(after).state == State.HELD


def test_what_a_limit_leaves_out_stays_held(job: SyncJob) -> None:
    preview = preview_selection(edited(job, max_file_size_bytes=9))
    assert preview is not None
    assert (preview.leaving, preview.resting, preview.guard) == (0, 10, None)


def test_nothing_leaves_where_the_job_ignores_removals(job: SyncJob) -> None:
    preview = preview_selection(edited(job, exclude=["drafts/**"], on_delete=OnDelete.IGNORE))
    assert preview is not None
    assert (preview.leaving, preview.resting, preview.guard) == (0, 5, None)


def test_what_older_versions_hold_comes_back(job: SyncJob) -> None:
    after = edited(job, exclude=["drafts/1.csv", "drafts/2.csv"])
    save_job(after)
    assert run(after).files_removed == 2
    preview = preview_selection(edited(job, exclude=["drafts/2.csv"]))
    assert preview is not None
    assert (preview.leaving, preview.returning) == (0, 1)
    assert preview.returning_paths == ("drafts/1.csv",)
    save_job(edited(job, exclude=["drafts/2.csv"]))
    run(SyncJob.objects.get(pk=job.pk))
    assert "drafts/1.csv" in digests_of(job.dataset)


def test_edits_that_leave_the_selection_alone_cost_nothing(job: SyncJob) -> None:
    with CaptureQueriesContext(connection) as queries:
        assert preview_selection(edited(job, timeout_s=60)) is None
    assert not any("datasets_entry" in query["sql"] for query in queries)
    assert preview_selection(edited(job, include=["**/*.csv"])) is None
    assert preview_selection(SyncJob(name="new")) is None


def test_entries_come_through_a_cursor_of_the_database(job: SyncJob) -> None:
    """The answer for a version larger than one page, without its rows in memory at once."""
    dataset = job.dataset
    Entry.objects.bulk_create(
        Entry(dataset=dataset, path=f"more/{n:05}.txt", size_bytes=1, sha256=b"0" * 32, since=1)
        for n in range(12_000)
    )
    Version.objects.update(file_count=12_025)
    preview = preview_selection(edited(job, include=["reports/**", "more/0[0-8]*.txt"]))
    assert preview is not None
    assert preview.leaving == 5 + 3_000
    assert preview.guard is not None


@pytest.mark.parametrize(
    ("said", "extensions", "limit"),
    [
        ({}, (".csv", ".md"), 2 << 20),
        ({"exclude": ["drafts/**"]}, (".csv", ".md"), 2 << 20),
        ({"include": ["**/*.bin"]}, (), 2 << 20),
        ({"filters": ["+ **"]}, (), 2 << 20),
        ({"extensions": ["bin"], "max_file_size_bytes": 5}, ("bin",), 5),
        ({"max_file_size_bytes": 5}, (".csv", ".md"), 5),
    ],
)
def test_the_installations_defaults_count_where_a_job_says_nothing(
    said: dict[str, Any], extensions: tuple[str, ...], limit: int, settings: Settings
) -> None:
    settings.SYNC = dataclasses.replace(
        settings.SYNC, supported_extensions=(".csv", ".md"), max_file_size_mb=2
    )
    chosen = make_selection(SyncJob(**said))
    assert (chosen.extensions, chosen.max_file_size_bytes) == (extensions, limit)
    settings.SYNC = dataclasses.replace(
        settings.SYNC, supported_extensions=(), max_file_size_mb=None
    )
    assert make_selection(SyncJob()) == Selection()


def test_new_jobs_try_as_often_as_the_installation_says(settings: Settings, job: SyncJob) -> None:
    settings.SYNC = dataclasses.replace(settings.SYNC, max_retries=5)
    assert SyncJob(name="new").max_attempts == 6
    assert SyncJob(name="new", max_attempts=1).max_attempts == 1
    assert SyncJob.objects.get(pk=job.pk).max_attempts == 3


def test_a_stored_pattern_that_is_refused_now_fails_its_record_and_can_be_edited(
    job: SyncJob,
) -> None:
    SyncJob.objects.filter(pk=job.pk).update(exclude=[r"re:(?!reports).*"])
    record = run(SyncJob.objects.get(pk=job.pk))
    assert (record.state, record.error_code) == (State.FAILED, "invalid_pattern")
    assert "(?! is a look-ahead" in record.error
    assert record.attempt == 1  # another attempt could do no better
    with pytest.raises(ValidationError, match="look-ahead"):
        edited(job).full_clean()
    preview = preview_selection(edited(job, exclude=["drafts/**"]))
    assert preview is not None
    assert (preview.leaving, preview.returning) == (5, 0)
