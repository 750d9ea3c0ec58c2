"""A minute of faults on the product as it is, and the broken builds that the checker must find out."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.child import PROJECT
from tests.faults.mutants import MUTANTS
from tests.hosts.child import find_binary
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.timeout(1_800)]
COMMAND = [sys.executable, "-m", "tests.faults"]
SEED = 7


def run(tmp_path: Path, *words: str) -> tuple[int, dict[str, Any], str]:
    """Status, report, and what was printed."""
    find_binary("sshd")
    find_binary("nginx")
    report = tmp_path / "report.json"
    done = subprocess.run(
        [*COMMAND, "--seed", str(SEED), "--report", str(report), *words],
        cwd=PROJECT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    told = done.stdout + done.stderr
    assert report.exists(), told
    return done.returncode, json.loads(report.read_text()), told


def test_p1_p8_p9_p10_a_minute_of_faults_breaks_no_promise(tmp_path: Path) -> None:
    status, report, told = run(tmp_path, "--seconds", "30")
    assert report["findings"] == [], told
    assert status == 0


@pytest.mark.apart
@pytest.mark.parametrize("name", sorted(set(MUTANTS) - {"none"}))
def test_the_checker_finds_out_a_broken_build(tmp_path: Path, name: str) -> None:
    words = ("--mutant", name, "--seconds", "10", "--keep", str(tmp_path / "kept"))
    status, report, told = run(tmp_path, *words)
    found = {finding["rule"] for finding in report["findings"]}
    assert found & set(MUTANTS[name].rules), told
    assert status == 1


@pytest.fixture
def folder() -> Iterator[Path]:
    """Open to the user that PostgreSQL runs as, which pytest's own are not."""
    made = Path(tempfile.mkdtemp(prefix="interrupted-"))
    made.chmod(0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.apart
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_interrupted_leaves_nothing(
    tmp_path: Path, folder: Path, number: signal.Signals
) -> None:
    find_binary("sshd")
    find_binary("nginx")
    log = tmp_path / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*COMMAND, "--seed", "1", "--seconds", "60", "--verbose"],
            cwd=PROJECT,
            env=os.environ | {"TMPDIR": str(folder)},
            stdout=output,
            stderr=output,
        )
    try:
        until(lambda: "killed worker" in log.read_text(), "no fault was injected", within_s=60)
        process.send_signal(number)
        assert process.wait(60) == 130, log.read_text()
    finally:
        process.kill()
        process.wait(90)
    assert "Traceback" not in log.read_text()
    assert [pid for pid in _processes() if str(folder).encode() in _words_of(pid)] == []
    assert list(folder.iterdir()) == []


def _processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _words_of(pid: int) -> bytes:
    """What a process was started with: words and environment."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
        return words + Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return b""  # gone meanwhile, or somebody else's
