"""The format of a batch is rsync's own affair: each version here, and before each version there, is held to what
`farends.rsync.batch` knows of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from farends.contract import RemoteEntry
from farends.names import encode
from farends.rsync import fetch as rsync_fetch
from farends.rsync.batch import RsyncBatch, Sent
from farends.rsync.transport import SPEC
from farends.rsync.version import version_note
from tests.hosts.rsyncd import Rsyncd, find_programs, running_rsyncd
from tests.hosts.sinks import DigestSink, digest_of, loopback_context

PROGRAMS = find_programs()
PIECE = bytes(range(256)) * 4
TREE: dict[str, bytes] = {
    # sizes at the borders of rsync's numbers of one, two, three and four bytes, and of its pieces
    **{
        f"sizes/{size}": (PIECE * (size // len(PIECE) + 1))[:size]
        for size in (0, 1, 127, 128, 255, 256, 16_383, 16_384, 32_768, 65_535, 65_536, 262_145)
    },
    "sizes/more than a piece": os.urandom(3_000_001),
    # names: one that shares more than a byte can count with the one before, odd ones, one byte, as long as can be
    **{f"names/{'n' * 250}{number}": b"long" for number in range(3)},
    "names/x": b"x",
    "names/two\nlines \\#012 and \\ a sign": b"odd",
    "names/\udcff\udc80 no text": b"bytes",
    "names/ " + "ü" * 100: b"wide",
    "deep/" + "d/" * 100 + "file": b"below 100 folders",
    "jump/before": b"1", "jump/z/behind": b"2",
    **{f"many/{number:04}": b"%d" % number for number in range(600)},
    # a folder's files come before its folders, whatever their names
    "order/b/first": b"1", "order/a": b"2", "order/b.x": b"3", "order/c/d": b"4",
}  # fmt: skip
# Listed and not sent, so that the numbers of the two files beside them differ by more than a byte counts.
UNREADABLE = {f"jump/behave{number:03}" for number in range(900)}
MOMENTS = (0, 1, 1_600_000_000, 2_147_483_648, 4_294_967_297)  # of seconds; with and without a part
MODES = (0o644, 0o755, 0o444, 0o604)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    root.chmod(0o755)
    for number, (name, content) in enumerate(TREE.items()):
        path = root / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        path.chmod(MODES[number % len(MODES)])
        moment = MOMENTS[number % len(MOMENTS)] * 10**9 + (number % 2) * 123_456_789
        os.utime(path, ns=(moment, moment))
    for name in UNREADABLE:
        (root / "tree" / name).touch(mode=0)
    return root


@pytest.fixture(scope="module", params=PROGRAMS)
def there(
    request: pytest.FixtureRequest, served: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Rsyncd]:
    home = tmp_path_factory.mktemp("rsyncd")
    with running_rsyncd(home, served, program=PROGRAMS[request.param]) as running:
        yield running


@pytest.fixture(params=PROGRAMS)
def here(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    version: str = request.param
    monkeypatch.setenv("PATH", f"{PROGRAMS[version].parent}{os.pathsep}{os.environ['PATH']}")
    return version


@pytest.mark.parametrize("checksum", ["md5", "xxh128"])
def test_every_version_s_batch_is_read_to_its_last_byte(
    here: str, there: Rsyncd, checksum: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rsync_fetch, "_MD5_BYTES_MAX", 0 if checksum == "xxh128" else 10**9)
    verified: list[Sent] = []
    lists: list[int] = []
    read_list, next_file = RsyncBatch.read_list, RsyncBatch.next_file

    def note_list(batch: RsyncBatch) -> list[Sent]:
        found = read_list(batch)
        assert batch._checksum.name == checksum
        lists.append(len(found))
        return found

    def note_file(batch: RsyncBatch) -> Sent | None:
        if (sent := next_file(batch)) is not None:
            verified.append(sent)
        return sent

    monkeypatch.setattr(RsyncBatch, "read_list", note_list)
    monkeypatch.setattr(RsyncBatch, "next_file", note_file)
    transport = SPEC.open(there.target(there.served / "tree"), loopback_context())
    try:
        assert f"rsync {here}" in version_note()
        listed = [item for item in transport.walk() if isinstance(item, RemoteEntry)]
        answers = {one.entry.path: one for one in transport.fetch(listed, DigestSink())}
    finally:
        transport.close()
    assert {encode(path): one.receipt for path, one in answers.items()} == {
        **{os.fsencode(name): digest_of(content) for name, content in TREE.items()},
        **{os.fsencode(name): None for name in UNREADABLE},
    }
    # Each file came once, by its number in a list that also holds folders and what cannot be read.
    assert sorted(one.path for one in verified) == sorted(map(os.fsencode, TREE))
    assert {one.path: one.size_bytes for one in verified} == {
        os.fsencode(name): len(content) for name, content in TREE.items()
    }
    assert sum(lists) > len(TREE) + len(UNREADABLE) + 100


def test_the_rsync_in_path_is_among_them() -> None:
    assert next(iter(PROGRAMS.values())).name == "rsync"
