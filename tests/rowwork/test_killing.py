"""The long run of kills, in a short form. (That its checker finds mutants is shown by test_row_kills.)"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.process

ROOT = Path(__file__).parents[2]


def kill(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.rowwork.killing", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(1_800)
def test_t19_kills_and_crashes_of_all_servers_leave_no_torn_table() -> None:
    told = kill("--seed", "2", "--kills", "4")
    assert (told.returncode, "0 findings" in told.stdout) == (0, True), told.stdout + told.stderr
