"""The rsync child reaches its own folder, programs and libraries, and nothing else of its user."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from children import confinement
from children.confinement import landlock_version
from farends.rsync import version as rsync_version
from farends.rsync.child import RsyncChild
from farends.rsync.version import version_note
from tests.hosts.sinks import loopback_context

CANARY = "canary-5d1e0f77aa"


def is_open_here() -> bool:
    """Without Landlock there is nothing to confine with, and the connection test says so."""
    if landlock_version():
        return False
    assert "the kernel has no Landlock" in version_note()
    return True


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """What else the user has: a file with a secret."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text(CANARY)
    return folder


def ended(child: RsyncChild) -> tuple[int, bytes]:
    said = []
    try:
        while child.running:
            said += child.poll()
        return child.wait(), b"\n".join([*said, *child.complaints])
    finally:
        child.close()


def run(home: Path, *words: str) -> tuple[int, bytes]:
    return ended(RsyncChild(words, home, b"", loopback_context(), {}))


def test_a_client_that_a_peer_has_taken_over_reads_and_writes_nothing_outside(
    home: Path, outside: Path
) -> None:
    """The real program, with the words that such a peer would choose."""
    if is_open_here():
        return
    (home / "own").write_text("own")
    code, _ = run(home, "rsync", "own", "copied")
    assert (code, (home / "copied").read_text()) == (0, "own")
    code, said = run(home, "rsync", str(outside / "secret"), "stolen")
    assert (code, (home / "stolen").exists()) == (23, False), said
    assert b"Permission denied" in said
    code, said = run(home, "rsync", "own", f"{outside}/")
    assert code != 0
    code, said = run(home, "rsync", "--remove-source-files", f"{outside}/secret", "stolen")
    assert code != 0
    assert [path.name for path in outside.iterdir()] == ["secret"]


@pytest.fixture
def taken_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program that runs whatever is written into it instead of rsync."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    program = bin_folder / "rsync"
    program.touch(mode=0o755)
    return program


@pytest.mark.parametrize(
    "attempt",
    [
        "cat {outside}/secret",
        "ls {outside}",
        "echo x >{outside}/new",
        "echo x >>{outside}/secret",
        "rm {outside}/secret",
        "mv {outside}/secret .",
        "ln {outside}/secret .",
        "ln -s {outside}/secret link; cat link",
        "mkdir {outside}/new",
        "mkfifo {outside}/new",
        "cat /proc/{pid}/environ",
        "kill -0 {pid}",
        "cat /etc/shadow",
        "ls /root /home /tmp",
        "echo x >/tmp/$$.new",
    ],
)
def test_nothing_that_is_tried_from_inside_works(
    home: Path, outside: Path, taken_over: Path, attempt: str
) -> None:
    if is_open_here():
        return
    command = attempt.format(outside=outside, pid=os.getpid())
    taken_over.write_text(f"#!/bin/sh\necho begun; {command} && echo reached; exit 0\n")
    code, said = run(home, "rsync")
    assert (code, said.split(b"\n")[0]) == (0, b"begun"), said
    assert b"reached" not in said
    assert CANARY.encode() not in said
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").read_text() == CANARY


def test_the_child_holds_no_descriptor_and_no_variable_of_ours(
    home: Path, outside: Path, taken_over: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_KEY", CANARY)
    monkeypatch.setenv("RSYNC_PASSWORD", CANARY)
    taken_over.write_text("#!/bin/sh\necho begun; read line\n")
    with (outside / "secret").open() as held:
        os.set_inheritable(held.fileno(), True)
        child = RsyncChild(["rsync"], home, bytes(1 << 20), loopback_context(), {"OWN": "1"})
        try:
            while not child.poll():
                pass
            proc = Path(f"/proc/{child._process.pid}")
            told = (proc / "environ").read_bytes().split(b"\0")
            names = {line.partition(b"=")[0] for line in told if line}
            opened = {str(link.readlink()) for link in (proc / "fd").iterdir()}
        finally:
            child.close()
    assert names - {b"PWD"} == {b"PATH", b"HOME", b"LC_ALL", b"TZ", b"OWN"}
    assert {name.partition(":")[0] for name in opened} - {str(taken_over)} == {"pipe"}


def test_the_child_keeps_no_more_than_a_host_may_cost(home: Path, taken_over: Path) -> None:
    dd = shutil.which("dd")
    taken_over.write_text(
        f"#!/bin/sh\nsleep 0.2\nfor mib in 300 600; do {dd} if=/dev/null bs=${{mib}}M count=1"
        " 2>/dev/null; echo $?; done\n"
    )
    code, said = run(home, "rsync")
    assert (code, said) == (0, b"0\n1")


def test_the_one_who_starts_it_keeps_what_it_can_do(home: Path, outside: Path) -> None:
    run(home, "rsync", "--version")
    assert (outside / "secret").read_text() == CANARY
    (outside / "new").write_text("x")


def test_a_kernel_without_landlock_is_told_of(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("Landlock" in version_note()) is is_open_here()
    monkeypatch.setattr(confinement, "landlock_version", lambda: 0)
    monkeypatch.setattr(rsync_version, "landlock_version", lambda: 0)
    assert "the kernel has no Landlock" in version_note()
    assert run(home, "rsync", "--version")[0] == 0
