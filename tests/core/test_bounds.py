"""Settings that bound each other are refused in one line that says what to set."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from syncproject.bounds import BOUNDS, check_bounds, default_lease_s
from syncproject.env import Environment, read

ROOT = Path(__file__).parents[2]


def given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **variables: str) -> Environment:
    monkeypatch.setattr(os, "environ", {"DATA_DIR": str(tmp_path)} | variables)
    return read()


@pytest.mark.parametrize(("heartbeat_s", "lease_s"), [(5, 20), (1, 20), (10, 30), (30, 90)])
def test_item_10_a_lease_outlives_two_missed_heartbeats(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, heartbeat_s: float, lease_s: float
) -> None:
    read_ = given(monkeypatch, tmp_path, SYNC_HEARTBEAT_INTERVAL_SECONDS=str(heartbeat_s))
    assert (read_.lease_s, default_lease_s(heartbeat_s)) == (lease_s, lease_s)


@pytest.mark.parametrize("bound", BOUNDS, ids=lambda bound: bound.variable)
def test_item_10_zero_negative_and_what_is_no_number(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, bound: object
) -> None:
    variable, least = bound.variable, bound.least  # type: ignore[attr-defined] # of a parameter
    for text in ("-1", "nan", *(["0"] if least > 0 else [])):
        with pytest.raises(SystemExit, match=f"^{variable} must be "):
            given(monkeypatch, tmp_path, **{variable: text})


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        (
            {"SYNC_MIN_TIMEOUT_SECONDS": "9000"},
            "above SYNC_MAX_TIMEOUT_SECONDS (7200): set SYNC_MAX_TIMEOUT_SECONDS to 9000 or more",
        ),
        (
            {"SYNC_LEASE_SECONDS": "20", "SYNC_HEARTBEAT_INTERVAL_SECONDS": "30"},
            "too short for a heartbeat each 30 s: set it to 90, or leave it out",
        ),
        ({"SYNC_SILENT_SECONDS": "10"}, "set it to 15 or more"),
        ({"SYNC_STALL_SECONDS": "5"}, "set it to 10 or more"),
    ],
)
def test_item_10_settings_that_contradict_each_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variables: dict[str, str], words: str
) -> None:
    with pytest.raises(SystemExit) as refused:
        given(monkeypatch, tmp_path, **variables)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    check_bounds(given(monkeypatch, tmp_path))


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({}, ""),
        (
            {"SYNC_HEARTBEAT_INTERVAL_SECONDS": "30", "SYNC_CLEANUP_INTERVAL_SECONDS": "300"},
            "queued again within 390 s, not 60 s",
        ),
    ],
)
def test_item_10_check_says_which_time_holds(
    variables: dict[str, str], told: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env=os.environ | {"DATA_DIR": str(tmp_path)} | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told in done.stderr + done.stdout
    assert ("I001" in done.stderr + done.stdout) is bool(told)
