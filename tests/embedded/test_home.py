"""DATA_DIR: who may write to it, and who holds it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from embedded import home
from embedded.child import PROJECT, spawn
from embedded.errors import StackError


def test_the_lock_is_free_again_once_closed(data_dir: Path) -> None:
    home.open_home(data_dir).close()

    with home.open_home(data_dir):
        assert (data_dir / "stack.lock").read_text() == str(os.getpid())


def test_a_second_holder_is_told_the_firsts_number(data_dir: Path) -> None:
    script = "from embedded import home; from pathlib import Path; import sys; \
        home.open_home(Path(sys.argv[1]))"
    with home.open_home(data_dir):
        done = subprocess.run(
            [sys.executable, "-c", script, str(data_dir)],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
    assert f"the stack already runs here (pid {os.getpid()}," in done.stderr


def test_a_file_in_the_place_of_the_folder_is_one_clear_line(data_dir: Path) -> None:
    (data_dir / "var").write_text("not a folder")
    with pytest.raises(StackError, match=r"cannot write to .*/var .*: set DATA_DIR"):
        home.open_home(data_dir / "var")


def test_a_folder_below_a_file_is_one_clear_line(data_dir: Path) -> None:
    (data_dir / "var").write_text("not a folder")
    with pytest.raises(StackError, match=r"cannot write to .*/var/x "):
        home.open_home(data_dir / "var" / "x")


def test_leftovers_are_found_by_their_mark_and_ended(data_dir: Path) -> None:
    env = {**home.mark(data_dir)}
    stray = spawn(["/bin/sleep", "1000"], env=env)
    stranger = spawn(["/bin/sleep", "1000"], env=home.mark(data_dir / "another"))
    said: list[str] = []
    try:
        home.wait_for_leftovers(data_dir, said.append)

        assert stray.wait(timeout=90) == -9
        assert stranger.poll() is None
        assert said == ["waiting for 1 processes of an earlier run to end"]
    finally:
        for process in (stray, stranger):
            process.kill()
            process.wait()
