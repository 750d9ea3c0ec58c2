"""The trees that are synced, changed while they are, and everything that they ever held."""

from __future__ import annotations

import hashlib
import os
import random
import time
from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.plans import FILES, Change, name_of, size_of

TEXT_MAX = 3_000  # bytes: some chunks
AGE_S = 3600  # of the first files: settled, so that equal times prove something


@dataclass(frozen=True, slots=True)
class Held:
    """What a path held: `sha256` None means that it was not there. In force for certain from
    `certain_at`, perhaps from `possible_at`, by this machine's clock."""

    sha256: bytes | None
    size_bytes: int
    possible_at: float
    certain_at: float


ABSENT = Held(None, 0, float("-inf"), float("-inf"))


@dataclass(slots=True)
class PathHistory:
    states: list[Held] = field(default_factory=lambda: [ABSENT])

    @property
    def last(self) -> Held:
        return self.states[-1]

    def during(self, begin: float, end: float) -> list[Held]:
        """Each state that somebody who looked between these moments may have seen."""
        last = bisect_right([state.possible_at for state in self.states], end)
        return [
            state
            for index, state in enumerate(self.states[:last])
            if index + 1 == len(self.states) or self.states[index + 1].certain_at >= begin
        ]

    def until(self, end: float) -> list[Held]:
        return self.during(float("-inf"), end)


class Source:
    """One folder. A file appears and changes by an atomic rename, so that no look sees half of it."""

    def __init__(self, folder: Path, aside: Path, seed: int, number: int) -> None:
        self.folder = folder
        self.paths: dict[str, PathHistory] = {}
        self._aside = aside / f"source-{number}"
        self._seed = f"{seed} content {number}"
        self._written = 0

    def plant(self) -> None:
        self.folder.mkdir(parents=True)
        chance = random.Random(self._seed)  # noqa: S311 — to be repeated
        for number in range(FILES):
            self._write(name_of(number), size_of(chance), age_s=AGE_S)

    def apply(self, change: Change) -> None:
        if change.size_bytes is None:
            self._remove(change.path)
            return
        for _ in range(change.again + 1):  # of one size and, mostly, of one second
            self._write(change.path, change.size_bytes)

    def _write(self, path: str, size_bytes: int, *, age_s: float = 0) -> None:
        self._written += 1
        chance = random.Random(f"{self._seed} {self._written}")  # noqa: S311 — to be repeated
        if path.endswith(".txt"):
            content = _text(chance, min(size_bytes, TEXT_MAX))
        else:
            content = chance.randbytes(size_bytes)
        self._aside.write_bytes(content)
        if age_s:
            then = time.time() - age_s
            os.utime(self._aside, (then, then))
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        before = time.time()
        self._aside.rename(target)
        self._note(path, hashlib.sha256(content).digest(), len(content), before)

    def _remove(self, path: str) -> None:
        before = time.time()
        (self.folder / path).unlink()
        self._note(path, None, 0, before)

    def _note(self, path: str, sha256: bytes | None, size_bytes: int, before: float) -> None:
        history = self.paths.setdefault(path, PathHistory())
        history.states.append(Held(sha256, size_bytes, before, time.time()))


def _text(chance: random.Random, size_bytes: int) -> bytes:
    """Lines of words, with an empty line now and then."""
    written = ""
    while len(written) < size_bytes:
        words = [f"word{chance.randrange(500)}" for _ in range(chance.randrange(4, 12))]
        written += " ".join(words) + ("\n\n" if chance.random() < 0.2 else "\n")
    return written[:size_bytes].encode()
