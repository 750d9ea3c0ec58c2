"""A job against a real OpenSSH server, from queued record to published version."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from datasets.models import Receipt, Version
from datasets.reading import get_version
from syncjobs.attempt.execution import execute
from syncjobs.core.comparing import Comparison
from syncjobs.core.states import State
from syncjobs.engine import source as far_end
from syncjobs.engine.receiving import StoreReceiver
from syncjobs.leases.heart import Heart
from syncjobs.models import OnDelete, SyncJob, SyncMode, SyncRecord
from syncjobs.records.asking import release
from tests.hosts.sshd import Sshd
from tests.rows import digests_below, digests_of, fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

RunAtOnce = Callable[[SyncJob, Path], SyncRecord]

TREE = {f"folder {n % 7}/file {n}.txt": b"content %d" % n * n for n in range(60)} | {
    "größe.csv": b"a;b\n",
    "empty": b"",
    "$(touch x)": b"data only",
    "-rf": b"data only",
    "large.bin": bytes(range(256)) * 12_000,
}


def test_what_is_stored_is_what_the_source_held(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert (record.files_added, record.dataset_version) == (len(TREE), 1)
    assert record.bytes_transferred == sum(map(len, TREE.values()))
    assert record.percentage == 100
    assert digests_of(job.dataset) == digests_below(source)
    assert [event.event for event in record.events.all()] == ["claimed", "succeeded"]
    assert record.items.filter(action="added").count() == len(TREE)
    assert not Receipt.objects.exists()


def test_an_unchanged_source_writes_no_version(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert (record.files_added, record.files_changed, record.files_removed) == (0, 0, 0)
    assert (record.files_unchanged, record.bytes_transferred) == (len(TREE), 0)
    assert record.dataset_version == 1
    assert Version.objects.count() == 1


def test_each_change_is_a_version_and_older_ones_stay(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    first = digests_of(job.dataset)
    fill(source, {"new/file.txt": b"new", "größe.csv": b"a;b\n1;2\n"})
    (source / "-rf").unlink()
    record = run(job)
    assert (record.files_added, record.files_changed, record.files_removed) == (1, 1, 1)
    assert record.files_unchanged == len(TREE) - 2
    assert digests_of(job.dataset) == digests_below(source)
    assert digests_of(job.dataset, 1) == first
    current = get_version(job.dataset)
    assert (current.number, current.size_bytes) == (
        2,
        sum(path.stat().st_size for path in source.rglob("*") if path.is_file()),
    )


@pytest.fixture
def run_at_once(monkeypatch: pytest.MonkeyPatch) -> RunAtOnce:
    """Runs a job in the very moment in which a file was written, however long that takes."""

    def run_then(job: SyncJob, path: Path) -> SyncRecord:
        moment_ns = path.stat().st_mtime_ns
        standing = SimpleNamespace(time_ns=lambda: moment_ns, monotonic=time.monotonic)
        with monkeypatch.context() as patch:
            patch.setattr(far_end, "time", standing)
            return run(job)

    return run_then


def test_a_young_file_is_looked_at_once_more(
    sshd: Sshd, source: Path, run_at_once: RunAtOnce
) -> None:
    """Equal times prove nothing while the file is younger than its clock's precision."""
    fill(source, {"young.txt": b"one"}, age_s=0)
    job = make_job(make_connector(sshd.target(source)))
    run_at_once(job, source / "young.txt")
    stat = (source / "young.txt").stat()
    (source / "young.txt").write_bytes(b"two")
    os.utime(source / "young.txt", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    record = run(job)
    assert record.files_changed == 1
    assert digests_of(job.dataset) == digests_below(source)


def test_a_young_file_that_stayed_is_unchanged(
    sshd: Sshd, source: Path, run_at_once: RunAtOnce
) -> None:
    fill(source, {"young.txt": b"one"}, age_s=0)
    job = make_job(make_connector(sshd.target(source)))
    run_at_once(job, source / "young.txt")
    record = run_at_once(job, source / "young.txt")
    assert (record.files_changed, record.files_unchanged) == (0, 1)
    assert Version.objects.count() == 1


def test_full_mode_finds_what_metadata_hides(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    path = source / "large.bin"
    stat = path.stat()
    path.write_bytes(b"\xff" + path.read_bytes()[1:])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert run(job).files_changed == 0
    record = run(job, mode=SyncMode.FULL)
    assert (record.files_changed, record.files_unchanged) == (1, len(TREE) - 1)
    assert digests_of(job.dataset) == digests_below(source)


def test_n13_an_emptied_source_is_held_until_a_person_releases_it(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    shutil.rmtree(source)
    source.mkdir()
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.empty_listing")
    assert len(digests_of(job.dataset)) == len(TREE)
    assert release(record.pk, by="a person")
    assert execute(record.pk, Heart("test")) == State.SUCCEEDED
    assert digests_of(job.dataset) == {}
    assert len(digests_of(job.dataset, 1)) == len(TREE)


def test_n14_a_source_that_lists_half_is_held(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    for path in sorted(source.rglob("*.txt"))[:30]:
        path.unlink()
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.mass_removal")
    assert (Version.objects.count(), len(digests_of(job.dataset))) == (1, len(TREE))


def test_removals_that_the_job_ignores_stay(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)), on_delete=OnDelete.IGNORE)
    run(job)
    shutil.rmtree(source)
    source.mkdir()
    assert run(job).state == State.SUCCEEDED
    assert len(digests_of(job.dataset)) == len(TREE)


def test_a_missing_root_fails_and_deletes_nothing(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    shutil.rmtree(source)
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "root_missing")
    assert len(digests_of(job.dataset)) == len(TREE)


def test_s02_a_changed_host_key_fails_the_record_and_leaves_the_dataset(
    sshd: Sshd, source: Path
) -> None:
    fill(source, TREE)
    target = sshd.target(source)
    connector = make_connector(target)
    job = make_job(connector)
    run(job)
    connector.options["host_key"] = "SHA256:" + "A" * 43
    connector.save()
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "host_key_changed")
    assert record.attempt == 1
    assert len(digests_of(job.dataset)) == len(TREE)


def test_an_unreachable_host_is_tried_again_later(sshd: Sshd, source: Path) -> None:
    target = dataclasses.replace(sshd.target(source), port=1)
    record = run(make_job(make_connector(target)))
    assert (record.state, record.error_code) == (State.QUEUED, "unreachable")
    assert record.not_before is not None
    assert record.attempt == 1
    assert "next attempt" in record.waiting_for


def test_l01_l03_l06_links_are_not_followed_and_are_told(sshd: Sshd, source: Path) -> None:
    fill(source, {"real.txt": b"x"})
    (source / "link").symlink_to("/etc/passwd")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "pipe")
    job = make_job(make_connector(sshd.target(source)))
    record = run(job)
    assert (record.state, record.files_skipped) == (State.SUCCEEDED, 3)
    assert set(digests_of(job.dataset)) == {"real.txt"}
    skipped = dict(record.items.filter(action="skipped").values_list("path", "error_code"))
    assert skipped == {"link": "link", "loop": "link", "pipe": "special"}


def test_n08_names_that_are_no_unicode_are_kept(sshd: Sshd, source: Path) -> None:
    raw = os.fsdecode(b"caf\xe9.txt")
    fill(source, {raw: b"x", "ok.txt": b"y"})
    job = make_job(make_connector(sshd.target(source)))
    assert run(job).state == State.SUCCEEDED
    assert len(digests_of(job.dataset)) == 2
    assert run(job).files_unchanged == 2


def test_selection_and_limits(sshd: Sshd, source: Path) -> None:
    fill(source, TREE | {"drafts/a.txt": b"x"})
    job = make_job(
        make_connector(sshd.target(source)),
        include=["**/*.txt", "*.bin"],
        exclude=["drafts/**"],
        max_file_size_bytes=100_000,
    )
    record = run(job)
    assert set(digests_of(job.dataset)) == {name for name in TREE if name.endswith(".txt")}
    assert record.items.get(action="skipped").path == "large.bin"


def test_a_dry_run_tells_and_does_nothing(sshd: Sshd, source: Path) -> None:
    fill(source, TREE)
    job = make_job(make_connector(sshd.target(source)))
    record = run(job, dry_run=True)
    assert (record.state, record.verdict) == (State.SUCCEEDED, "dry_run")
    assert record.files_added == len(TREE)
    assert record.bytes_transferred == 0
    assert not Version.objects.exists()


def test_the_dataset_of_an_empty_source_has_a_first_version(sshd: Sshd, source: Path) -> None:
    record = run(make_job(make_connector(sshd.target(source))))
    assert (record.state, record.dataset_version, record.files_added) == (State.SUCCEEDED, 1, 0)


def test_a_file_that_is_still_being_written_waits_and_keeps_its_state(
    sshd: Sshd, source: Path
) -> None:
    fill(source, {"old.txt": b"old", "both.txt": b"first"})
    job = make_job(make_connector(sshd.target(source)), settle_s=600)
    run(job)
    fill(source, {"young.txt": b"half", "both.txt": b"second"}, age_s=0)
    record = run(job)
    assert (record.state, record.files_deferred) == (State.SUCCEEDED, 2)
    assert (record.files_added, record.files_changed, record.files_removed) == (0, 0, 0)
    assert record.files_unchanged == 1
    assert set(record.items.filter(action="deferred").values_list("path", flat=True)) == {
        "young.txt",
        "both.txt",
    }
    assert set(digests_of(job.dataset)) == {"old.txt", "both.txt"}
    fill(source, {"young.txt": b"whole", "both.txt": b"second"}, age_s=3600)
    assert (run(job).files_added, run(job).files_changed) == (1, 0)
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.parametrize("caps", [{"max_files": 25}, {"max_bytes": 25_000}])
def test_one_record_fetches_up_to_its_caps_and_the_next_goes_on(
    sshd: Sshd, source: Path, caps: dict[str, int]
) -> None:
    fill(source, {f"{n:03}.txt": b"x" * 1000 for n in range(60)})
    job = make_job(make_connector(sshd.target(source)), **caps)
    added = [run(job).files_added for _ in range(4)]
    assert added == [25, 25, 10, 0]
    assert digests_of(job.dataset) == digests_below(source)


def test_ordered_filters_expressions_extensions_and_age(sshd: Sshd, source: Path) -> None:
    fill(source, {"2026/a.csv": b"1", "2026/drafts/b.csv": b"2", "2025/c.csv": b"3", "d.txt": b"4"})
    fill(source, {"2026/old.csv": b"5"}, age_s=100 * 24 * 3600)
    job = make_job(
        make_connector(sshd.target(source)),
        filters=["- **/drafts/**", "+ 2026/**", r"+ re:\d{4}/[a-c]\.csv", "- **"],
        extensions=["csv"],
        max_age_s=24 * 3600,
    )
    run(job)
    assert set(digests_of(job.dataset)) == {"2026/a.csv", "2025/c.csv"}


def test_n07_a_path_too_long_to_index_fails_alone(sshd: Sshd, source: Path) -> None:
    """N07."""
    fill(source, {"a.txt": b"a"})
    here = Path.cwd()
    try:
        os.chdir(source)
        for _ in range(14):
            name = uuid.uuid4().hex * 7
            os.mkdir(name)  # noqa: PTH102 — the whole path is longer than a call takes
            os.chdir(name)
        Path("x").write_bytes(b"x")
    finally:
        os.chdir(here)
    job = make_job(make_connector(sshd.target(source)))
    record = run(job)
    assert (record.state, record.error_code) == (State.PARTIAL, "path_too_long")
    assert set(digests_of(job.dataset)) == {"a.txt"}


def test_a_release_covers_what_the_person_saw_and_no_more(sshd: Sshd, source: Path) -> None:
    """P5: the source is emptied between the hold and its release."""
    fill(source, {f"{n}.txt": b"x" for n in range(20)})
    job = make_job(make_connector(sshd.target(source)))
    run(job)
    for n in range(4):
        (source / f"{n}.txt").unlink()
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.mass_removal")
    assert record.hold is not None
    assert record.hold["files"] == 4
    shutil.rmtree(source)
    source.mkdir()
    release(record.pk, by="a person")
    assert execute(record.pk, Heart("test")) is State.HELD
    record.refresh_from_db()
    assert (record.verdict, len(digests_of(job.dataset))) == ("guard.empty_listing", 20)


def test_what_limits_leave_out_stays_as_it_is_held(sshd: Sshd, source: Path) -> None:
    fill(source, {"a.txt": b"small", "b.txt": b"b"})
    job = make_job(make_connector(sshd.target(source)), max_file_size_bytes=100)
    run(job)
    fill(source, {"a.txt": b"x" * 200}, age_s=1800)
    record = run(job)
    assert (record.files_removed, record.files_skipped) == (0, 1)
    assert set(digests_of(job.dataset)) == {"a.txt", "b.txt"}


def cut_at_half(patch: pytest.MonkeyPatch) -> None:
    """The connection breaks when 2 MiB of a file are here."""
    write = StoreReceiver.write

    def write_or_break(self: StoreReceiver, data: bytes) -> None:
        if self.offset >= 2 << 20:
            raise ConnectionResetError("cut")
        write(self, data)

    patch.setattr(StoreReceiver, "write", write_or_break)


def replace_unseen(file: Path, content: bytes) -> None:
    """Under the time that it had; the size is to be the same."""
    stat = file.stat()
    file.write_bytes(content)
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.parametrize("how", [SyncMode.FULL, Comparison.CHECKSUM])
def test_who_trusts_no_metadata_goes_on_from_no_bytes_that_they_vouch_for(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """An attempt is cut; the source is replaced under equal size and time; then a full sync."""
    fill(source, {"large.bin": b"a" * (4 << 20)})
    comparison = Comparison.CHECKSUM if how == Comparison.CHECKSUM else Comparison.MODIFIED
    job = make_job(make_connector(sshd.target(source)), comparison=comparison)
    with monkeypatch.context() as patch:
        cut_at_half(patch)
        assert run(job).state == State.FAILED
    replace_unseen(source / "large.bin", b"b" * (4 << 20))
    mode = SyncMode.FULL if how == SyncMode.FULL else None
    assert run(job, mode=mode).state == State.SUCCEEDED
    assert digests_of(job.dataset) == digests_below(source)


@pytest.mark.parametrize("replaced", [True, False])
def test_a_part_is_joined_to_no_file_but_its_own(
    sshd: Sshd, source: Path, monkeypatch: pytest.MonkeyPatch, *, replaced: bool
) -> None:
    """An attempt is cut; the source may be replaced under equal size and time; then an ordinary sync."""
    file = source / "large.bin"
    fill(source, {file.name: os.urandom(4 << 20)})
    job = make_job(make_connector(sshd.target(source)))
    with monkeypatch.context() as patch:
        cut_at_half(patch)
        assert run(job).state == State.FAILED
    if replaced:
        replace_unseen(file, os.urandom(4 << 20))
    record = run(job)
    assert (record.state, digests_of(job.dataset)) == (State.SUCCEEDED, digests_below(source))
    assert (record.bytes_transferred == 4 << 20) is replaced  # else what was here was gone on with
