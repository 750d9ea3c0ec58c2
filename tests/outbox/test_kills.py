"""Kill runs with a seed, in processes of their own; `make kills` runs the long one (docs/faults.md)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.answering import ROOT
from tests.outbox.kills.checking import REJECTED_EVERY, Sender, check, key_name

pytestmark = pytest.mark.process


def run(folder: Path, *words: str) -> dict[str, Any]:
    report = folder / "report.json"
    command = [sys.executable, "-m", "tests.outbox.kills", *words, "--report", str(report)]
    ended = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    assert report.exists(), ended.stdout + ended.stderr
    told: dict[str, Any] = json.loads(report.read_text())
    return told


@pytest.mark.timeout(1_800)
def test_o09_nothing_is_lost_or_doubled_wherever_somebody_is_killed(tmp_path: Path) -> None:
    told = run(tmp_path, "--seed", "7", "--readings", "6000", "--kills", "20")
    assert told["findings"] == []
    assert sum(told["kills"].values()) >= 20
    assert told["acknowledged"] == told["received"] + told["rejected"] == 6000


@pytest.mark.timeout(1_800)
@pytest.mark.parametrize(
    ("mutant", "finding"),
    [("new_key", "doubled"), ("mark_first", "lost"), ("made_anew", "doubled")],
)
def test_the_checker_finds_what_is_broken_on_purpose(
    tmp_path: Path, mutant: str, finding: str
) -> None:
    words = ("--seed", "1", "--readings", "900", "--kills", "3", "--mutant", mutant)
    told = run(tmp_path, *words)
    assert any(found.startswith(finding) for found in told["findings"]), told


def batch(first: int, last: int, **more: Any) -> dict[str, Any]:
    keys = [key_name("s0", number) for number in range(first, last + 1)]
    told = {"batch": f"b{first}", "stream": "stream-0", "from": first, "to": last, "sha256": "a"}
    return told | {"keys": keys, "again": [], "answer": {}} | more


@pytest.mark.parametrize(
    ("batches", "tries", "finding"),
    [
        ([batch(1, 4)], [], "lost: 1"),
        ([batch(1, 5), batch(6, 6, again=[key_name("s0", 2)])], [], "doubled: 1"),
        ([batch(1, 5)], [{"id": "b1", "sha256": "b"}], "sent again with other bytes: 1"),
        ([batch(1, 2), batch(4, 5), batch(3, 3)], [], "out of order: 3"),
        ([batch(1, 5, keys=[key_name("s0", n) for n in (2, 1, 3, 4, 5)])], [], "out of order: 1"),
        (
            [batch(1, 5), batch(6, 6, answer={"rejected": [{"key": key_name("s0", 6)}]}, keys=[])],
            [],
            "refused for nothing: 1",
        ),
        (
            [batch(1, 5), batch(REJECTED_EVERY, REJECTED_EVERY, answer={"rejected": [{"key": key_name("s0", REJECTED_EVERY)}]})],
            [],
            "taken and refused: 1",
        ),
        ([batch(1, 5)], [{"id": "b1", "sha256": "a"}], ""),
    ],
)  # fmt: skip
def test_the_checker_reads_the_logs_alone(
    tmp_path: Path, batches: list[dict[str, Any]], tries: list[dict[str, Any]], finding: str
) -> None:
    taken, tried, acks = tmp_path / "taken", tmp_path / "tries", tmp_path / "acks"
    taken.write_text("".join(json.dumps(one) + "\n" for one in batches) + '{"batch": "cut')
    tried.write_text("".join(json.dumps(one) + "\n" for one in tries))
    acks.write_text("1 3\n4 5\n")
    found = check(taken, tried, [Sender("s0", acks)]).findings
    assert any(words.startswith(finding) for words in found) if finding else found == []
