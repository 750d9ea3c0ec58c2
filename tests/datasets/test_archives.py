"""A version as a ZIP: every program opens it, names hurt nobody, and what is damaged opens nowhere."""

from __future__ import annotations

import io
import os
import subprocess
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from django.conf import settings

from datasets import archives
from datasets.archives import Archive, NothingHeld, VersionGone, name_archive, name_member
from datasets.models import Dataset, Entry, Version
from datasets.store import ensure_store
from farends import names
from store.errors import StoreError
from tests.console.conftest import make_blob
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

LONG = (
    os.urandom(1 << 20) + b"text " * 1_000_000
)  # several blocks, of which the first cannot be squeezed
SQUEEZED = b"a line of a table;1;2\n" * 200_000
FILES = {
    "empty": b"",
    "readme.txt": b"read me " * 100,
    "a/long.bin": LONG,
    "a/table.csv": SQUEEZED,
    "a/b/häuser.txt": b"text",
    "z": b"last",
}
SECOND_NS = 10**9


def hold_files(workspace: Workspace, files: dict[str, bytes], name: str = "held") -> Version:
    ensure_store()
    dataset = Dataset.objects.create(workspace=workspace, name=name)
    for path, content in files.items():
        Entry.objects.create(
            dataset=dataset,
            path=path,
            size_bytes=len(content),
            modified_ns=1_700_000_001 * SECOND_NS,
            sha256=make_blob(workspace, content),
            since=1,
        )
    return Version.objects.create(
        dataset=dataset,
        number=1,
        file_count=len(files),
        size_bytes=sum(map(len, files.values())),
    )


@pytest.fixture
def workspace(transactional_db: None) -> Workspace:
    return Workspace.objects.create(name="acme")


def read_zip(pieces: Iterable[bytes]) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(pieces)))


def contents_of(archive: zipfile.ZipFile) -> dict[str, bytes]:
    return {name: archive.read(name) for name in archive.namelist()}


def test_python_and_unzip_open_it(workspace: Workspace, tmp_path: Path) -> None:
    version = hold_files(workspace, FILES)
    made = tmp_path / "held.zip"
    made.write_bytes(b"".join(Archive(version)))
    with zipfile.ZipFile(made) as archive:
        assert contents_of(archive) == FILES
        assert archive.getinfo("z").date_time == (2023, 11, 14, 22, 13, 20)
        assert archive.getinfo("z").external_attr >> 16 == 0o100644
    assert made.stat().st_size < sum(map(len, FILES.values())) - 4_000_000  # tables are squeezed
    tested = subprocess.run(["unzip", "-t", made], capture_output=True, text=True, check=False)
    assert tested.returncode == 0, tested.stdout
    assert f"No errors detected in compressed data of {made}" in tested.stdout


def test_a_program_that_reads_it_as_it_comes_finds_every_file(workspace: Workspace) -> None:
    """bsdtar reads headers in front of files; the directory at the end is too late for it."""
    version = hold_files(workspace, FILES)
    told = subprocess.run(
        ["bsdtar", "-t", "-f", "-"],
        input=b"".join(Archive(version)),
        capture_output=True,
        check=True,
    )
    assert set(told.stdout.decode().split()) == set(FILES)


def test_only_what_begins_so_is_in_it(workspace: Workspace) -> None:
    version = hold_files(workspace, FILES)
    assert set(contents_of(read_zip(Archive(version, "a/")))) == {
        "a/long.bin",
        "a/table.csv",
        "a/b/häuser.txt",
    }
    with pytest.raises(NothingHeld):
        Archive(version, "nowhere/")
    assert name_archive(version, "a/b/") == "held-a-b v1.zip"
    assert name_archive(version) == "held v1.zip"


def test_many_files_and_large_offsets_need_the_longer_form(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The bounds of the short form are lowered, and nothing else: what is written then must be what programs read."""
    monkeypatch.setattr(archives, "_LONG_BYTES", 1 << 20)
    version = hold_files(workspace, FILES)
    made = tmp_path / "long.zip"
    made.write_bytes(b"".join(Archive(version)))
    with zipfile.ZipFile(made) as archive:
        assert contents_of(archive) == FILES
        assert archive.getinfo("a/long.bin").extract_version == 45
    assert subprocess.run(["unzip", "-tqq", made], check=False).returncode == 0


def test_seventy_thousand_files_fit(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(archives, "PAGE", 10_000)
    version = hold_files(workspace, {"first": b"x"})
    first = Entry.objects.get(dataset=version.dataset)
    Entry.objects.bulk_create(
        Entry(dataset=version.dataset, path=f"f/{n:05}", size_bytes=1, sha256=first.sha256, since=1)
        for n in range(70_000)
    )
    Version.objects.filter(pk=version.pk).update(file_count=70_001)
    version.refresh_from_db()
    made = tmp_path / "many.zip"
    made.write_bytes(b"".join(Archive(version)))
    with zipfile.ZipFile(made) as archive:
        assert len(archive.namelist()) == 70_001
        assert archive.read("f/69999") == b"x"
    assert subprocess.run(["unzip", "-tqq", made], check=False).returncode == 0


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("a/b.txt", "a/b.txt"),
        ("häuser/日本.txt", "häuser/日本.txt"),
        ("a\\..\\b.txt", "a_.._b~*.txt"),
        ("c:/x", "c_/x~*"),
        ("turned \u202etxt.exe", "turned _txt~*.exe"),
        ("line\nend", "line_end~*"),
        (names.to_text(names.decode(b"bad-\xff.txt")), "bad-_~*.txt"),
        ("dots. /x", "dots__/x~*"),
        (".hidden", ".hidden"),
    ],
)
def test_the_names_in_it_hurt_nobody(path: str, name: str) -> None:
    given = name_member(path)
    before, star, behind = name.partition("*")
    assert given.startswith(before)
    assert given.endswith(behind)
    assert len(given) == len(before) + len(behind) + (8 if star else 0)


def test_names_that_are_changed_stay_apart() -> None:
    assert len({name_member(path) for path in ("a?", "a*", "a_", "a\n")}) == 4


def test_damage_is_told_before_the_first_byte_or_breaks_it_off(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "PAGE", 1)
    lost = hold_files(workspace, {"lost": b"some"}, "one")
    Entry.objects.filter(dataset=lost.dataset).update(sha256=b"\1" * 32)
    with pytest.raises(StoreError):
        Archive(lost)
    later = hold_files(workspace, FILES, "two")
    Entry.objects.filter(dataset=later.dataset, path="z").update(sha256=b"\1" * 32)
    archive = Archive(later)
    received: list[bytes] = []
    with pytest.raises(StoreError):
        received.extend(archive)
    with pytest.raises(zipfile.BadZipFile):
        read_zip(received)


def test_a_version_that_goes_meanwhile_breaks_it_off(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "PAGE", 3)
    archive = Archive(version := hold_files(workspace, FILES))
    next(archive)
    Version.objects.filter(pk=version.pk).delete()
    with pytest.raises(VersionGone):
        list(archive)


def test_a_newer_version_does_not_mix_into_it(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "PAGE", 3)
    archive = Archive(version := hold_files(workspace, FILES))
    pieces = [next(archive)]
    Entry.objects.filter(dataset=version.dataset, path="z").update(until=2)
    Entry.objects.create(
        dataset=version.dataset, path="zz", size_bytes=0, sha256=make_blob(workspace, b""), since=2
    )
    Version.objects.filter(pk=version.pk).update(is_current=False)
    Version.objects.create(dataset=version.dataset, number=2, file_count=6, size_bytes=0)
    assert contents_of(read_zip([*pieces, *archive])) == FILES


def test_closing_it_frees_its_files(workspace: Workspace) -> None:
    version = hold_files(workspace, FILES)

    def open_files() -> set[str]:
        files = (file for file in Path("/proc/self/fd").iterdir() if file.is_symlink())
        places = {f"{file.name} {file.readlink()}" for file in files}
        return {place for place in places if str(settings.STORE_ROOT) in place}

    before = open_files()
    archive = Archive(version)
    assert open_files() - before
    archive.close()
    assert not open_files() - before
    assert list(archive) == []
