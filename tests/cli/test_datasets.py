"""`diff` and `scrub`, on versions that were really synced and blobs that are really damaged."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection

from datasets.models import DamagedBlob, Entry, PackedBlob
from datasets.store import open_store
from store.checked import Damage
from store.sentinel import SENTINEL
from syncjobs.models import SyncJob
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, make_workspace, run

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = b"large" * 100_000
FILES = {f"{n:02}.txt": b"%d" % n for n in range(20)} | {"large.bin": LARGE, "copy.bin": LARGE}


@pytest.fixture
def job(sshd: Sshd, tmp_path: Path) -> SyncJob:
    """Two versions: one file is changed, one removed, one added."""
    source = tmp_path / "source"
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    fill(source, {"00.txt": b"changed", "two\nlines.txt": b"new"}, age_s=1800)
    (source / "large.bin").unlink()
    run(job)
    return job


def call(*words: str) -> int:
    """The exit status."""
    code: Any = 0
    try:
        call_command(*words)
    except SystemExit as exc:
        code = exc.code
    except CommandError as exc:
        code = exc.returncode
    return int(code)


def test_diff_lists_what_differs(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diff", "files", "1", "2") == 1
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        "changed  00.txt",
        "removed  large.bin",
        "added    two\\nlines.txt",
    ]
    assert "v1 to v2: 1 added, 1 changed, 1 removed" in told.err
    assert call("diff", "files", "2", "1") == 1
    assert "added    large.bin" in capsys.readouterr().out
    assert call("diff", "files", "2", "2") == 0
    assert capsys.readouterr().out == ""


def test_diff_as_json(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("diff", "files", "1", "2", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["dataset"], told["from"], told["to"]) == ("files", 1, 2)
    assert (told["added"], told["changed"], told["removed"]) == (1, 1, 1)
    changed, removed, added = told["items"]
    assert (changed["before"]["size_bytes"], changed["after"]["size_bytes"]) == (1, 7)
    assert (removed["after"], added["before"]) == (None, None)
    assert call("diff", "files", "1", "1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["items"] == []


@pytest.mark.parametrize("words", [["files", "1", "9"], ["fils", "1", "2"]])
def test_diff_of_what_is_not_there_is_trouble(job: SyncJob, words: list[str]) -> None:
    assert call("diff", *words) == 2
    with pytest.raises(CommandError, match=r"version 9|there are: files"):
        call_command("diff", *words)


def damage_large(how: str) -> None:
    entry = Entry.objects.filter(path="copy.bin").get()
    blob = open_store(entry.dataset.workspace_id).path(bytes(entry.sha256))
    if how == "missing":
        blob.unlink()
    else:
        blob.write_bytes(LARGE[:-1] + b"!")  # as long as before


def flip_packed(path: str, version: int | None = None) -> None:
    """One bit of a small file, in the pack that it lies in; of the current version, or of the first."""
    rows = Entry.objects.filter(path=path)
    entry = (rows.filter(since=version) if version else rows.filter(until=None)).get()
    place = PackedBlob.objects.get(sha256=entry.sha256)
    pack = settings.STORE_ROOT / str(place.workspace_id) / "packs" / f"{place.pack.hex}.pack"
    content = bytearray(pack.read_bytes())
    content[place.offset] ^= 1
    pack.write_bytes(content)


def test_scrub_finds_nothing_where_nothing_is_wrong(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("scrub") == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert f"{Entry.objects.values('sha256').distinct().count()} contents read" in told.err
    assert call("scrub", "files", "--json") == 0
    assert json.loads(capsys.readouterr().out)["findings"] == []


@pytest.mark.parametrize("how", ["missing", "corrupt"])
def test_scrub_tells_the_files_and_versions_of_a_damaged_blob(
    job: SyncJob, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    damage_large(how)
    assert call("scrub", "files") == 1
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        f"{how:<10} acme/files v1 to now: copy.bin",
        f"{how:<10} acme/files v1: large.bin",
    ]
    assert f"2 {how}" in told.err


def test_scrub_finds_one_bit_in_a_pack(job: SyncJob, capsys: pytest.CaptureFixture[str]) -> None:
    flip_packed("07.txt")
    assert call("scrub", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    (found,) = told["findings"]
    assert (found["damage"], found["path"], found["workspace"]) == ("corrupt", "07.txt", "acme")
    assert (found["first_version"], found["last_version"]) == (1, None)
    assert (told["corrupt"], told["missing"], told["unreadable"]) == (1, 0, 0)


def test_scrub_in_batches_reads_each_content_once(
    job: SyncJob, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.scrubbing.AT_ONCE", 4)
    damage_large("missing")
    flip_packed("07.txt")
    assert call("scrub", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["contents"] == Entry.objects.values("sha256").distinct().count()
    assert sorted(each["path"] for each in told["findings"]) == ["07.txt", "copy.bin", "large.bin"]


def test_scrub_keeps_to_its_workspace_and_dataset(job: SyncJob, sshd: Sshd, tmp_path: Path) -> None:
    fill(tmp_path / "lab", {"a.txt": b"of the lab"})
    other = make_job(make_connector(sshd.target(tmp_path / "lab"), workspace="lab"), name="lab")
    run(other)
    damage_large("missing")
    assert call("scrub", "--workspace", "lab") == 0
    assert call("scrub", "lab", "--workspace", "lab") == 0
    assert call("scrub", "--workspace", "acme") == 1
    assert call("scrub") == 1
    assert call("scrub", "none", "--workspace", "acme") == 2
    assert call("scrub", "files") == 2  # of which workspace?


def test_a_store_that_is_not_mounted_is_trouble_and_no_list_of_missing_files(
    job: SyncJob, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    sentinel = settings.STORE_ROOT / SENTINEL
    sentinel.rename(tmp_path / "away")
    try:
        assert call("scrub") == 2
        assert capsys.readouterr().out == ""
    finally:
        (tmp_path / "away").rename(sentinel)
        make_workspace()


def test_the_session_is_as_impatient_as_before(job: SyncJob) -> None:
    def timeout() -> Any:
        with connection.cursor() as cursor:
            cursor.execute("SHOW statement_timeout")
            return cursor.fetchone()

    before = timeout()
    call("scrub")
    assert timeout() == before


def test_scrub_says_what_could_be_repaired(
    job: SyncJob, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_packed("07.txt")
    flip_packed("00.txt", version=1)
    assert call("scrub", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert {each["path"]: each["repairable"] for each in told["findings"]} == {
        "00.txt": False,
        "07.txt": True,
    }
    assert DamagedBlob.objects.count() == 2
    assert call("scrub") == 1
    assert "its source may still have it" in capsys.readouterr().out


@pytest.mark.parametrize("how", ["missing", "corrupt"])
def test_scrub_repairs_what_the_source_still_has(
    job: SyncJob, capsys: pytest.CaptureFixture[str], how: str
) -> None:
    damage_large(how)  # of a file that is there, and of one that only the first version has
    flip_packed("07.txt")
    assert call("scrub", "files", "--repair") == 0
    told = capsys.readouterr()
    assert "2 contents repaired" in told.err
    assert "not repaired" not in told.out
    record = job.records.latest("queued_at")
    assert (record.requested_by, record.state, record.files_changed) == (
        "scrub --repair",
        "succeeded",
        0,
    )
    assert call("scrub") == 0
    assert not DamagedBlob.objects.exists()
    assert job.dataset.versions.count() == 2


def test_scrub_says_what_it_could_not_repair(
    job: SyncJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("05.txt", "07.txt"):
        flip_packed(name)
    flip_packed("00.txt", version=1)
    fill(tmp_path / "source", {"07.txt": b"other content"}, age_s=60)
    assert call("scrub", "--repair", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert told["repaired"] == 1
    assert {each["path"]: each["reason"] for each in told["not_repaired"]} == {
        "00.txt": "no current version has it, so no source is known to",
        "07.txt": "files: its source has other content by now",
    }


def test_scrub_says_why_a_source_gave_nothing(
    job: SyncJob, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_packed("07.txt")
    (tmp_path / "source").rename(tmp_path / "away")
    assert call("scrub", "--repair") == 1
    assert "ended as failed" in capsys.readouterr().out


def test_a_mark_goes_where_the_content_is_whole(job: SyncJob) -> None:
    entry = Entry.objects.get(path="07.txt")
    DamagedBlob.objects.create(
        workspace=job.workspace, sha256=entry.sha256, damage=Damage.UNREADABLE
    )
    assert call("scrub") == 0
    assert not DamagedBlob.objects.exists()
