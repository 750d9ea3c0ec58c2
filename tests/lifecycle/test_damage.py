"""A held file whose bytes were damaged on our disk: a sync that can have the good ones heals it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from django.conf import settings

from datasets.models import DamagedBlob, Entry, PackedBlob, Version
from datasets.store import open_store
from syncjobs.core.states import State
from syncjobs.models import AfterPublish, ItemAction, OnDelete, SyncJob, SyncMode
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {"small.txt": b"small", "large.bin": os.urandom(200_001), "other.txt": b"other"}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), name="files")
    assert run(job).state == State.SUCCEEDED
    return job


def damage(path: str, how: str = "flipped") -> None:
    entry = Entry.objects.get(path=path, until=None)
    place = PackedBlob.objects.filter(sha256=entry.sha256).first()
    file, offset = open_store(entry.dataset.workspace_id).path(bytes(entry.sha256)), 0
    if place is not None:
        home = settings.STORE_ROOT / str(place.workspace_id) / "packs"
        file, offset = home / f"{place.pack.hex}.pack", place.offset
    if how == "short":
        os.truncate(file, offset + 1)
        return
    content = bytearray(file.read_bytes())
    content[offset] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "short"])
@pytest.mark.parametrize("path", ["small.txt", "large.bin"])
def test_a_full_sync_heals_what_it_fetches(job: SyncJob, source: Path, path: str, how: str) -> None:
    damage(path, how)
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.files_changed, record.files_unchanged) == (State.SUCCEEDED, 0, 3)
    assert Version.objects.count() == 1  # nothing of the dataset has changed
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.parametrize("path", ["small.txt", "large.bin"])
def test_an_ordinary_sync_fetches_what_is_known_to_be_damaged(
    job: SyncJob, source: Path, path: str
) -> None:
    damage(path)
    record = run(job)  # nobody knows yet: by size and time nothing has changed
    assert record.bytes_transferred == 0
    entry = Entry.objects.get(path=path)
    assert not open_store(job.workspace_id).verify(bytes(entry.sha256))
    assert DamagedBlob.objects.count() == 1
    record = run(job)
    assert record.bytes_transferred == entry.size_bytes
    assert (record.files_changed, record.files_unchanged) == (0, 3)
    assert not DamagedBlob.objects.exists()
    assert Version.objects.count() == 1
    assert digests_of(job.dataset) == digests_below(source)
    assert run(job).bytes_transferred == 0


def test_another_file_of_that_content_is_not_thrown_away(job: SyncJob, source: Path) -> None:
    """The content is held already, damaged: what comes under a new name is good."""
    damage("large.bin")
    fill(source, {"copy.bin": FILES["large.bin"]})
    assert run(job).files_added == 1
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.parametrize("path", ["small.txt", "large.bin"])
def test_the_sources_copy_stays_where_ours_is_damaged(
    job: SyncJob, source: Path, path: str
) -> None:
    """To be deleted at the source, of the right size here, and wrong."""
    damage(path)
    SyncJob.objects.update(after_publish=AfterPublish.DELETE, on_delete=OnDelete.IGNORE)
    record = run(SyncJob.objects.get())
    assert record.files_cleared == 2
    item = record.items.get(action=ItemAction.LEFT)
    assert (item.path, item.error_code) == (path, "blob_missing")
    assert {each.name for each in source.iterdir()} == {path}
    # It was noted: the next record fetches it, and then the source's copy may go.
    record = run(SyncJob.objects.get())
    assert (record.files_cleared, list(source.iterdir())) == (1, [])
    assert open_store(job.workspace_id).verify(bytes(Entry.objects.get(path=path).sha256))
