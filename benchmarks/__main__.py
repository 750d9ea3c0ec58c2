"""`python -m benchmarks`: measures, and prints the table of the README."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import TextIO

from benchmarks import stand
from benchmarks.corpora import CORPORA, Corpus, plant
from benchmarks.transports import GOALS, OURS, Cell, measure

MIB = 1 << 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--kinds", default=",".join(GOALS), help="protocols, by comma")
    parser.add_argument("--corpora", default="S,L,M,N,D", help="corpora, by comma")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each; medians count")
    parser.add_argument(
        "--divide", type=int, default=1, help="make the corpora smaller by this factor"
    )
    parser.add_argument(
        "--delay-ms", type=int, default=0, help="put the servers one such round trip away"
    )
    asked = parser.parse_args()
    with stand.product() as home:
        say(calibrate(home))
        cells = []
        for kind in asked.kinds.split(","):
            for letter in asked.corpora.split(","):
                corpus = CORPORA[letter].scaled(asked.divide)
                say(f"measuring {kind} {letter}", stream=sys.stderr)
                cells.append(measure(kind, corpus, asked.rounds, home, delay_ms=asked.delay_ms))
                say(describe(cells[-1]), stream=sys.stderr)
        say(table(cells))


def say(text: str, *, stream: TextIO = sys.stdout) -> None:
    print(text, file=stream, flush=True)


def calibrate(home: Path) -> str:
    """What this machine does on its own, so that a reader can scale the figures."""
    corpus = Corpus("S", 10_000, 4096)
    plant(corpus, home / "calibration")
    began = time.perf_counter()
    shutil.copytree(home / "calibration", home / "calibration-copy")
    copy_s = time.perf_counter() - began
    speed = subprocess.run(
        ["openssl", "speed", "-seconds", "1", "-evp", "aes-128-gcm", "-bytes", "16384"],  # noqa: S607
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    aes = speed.splitlines()[-1] if speed else "openssl is not here"
    return f"machine: copying S took {copy_s:.2f} s; {aes}"


def describe(cell: Cell) -> str:
    walls = ", ".join(f"{name} {cell.median(name):.2f} s" for name in cell.walls)
    faults = "".join(f"\n  fault: {fault}" for fault in cell.faults)
    return f"{cell.kind} {cell.corpus.letter}: {walls}; {cell.memory_bytes / MIB:.0f} MiB{faults}"


def table(cells: list[Cell]) -> str:
    """Markdown: ours, the best peer, the ratio and its goal."""
    lines = [
        "| protocol | corpus | SyncProject, s | best peer, s | ratio | goal | memory, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for cell in cells:
        own, best, ratio = cell.median(OURS), cell.best_peer, cell.ratio
        goal, kind = cell.goal, cell.kind
        if cell.delay_ms:
            kind += f" over {cell.delay_ms} ms"
        lines.append(
            f"| {kind} | {cell.corpus.letter} | {own:.2f} |"
            f" {f'{best[1]:.2f} ({best[0]})' if best else '-'} |"
            f" {f'{ratio:.2f}' if ratio else '-'} | ≤ {goal} | {cell.memory_bytes / MIB:.0f} |"
            if own
            else f"| {kind} | {cell.corpus.letter} | - | - | - | ≤ {goal} | - |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
