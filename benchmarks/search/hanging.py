"""`python -m benchmarks.search.hanging`: whole records beside an embedding service that takes connections and never answers,
against the same records without an index and with one of words alone."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import stand

if TYPE_CHECKING:
    from farends.spec import Target

OFF, WORDS, HANGS = "no index", "words alone", "a service that hangs"
_WISHES = {OFF: "off", WORDS: "words", HANGS: "words_and_meaning"}


@dataclass(frozen=True, slots=True)
class SyncCost:
    """One record: seconds of wall, and of this process's processor."""

    wall_s: float
    cpu_s: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.hanging", description=__doc__)  # fmt: skip
    parser.add_argument("--files", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    with stand.product() as home:
        for kind in ("bin", "txt"):
            _tell(kind, asked.files, _measure(home, kind, asked.files, asked.rounds))


def _measure(home: Path, kind: str, files: int, rounds: int) -> dict[str, list[SyncCost]]:
    """In turn, each round with a tree of its own, so that all arms share whatever else the machine does."""
    from tests.hosts.scripted_embeddings import Hangs, scripted_embeddings
    from tests.hosts.sshd import running_sshd

    costs: dict[str, list[SyncCost]] = {name: [] for name in _WISHES}
    tree = home / f"tree-{kind}"
    folder = home / f"sshd-{kind}"
    folder.mkdir()
    with running_sshd(folder) as sshd, scripted_embeddings(lambda _: Hangs()) as service:
        for number in range(rounds):
            _plant(tree, kind, files, seed=f"{kind} {number}")
            for name in _turned(list(_WISHES), number):
                workspace = f"{kind}-{number}-{_WISHES[name]}"
                costs[name].append(_sync(sshd.target(tree), workspace, name, service.url))
        if service.batches:
            raise RuntimeError("a sync has asked the embedding service")
    return costs


def _turned(names: list[str], by: int) -> list[str]:
    return names[by % len(names) :] + names[: by % len(names)]


def _plant(tree: Path, kind: str, files: int, seed: str) -> None:
    chance = random.Random(seed)  # noqa: S311 — to be repeated
    shutil.rmtree(tree, ignore_errors=True)
    tree.mkdir()
    for number in range(files):
        content = chance.randbytes(4096)
        if kind == "txt":
            content = " ".join(f"word{chance.randrange(9_999)}" for _ in range(500)).encode()[:4096]
        (tree / f"{number:05}.{kind}").write_bytes(content)


def _sync(target: Target, workspace: str, name: str, url: str) -> SyncCost:
    from search.choices import write_choice
    from tests.rows import make_connector, make_job

    job = make_job(make_connector(target, workspace=workspace), index=_WISHES[name])
    if name == HANGS:
        embedding = {"service": "openai", "url": url, "model": "any"}
        write_choice(job.workspace, {"embedding": embedding})
    began_s = time.process_time()
    wall_s = stand.sync(job).wall_s
    return SyncCost(wall_s, time.process_time() - began_s)


def _tell(kind: str, files: int, costs: dict[str, list[SyncCost]]) -> None:
    what = "of text" if kind == "txt" else "that hold no text"
    _say(f"\n{files:,} files of 4 KiB {what}, fetched by SFTP; medians, and ratios by round")
    _say("| | wall s | CPU s | wall beside no index | CPU beside no index | wall beside words alone |")  # fmt: skip
    _say("|---|---|---|---|---|---|")
    for name, found in costs.items():
        walls, cpus = [one.wall_s for one in found], [one.cpu_s for one in found]
        off_walls, off_cpus = ([getattr(one, field) for one in costs[OFF]] for field in ("wall_s", "cpu_s"))  # fmt: skip
        word_walls = [one.wall_s for one in costs[WORDS]]
        _say(
            f"| {name} | {statistics.median(walls):.2f} | {statistics.median(cpus):.2f} |"
            f" {_ratio(walls, off_walls):.2f} | {_ratio(cpus, off_cpus):.2f} | {_ratio(walls, word_walls):.2f} |"
        )


def _ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    return statistics.median(one / other for one, other in zip(ours, theirs, strict=True))


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 — a program's answer


if __name__ == "__main__":
    main()
