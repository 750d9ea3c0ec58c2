"""A child of ours that is taken over gets hold of nothing: no secret, no file, no network, no memory."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

from children.confinement import Confinement, landlock_version
from children.starting import end_child, start_module

CANARY = "canary-0c3ef2"


def start(tmp_path: Path, what: str = "") -> subprocess.Popen[bytes]:
    (tmp_path / "secret").write_text(CANARY)
    words = [str(tmp_path / "secret"), str(tmp_path / "new"), what]
    return start_module(
        "tests.children.snooping", words, stdout=subprocess.PIPE, reach=Confinement()
    )


def test_a_child_that_was_taken_over_gets_hold_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", CANARY)
    child = start(tmp_path)
    try:
        said, _ = child.communicate()
    finally:
        end_child(child)
    assert json.loads(said) == {
        "environment": ["LC_ALL", "TZ"],
        "session": True,
        "outside": "PermissionError" if landlock_version() else CANARY,
        "core": [0, 0],
        "memory": "MemoryError",
        "file": "OSError",
        "own code": "OSError",
        "socket": "OSError",
    }
    assert not (tmp_path / "new").exists()


def test_cpu_time_that_is_used_up_ends_the_child(tmp_path: Path) -> None:
    child = start(tmp_path, "spin")
    try:
        assert child.wait() == -signal.SIGXCPU
    finally:
        end_child(child)


def test_a_child_ends_with_all_that_it_has_open(tmp_path: Path) -> None:
    child = start(tmp_path, "spin")
    end_child(child)
    assert child.returncode is not None
    assert child.stdout is not None
    assert child.stdout.closed
