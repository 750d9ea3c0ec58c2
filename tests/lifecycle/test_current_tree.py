"""Item 14: a plain tree that follows the dataset."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from pytest_django import Settings

from datasets.trees import PART
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import CurrentTree, SyncJob, SyncRecord
from syncjobs.upkeep.rollback import roll_back
from tests.hosts.sshd import Sshd
from tests.processes.conftest import environment
from tests.rows import digests_below, fill, make_connector, make_job, run
from tests.tmpfs import mounted

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).parents[2]
KILLS = os.environ.get("KILLS", "40")


@pytest.fixture
def root(tmp_path: Path, settings: Settings) -> Path:
    folder = tmp_path / "trees"
    folder.mkdir()
    settings.TREE_ROOT = folder
    return folder


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    files = {f"d{n % 7}/f{n:03}.txt": b"file %d" % n for n in range(200)}
    fill(folder, files | {"a-b": b"1", "a/b": b"2", "größe/ü": b"3", "a.c": b"4"})
    return folder


@pytest.fixture
def job(sshd: Sshd, source: Path, root: Path) -> SyncJob:
    return make_job(make_connector(sshd.target(source)), name="files", current_tree="our/files")


def succeed(job: SyncJob) -> SyncRecord:
    record = run(job)
    assert record.state == State.SUCCEEDED, record.error
    return record


def marks_below(folder: Path) -> dict[str, tuple[int, int]]:
    """What a file is that was not written again: its inode, and when that last changed."""
    seen = {str(path.relative_to(folder)): path.lstat() for path in folder.rglob("*")}
    return {
        name: (stat.st_ino, stat.st_ctime_ns)
        for name, stat in seen.items()
        if (folder / name).is_file()
    }


def test_item_14_the_tree_is_the_source_with_its_names_and_times(
    job: SyncJob, source: Path, root: Path
) -> None:
    assert succeed(job).warning == ""
    tree = root / "our" / "files"
    assert digests_below(tree) == digests_below(source)
    assert (tree / "d0" / "f000.txt").stat().st_mode & 0o7777 == 0o644
    for path in source.rglob("*"):
        if path.is_file():
            copy = tree / path.relative_to(source)
            assert int(copy.stat().st_mtime) == int(path.stat().st_mtime)
    kept = CurrentTree.objects.get(job=job)
    assert (kept.version, kept.target, kept.warning) == (1, None, "")


def test_item_14_only_what_differs_is_touched(job: SyncJob, source: Path, root: Path) -> None:
    succeed(job)
    tree = root / "our" / "files"
    before = marks_below(tree)
    fill(source, {"d1/f001.txt": b"changed", "new/one.txt": b"new"})
    (source / "d2" / "f002.txt").unlink()
    succeed(job)
    after = marks_below(tree)
    assert digests_below(tree) == digests_below(source)
    assert {name for name in after if before.get(name) != after[name]} == {
        "d1/f001.txt",
        "new/one.txt",
    }
    succeed(job)  # nothing changed: nothing is touched
    assert marks_below(tree) == after


def test_item_14_folders_that_are_empty_go_and_files_and_folders_change_places(
    job: SyncJob, source: Path, root: Path
) -> None:
    fill(source, {"lone/deep/x.txt": b"x"})
    succeed(job)
    tree = root / "our" / "files"
    (source / "lone" / "deep" / "x.txt").unlink()
    (source / "lone" / "deep").rmdir()
    (source / "lone").rmdir()
    (source / "a" / "b").unlink()
    (source / "a").rmdir()
    fill(source, {"a": b"a file now"})
    (source / "a-b").unlink()
    fill(source, {"a-b/inner": b"a folder now"})
    succeed(job)
    assert digests_below(tree) == digests_below(source)
    assert not (tree / "lone").exists()


def test_item_14_what_a_person_changed_is_put_back_and_told(
    job: SyncJob, source: Path, root: Path
) -> None:
    succeed(job)
    tree = root / "our" / "files"
    (tree / "d0" / "f000.txt").write_bytes(b"mine!!!")
    (tree / "d1" / "f001.txt").unlink()
    (tree / "d1" / "note.txt").write_bytes(b"not the dataset's")
    (tree / f"{PART}1-1").write_bytes(b"what a dead process left")
    record = succeed(job)
    assert "2 files that somebody had changed there were put back" in record.warning
    assert "1 files that are not the dataset's lie there" in record.warning
    (tree / "d1" / "note.txt").unlink()
    assert digests_below(tree) == digests_below(source)
    assert succeed(job).warning == ""


def test_item_14_a_folder_exchanged_for_a_link_leads_nothing_out(
    job: SyncJob, source: Path, root: Path, tmp_path: Path
) -> None:
    succeed(job)
    tree, outside = root / "our" / "files", tmp_path / "outside"
    fill(outside, {"f000.txt": b"precious"})
    (tree / "d0").rename(tmp_path / "moved")
    (tree / "d0").symlink_to(outside)
    fill(source, {"d0/f000.txt": b"new"})
    succeed(job)
    assert (outside / "f000.txt").read_bytes() == b"precious"
    assert digests_below(tree) == digests_below(source)
    assert not (tree / "d0").is_symlink()


def test_item_14_a_tree_that_is_a_link_is_refused(job: SyncJob, root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (root / "our").symlink_to(tmp_path / "elsewhere")
    record = succeed(job)
    assert "is a link or a file, and no folder" in record.warning
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_item_14_a_folder_with_files_of_others_is_left_alone(job: SyncJob, root: Path) -> None:
    fill(root / "our" / "files", {"mine.txt": b"precious"})
    record = succeed(job)
    assert "is not empty, and was not made by this job" in record.warning
    assert digests_below(root / "our" / "files").keys() == {"mine.txt"}
    assert "is not empty" in CurrentTree.objects.get(job=job).warning
    assert "is not empty" in succeed(job).warning  # nor is it taken over by the next
    assert digests_below(root / "our" / "files").keys() == {"mine.txt"}
    (root / "our" / "files" / "mine.txt").unlink()
    assert succeed(job).warning == ""


@pytest.mark.parametrize("path", ["our", "our/files", "our/files/deeper"])
def test_item_14_two_jobs_never_share_a_tree(job: SyncJob, path: str) -> None:
    assert job.connector is not None
    other = make_job(job.connector, name="other", current_tree="")
    other.current_tree = path
    with pytest.raises(ValidationError, match="another job keeps its tree"):
        save_job(other)
    other.current_tree = "our/filesystem"
    save_job(other)


def test_item_14_without_a_root_no_job_keeps_a_tree(job: SyncJob, settings: Settings) -> None:
    settings.TREE_ROOT = None
    with pytest.raises(ValidationError, match="TREE_ROOT"):
        save_job(job)
    assert "TREE_ROOT is not set" in succeed(job).warning


@pytest.mark.parametrize("path", ["/etc", "../up", "a//b", "a/./b", "a/"])
def test_item_14_a_path_stays_below_the_root(job: SyncJob, path: str) -> None:
    job.current_tree = path
    with pytest.raises(ValidationError):
        job.full_clean()


def test_item_14_follow_brings_the_tree_to_a_rollback(
    job: SyncJob, source: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    succeed(job)
    first = digests_below(source)
    fill(source, {"d1/f001.txt": b"changed"})
    succeed(job)
    roll_back(job.dataset_id, 1, by="a person")
    capsys.readouterr()
    call_command("checkout", "files", "--follow", "--json")
    told = json.loads(capsys.readouterr().out)
    assert (told["version"], told["written"], told["put_back"]) == (3, 1, 0)
    assert digests_below(root / "our" / "files") == first
    with pytest.raises(CommandError, match="neither"):
        call_command("checkout", "files", "--follow", str(root))
    SyncJob.objects.update(current_tree="")
    with pytest.raises(CommandError, match="keeps no tree"):
        call_command("checkout", "files", "--follow")


def test_item_14_one_process_at_a_time_writes_it(job: SyncJob, source: Path, root: Path) -> None:
    succeed(job)
    fill(source, {"d1/f001.txt": b"changed"})
    lock = os.open(root / ".syncproject" / job.pk.hex, os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    assert "another process still writes it" in succeed(job).warning
    assert CurrentTree.objects.get(job=job).version == 1
    os.close(lock)
    assert succeed(job).warning == ""
    assert digests_below(root / "our" / "files") == digests_below(source)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    with mounted(tmp_path / "small", "size=1m") as disk:
        yield disk.folder


def test_item_14_a_full_disk_fails_no_record_and_is_made_good(
    job: SyncJob, source: Path, small: Path, settings: Settings
) -> None:
    settings.TREE_ROOT = small
    fill(source, {"large.bin": os.urandom(3 << 20), "z.txt": b"behind it"})
    record = succeed(job)
    assert "No space left on device" in record.warning
    kept = CurrentTree.objects.get(job=job)
    assert (kept.version, kept.target) == (None, 1)
    (source / "large.bin").unlink()
    assert succeed(job).warning == ""
    assert digests_below(small / "our" / "files") == digests_below(source)


def test_item_14_whoever_is_killed_leaves_what_the_next_makes_whole(
    job: SyncJob, source: Path, root: Path, settings: Settings
) -> None:
    succeed(job)
    fill(source, {f"d{n % 7}/f{n:03}.txt": b"second %d" % n for n in range(0, 200, 3)})
    succeed(job)
    for n in range(1, 20, 2):
        (source / f"d{n % 7}" / f"f{n:03}.txt").unlink()
    fill(source, {f"new/{n}": b"third" for n in range(40)})
    succeed(job)
    command = [sys.executable, "-m", "tests.lifecycle.tree_kills", "1", KILLS, str(job.pk)]
    told = subprocess.run(
        command,
        cwd=ROOT,
        env=environment(TREE_ROOT=str(root), DATA_DIR=str(settings.STORE_ROOT.parent)),
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    assert found["kills"] >= int(KILLS)
    assert found["torn"] == 0, found


def test_item_14_a_statement_that_takes_too_long_fails_no_record(
    job: SyncJob, source: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    too_long = "SET LOCAL statement_timeout = 1; SELECT pg_sleep(5)"
    with monkeypatch.context() as patch:
        patch.setattr("syncjobs.works.files.trees._DROP_GONE", too_long)
        assert "a statement took too long" in succeed(job).warning
    assert succeed(job).warning == ""
    assert digests_below(root / "our" / "files") == digests_below(source)
