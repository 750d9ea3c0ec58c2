"""`python -m benchmarks.search.peer`: what an index of words and vectors costs of files on this machine, ours beside LlamaIndex
with PGVectorStore. Both read the same files and ask the same service for vectors, whose own cost counts for neither."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import stand
from benchmarks.search.peer.costs import IndexCost, read_cost
from benchmarks.search.peer.embeddings import DIMENSIONS

# The built-in model reads 1,000 characters of a text, so parts for it are of this size; and what the peer does unasked.
PEERS = {"parts of 256 tokens": 256, "parts of 1,024 tokens": 1_024}
HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PEER = ROOT / ".venv/bench/llamaindex/bin/python"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.search.peer", description=__doc__)
    parser.add_argument("--megabytes", default="10", help="sizes, by comma")
    asked = parser.parse_args()
    if not PEER.exists():
        sys.exit("LlamaIndex is missing: make bench-tools")
    with stand.product() as home, _service() as url:
        for megabytes in map(int, asked.megabytes.split(",")):
            tell_sides(home, url, megabytes)


def tell_sides(home: Path, url: str, megabytes: int) -> None:
    from benchmarks.search.text.__main__ import iter_files

    files = list(iter_files(megabytes * 1_000_000))
    size = sum(path.stat().st_size for path in files) / 1e6
    say(f"\n{len(files)} files, {size:.0f} MB\n")
    say(
        "| | worker CPU, s per MB | with the database | largest memory, MiB | parts | wall, s |\n|---|---|---|---|---|---|"
    )
    ours = index_ours(url, files, megabytes)
    tell("SyncProject", ours, size)
    for name, tokens in PEERS.items():
        theirs = index_by_peer(home, url, files, tokens)
        tell(f"LlamaIndex, {name}", theirs, size)
        say(
            f"| ratio | {ours.worker_s / theirs.worker_s:.3f} | {ours.cpu_s / theirs.cpu_s:.3f}"
            f" | {ours.memory_bytes / theirs.memory_bytes:.2f} | | |"
        )


def tell(name: str, cost: IndexCost, size: float) -> None:
    say(
        f"| {name} | {cost.worker_s / size:.3f} | {cost.cpu_s / size:.3f} | {cost.memory_bytes / 2**20:.0f}"
        f" | {cost.chunks:,} | {cost.wall_s:.0f} |"
    )


def index_ours(url: str, files: list[Path], megabytes: int) -> IndexCost:
    from benchmarks.search.text.__main__ import publish_files
    from search.choices import write_choice
    from search.core.wishes import IndexWish
    from search.vectors.generations import settle_generation
    from tests.search.indexes import make_dataset

    dataset = make_dataset("documents", f"peer-{megabytes}")
    choice = {"service": "openai", "url": url, "model": "bench"}
    write_choice(dataset.workspace, {"embedding": choice})
    settle_generation(dataset.workspace_id)
    publish_files(dataset, files, wish=IndexWish.WORDS_AND_MEANING)
    return _run([sys.executable, "-m", "benchmarks.search.peer.ours", str(dataset.pk)])


def index_by_peer(home: Path, url: str, files: list[Path], tokens: int) -> IndexCost:
    """In a database of its own, of the same server."""
    from django.db import connection

    name = f"peer_{tokens}_{len(files)}"
    listed = home / name
    listed.write_text("\n".join(map(str, files)), encoding="utf-8")
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name}")
    database = f"{os.environ['DATABASE_URL'].rpartition('/')[0]}/{name}"
    return _run(
        [
            str(PEER),
            str(HERE / "llama.py"),
            database,
            url,
            str(listed),
            str(DIMENSIONS),
            str(tokens),
        ]
    )


def _run(argv: list[str]) -> IndexCost:
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - ours
    if done.returncode:
        raise RuntimeError(f"{argv[:3]}: {done.stdout[-2_000:]}{done.stderr[-4_000:]}")
    return read_cost(done.stdout)


@contextmanager
def _service() -> Iterator[str]:
    argv = [sys.executable, "-m", "benchmarks.search.peer.embeddings"]
    with subprocess.Popen(  # noqa: S603 - ours
        argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise RuntimeError("the service has no pipes")
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}/v1"
        finally:
            server.stdin.close()


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - a program's answer


if __name__ == "__main__":
    main()
