"""The trees that are synced, by the letters of the goals.

S: 10,000 files of 4 KiB. L: one file of 1 GiB. M: 1,000 files of 1 MiB. N: 100,000 files, unchanged
since the last sync. D: S with 1 % changed since the last sync.
"""

from __future__ import annotations

import hashlib
import os
import random
from dataclasses import dataclass
from pathlib import Path

OLD_S = 1_600_000_000  # old enough to be settled
PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Corpus:
    letter: str
    files: int
    size_bytes: int
    resync: bool = False
    changed: int = 0

    def scaled(self, divisor: int) -> Corpus:
        """The same shape, smaller, for a quick run."""
        if self.files == 1:
            return Corpus(self.letter, 1, self.size_bytes // divisor)
        files = max(100, self.files // divisor)
        changed = files // 100 if self.changed else 0
        return Corpus(self.letter, files, self.size_bytes, self.resync, changed)


CORPORA = {
    corpus.letter: corpus
    for corpus in (
        Corpus("S", 10_000, 4096),
        Corpus("L", 1, 1 << 30),
        Corpus("M", 1_000, 1 << 20),
        Corpus("N", 100_000, 100, resync=True),
        Corpus("D", 10_000, 4096, resync=True, changed=100),
    )
}


def plant(corpus: Corpus, folder: Path) -> None:
    """Makes the tree: 100 files a folder, content that does not compress, seeded."""
    source = random.Random(corpus.letter)  # noqa: S311 — filler
    for number in range(corpus.files):
        parent = folder / f"d{number // 100:04}"
        if number % 100 == 0:
            parent.mkdir(parents=True)
        path = parent / f"f{number:06}.txt"
        with path.open("wb") as file:
            left = corpus.size_bytes
            while left:
                file.write(source.randbytes(min(PIECE, left)))
                left -= min(PIECE, left)
        os.utime(path, (OLD_S, OLD_S))


def change(corpus: Corpus, folder: Path, round_number: int) -> None:
    """Rewrites the corpus's share of files, others each round, with newer times."""
    paths = sorted(folder.glob("*/*"))
    step = len(paths) // corpus.changed
    for path in paths[round_number % step :: step][: corpus.changed]:
        path.write_bytes(os.urandom(corpus.size_bytes))
        os.utime(path, (OLD_S + 60 * round_number, OLD_S + 60 * round_number))


def fingerprint(folder: Path) -> tuple[int, str]:
    """Count and one digest over every relative path and content."""
    total = hashlib.sha256()
    count = 0
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
        total.update(str(path.relative_to(folder)).encode() + b"\0" + digest)
        count += 1
    return count, total.hexdigest()
