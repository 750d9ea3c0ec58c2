"""The launcher: order, crashes, and its own sudden end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import pytest

from embedded import home
from embedded.child import PROJECT
from tests.embedded.processes import left
from tests.waiting import until

pytestmark = pytest.mark.process


@dataclass
class Toy:
    """A running toy stack, and what it said."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def output(self) -> IO[str]:
        assert self.process.stdout is not None
        return self.process.stdout

    def wait_for(self, beginning: str) -> str:
        """Reads on until such a line; the pipe's end ends the wait too."""
        for line in self.output:
            self.said.append(line.rstrip())
            if line.startswith(beginning):
                return line.rstrip()
        raise AssertionError(f"it never said {beginning!r}: {self.said}")

    def pid_of(self, name: str) -> int:
        return int(next(line.split("=")[1] for line in self.said if line.startswith(f"{name}=")))

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.status()

    def status(self) -> int:
        self.said += self.output.read().splitlines()
        return self.process.wait(timeout=90)


Start = Callable[..., Toy]


@pytest.fixture
def start(data_dir: Path) -> Iterator[Start]:
    running: list[Toy] = []

    def start(*words: str, under: Sequence[str] = ()) -> Toy:
        argv = list(under) or stack_words(data_dir, *words)
        process = subprocess.Popen(argv, cwd=PROJECT, stdout=subprocess.PIPE, text=True)
        running.append(Toy(process))
        return running[-1]

    yield start
    for toy in running:
        toy.process.kill()
        toy.process.wait()
        toy.output.close()
    home.wait_for_leftovers(data_dir, print)
    until(lambda: not left(data_dir), "a process stayed", within_s=60)


def stack_words(data_dir: Path, *words: str) -> list[str]:
    return [sys.executable, "-m", "tests.embedded.toy_stack", str(data_dir), *words]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_who_asks_before_who_is_asked(
    start: Start, data_dir: Path, number: signal.Signals
) -> None:
    toy = start()
    toy.wait_for("up")

    assert toy.end(number) == 0

    noted = (data_dir / "order").read_text().splitlines()
    assert sorted(noted[:2]) == ["beat SIGTERM True True", "web SIGTERM True True"]
    assert noted[2:] == ["worker SIGTERM True True"]
    assert "database system is shut down" in (data_dir / "log" / "postgres.log").read_text()
    assert "ready to exit" in (data_dir / "log" / "valkey.log").read_text()
    assert not left(data_dir)


def test_a_second_ctrl_c_is_harmless(start: Start, data_dir: Path) -> None:
    toy = start()
    toy.wait_for("up")

    toy.process.send_signal(signal.SIGINT)
    toy.wait_for("stopping")
    assert toy.end(signal.SIGINT) == 0

    assert len((data_dir / "order").read_text().splitlines()) == 3
    assert "database system is shut down" in (data_dir / "log" / "postgres.log").read_text()


def test_killed_with_9_it_leaves_no_process_and_can_start_at_once(
    start: Start, data_dir: Path
) -> None:
    toy = start()
    toy.wait_for("up")
    assert len(left(data_dir)) >= 8  # servers, toys, and the toys' own children

    toy.process.kill()
    toy.process.wait()
    again = start()
    again.wait_for("up")

    old = {int(line.split("=")[1]) for line in toy.said if "=" in line}
    assert not old & left(data_dir)
    assert again.end() == 0
    assert not left(data_dir)


def test_a_crashed_child_comes_back_and_its_own_children_do_not_stay(
    start: Start, data_dir: Path
) -> None:
    toy = start()
    toy.wait_for("up")
    before = left(data_dir)

    os.kill(toy.pid_of("worker"), signal.SIGKILL)

    assert toy.wait_for("worker") == "worker was killed by SIGKILL: starting it again in 0.5 s"
    log = data_dir / "log" / "worker.log"
    until(lambda: log.read_text().count("worker ready.") == 2, "the worker did not start again")
    # The old worker and its child went, a new pair came.
    assert len(left(data_dir) - before) == 2
    assert len(left(data_dir)) == len(before)
    assert toy.end() == 0


def test_a_database_killed_with_9_comes_back(start: Start, data_dir: Path) -> None:
    toy = start()
    toy.wait_for("up")
    log = data_dir / "log" / "postgres.log"

    os.kill(toy.pid_of("postgres"), signal.SIGKILL)

    assert "SIGKILL" in toy.wait_for("postgres was killed")
    until(lambda: log.read_text().count("ready to accept") == 2, "the database did not start again")
    assert toy.end() == 0


def test_a_child_that_never_starts_ends_the_stack_with_its_last_words(
    start: Start, data_dir: Path
) -> None:
    toy = start("broken")

    assert toy.status() == 1

    assert "broken ended with status 3, 3 times in a row" in toy.said
    assert "out of cheese" in toy.said
    assert not left(data_dir)


def test_a_second_start_names_the_running_one(start: Start) -> None:
    first = start()
    first.wait_for("up")

    second = start()

    assert second.status() == 1
    assert f"(pid {first.process.pid}," in second.said[0]
    assert first.end() == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_make_alone_stops_what_make_runs(
    start: Start, data_dir: Path, number: signal.Signals
) -> None:
    words = shlex.join(stack_words(data_dir, "tied"))
    (data_dir / "Makefile").write_text(f"up:\n\t@exec {words}\n")
    toy = start(under=["make", "--file", str(data_dir / "Makefile")])
    toy.wait_for("up")

    toy.end(number)

    until(lambda: not left(data_dir), "a process stayed")
    assert "stopping" in toy.said
    assert "database system is shut down" in (data_dir / "log" / "postgres.log").read_text()
