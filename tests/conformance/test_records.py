"""Whole records over one real server of each transport: from its tree to a checked-out version, which
another program holds against the source."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import call_command
from pytest_django import Settings

from syncjobs.core.states import State
from syncjobs.models import SyncJob
from tests.conformance.hosts import Host, Tree
from tests.hosts.watch import strange_in_store
from tests.rows import digests_below, digests_of, make_connector, make_job, run

ONE_OF_EACH = [
    "openssh", "openssh-shell", "vsftpd", "proftpd-tls", "nginx-html", "nginx-tls", "rsync-daemon",
    "rclone-webdav", "mcp",
]  # fmt: skip
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.parametrize("host", ONE_OF_EACH, indirect=True),
]

RCLONE = Path(sys.executable).parent / "rclone"
LARGE_BYTES = 50 * 1024 * 1024


@pytest.fixture
def job(tree: Tree, settings: Settings, tmp_path: Path) -> SyncJob:
    """On the test's own folder of the host, into a store of its own."""
    settings.STORE_ROOT = tmp_path / "store"
    return make_job(make_connector(tree.host.target(tree.folder), kind=tree.host.spec.kind))


def rclone(*words: str) -> str:
    done = subprocess.run(
        [str(RCLONE), *words, "--config", ""], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout + done.stderr


def remote_of(host: Host, tree: Tree, home: Path) -> str | None:
    """The folder as rclone reads it from the host itself, where it speaks that protocol."""
    target = host.target(tree.folder)
    at = f"host={target.host},port={target.port}"
    if host.spec.kind == "sftp":
        key = home / "key"
        key.write_text(target.secret.private_key)
        key.chmod(0o600)
        user = target.options.username
        return f":sftp,{at},user={user},key_file={key},disable_hashcheck=true:{tree.folder}"
    if host.spec.kind == "ftp":
        password = rclone("obscure", "anonymous").strip()
        return f":ftp,{at},user=anonymous,pass={password}:{target.options.root}"
    if host.spec.kind == "http":
        return f":http,url='http://{target.host}:{target.port}{target.options.root}/':"
    if host.spec.kind == "webdav":
        return f":webdav,url='http://{target.host}:{target.port}{target.options.root}/':"
    return None


def test_p3_another_program_finds_no_difference(
    host: Host, tree: Tree, job: SyncJob, tmp_path: Path
) -> None:
    for name in ("with space.txt", "größe 日本語 😀.csv", "x" * 255, "é" * 127, "deep/er/est/file"):
        tree.put(f"folder {name[:9]}/{name}", name.encode() * 100)
    tree.put("empty")
    tree.put("large.bin", os.urandom(LARGE_BYTES))
    record = run(job)
    assert (record.state, record.error, record.files_added) == (State.SUCCEEDED, "", 7)
    checkout = tmp_path / "checkout"
    call_command("checkout", job.dataset.name, str(checkout))
    assert digests_below(checkout) == digests_below(tree.folder)
    remote = remote_of(host, tree, tmp_path)
    for source in (str(tree.folder), *([remote] if remote else [])):
        told = rclone("check", source, str(checkout), "--download")
        assert "0 differences found" in told
        assert "7 matching files" in told
    (checkout / "empty").write_bytes(b"x")  # the checker is checked, too
    with pytest.raises(AssertionError, match="1 differences found"):
        rclone("check", str(tree.folder), str(checkout), "--download")


def test_l07_modes_of_the_source_stay_there(
    tree: Tree, job: SyncJob, settings: Settings, tmp_path: Path
) -> None:
    for mode in (0o4755, 0o2777, 0o777, 0o444, 0o000):
        tree.put(f"{mode:o}", b"%o" % mode).chmod(mode)
    record = run(job)
    unread = {"0"} if record.files_failed else set()  # by a server that is not root
    assert {item.error_code for item in record.items.filter(action="failed")} <= {
        "permission_refused"
    }
    assert set(digests_of(job.dataset)) == {"4755", "2777", "777", "444", "0"} - unread
    assert strange_in_store(settings.STORE_ROOT) == []
    call_command("checkout", job.dataset.name, str(tmp_path / "checkout"))
    modes = {path.stat().st_mode & 0o7777 for path in (tmp_path / "checkout").iterdir()}
    assert modes == {0o644}


def test_n13_an_emptied_source_is_held_over_every_protocol(tree: Tree, job: SyncJob) -> None:
    for number in range(5):
        tree.put(f"folder/{number}", b"x")
    run(job)
    held = digests_of(job.dataset)
    shutil.rmtree(tree.folder / "folder")
    record = run(job)
    assert (record.state, record.verdict) == (State.HELD, "guard.empty_listing")
    assert digests_of(job.dataset) == held
    assert len(held) == 5
