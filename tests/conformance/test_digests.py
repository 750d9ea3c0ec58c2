"""What every transport promises of digests that the far end computes, and what syncs make of them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from farends.contract import RemoteEntry, Transport
from syncjobs.core.comparing import Comparison
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.conformance.hosts import Tree
from tests.conformance.test_transports import (
    AWKWARD_NAMES,
    MODIFIED_S,
    Opened,
    fetched,
    listed,
    need_metadata,
)
from tests.rows import digests_below, digests_of, make_connector, make_job, run

SETTLED_S = MODIFIED_S


def told(transport: Transport, entries: list[RemoteEntry]) -> dict[str, bytes | None]:
    answers = list(transport.digests(iter(entries)))
    assert sorted(a.entry.path for a in answers) == sorted(entry.path for entry in entries)
    return {answer.entry.path: answer.sha256 for answer in answers}


def test_digests_are_of_the_content_or_none(tree: Tree, opened: Opened) -> None:
    contents = {name: name.encode() for name in AWKWARD_NAMES}
    contents |= {f"many/{n}": os.urandom(n * 100) for n in range(1, 300)}
    for name, content in contents.items():
        tree.put(name, content)
    transport = opened()
    found = listed(transport, tree)
    for path, digest in told(transport, list(found.values())).items():
        assert digest in (None, hashlib.sha256(contents[path]).digest())
        if tree.host.digests and path.startswith("many/"):
            assert digest is not None
    assert bool(transport.capabilities.digests) is tree.host.digests
    assert told(transport, []) == {}
    assert all(a.error is None for a in fetched(transport, list(found.values())).values())


def test_the_digest_of_what_is_gone_or_no_file_is_none(tree: Tree, opened: Opened) -> None:
    tree.put("file", b"x")
    tree.put("gone", b"x")
    tree.put("turned", b"x")
    transport = opened()
    found = listed(transport, tree)
    (tree.folder / "gone").unlink()
    (tree.folder / "turned").unlink()
    os.mkfifo(tree.folder / "turned")
    if not tree.host.links:
        del found["turned"]  # a web server would open the FIFO
    answers = told(transport, list(found.values()))
    assert answers["gone"] is None
    assert answers.get("turned") is None
    assert (answers["file"] is not None) is tree.host.digests


def replace_quietly(path: Path, content: bytes) -> None:
    """Equal size, equal time."""
    stat = path.stat()
    assert len(content) == stat.st_size
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.mark.django_db(transaction=True)
def test_a_quiet_change_of_one_byte_is_found_by_checksum(tree: Tree) -> None:
    """And where the far end computes digests, nothing else is fetched."""
    need_metadata(tree)
    contents = {f"folder {n % 3}/{n}.txt": os.urandom(1000 + n) for n in range(20)}
    for name, content in contents.items():
        tree.put(name, content, modified_s=SETTLED_S)
    connector = make_connector(tree.host.target(tree.folder), kind=tree.host.spec.kind)
    job = make_job(connector, comparison=Comparison.CHECKSUM)
    assert run(job).files_added == 20

    unchanged = run(job)
    assert (unchanged.state, unchanged.files_unchanged) == (State.SUCCEEDED, 20)
    assert unchanged.dataset_version == 1
    path = tree.folder / "folder 1/7.txt"
    replace_quietly(path, bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    job.comparison = Comparison.MODIFIED
    job.save()
    assert quiet(run(job))

    job.comparison = Comparison.CHECKSUM
    job.save()
    record = run(job)
    assert (record.state, record.files_changed, record.files_unchanged) == (State.SUCCEEDED, 1, 19)
    assert digests_of(job.dataset) == digests_below(tree.folder)
    if tree.host.digests:
        assert unchanged.bytes_transferred == 0
        assert record.bytes_transferred == path.stat().st_size


def quiet(record: SyncRecord) -> bool:
    return (record.state, record.files_changed) == (State.SUCCEEDED, 0)
