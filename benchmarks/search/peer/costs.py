"""What one side has cost: its own process with its children, and the server of the database. Standard library alone: the
peer's environment has nothing of ours."""

from __future__ import annotations

import json
import os
import resource
import time
from dataclasses import asdict, dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class IndexCost:
    """CPU time in seconds of the process and of the database; `memory_bytes` is the largest size of the process, and of
    its largest child beside it."""

    wall_s: float
    worker_s: float
    database_s: float
    memory_bytes: int
    chunks: int = 0

    @property
    def cpu_s(self) -> float:
        return self.worker_s + self.database_s


class CostMeter:
    """Begins when it is made: what was imported before does not count as time, but as memory."""

    def __init__(self, backend_pid: int) -> None:
        self._server = _parent_of(backend_pid)
        self._began = time.perf_counter()
        self._worker_s = _spent_here()
        self._database_s = _spent_by_tree(self._server)

    def tell(self, chunks: int) -> None:
        """Prints what it came to, for `read_cost`."""
        cost = IndexCost(
            wall_s=time.perf_counter() - self._began,
            worker_s=_spent_here() - self._worker_s,
            database_s=_spent_by_tree(self._server) - self._database_s,
            memory_bytes=1024
            * sum(
                resource.getrusage(who).ru_maxrss
                for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
            ),
            chunks=chunks,
        )
        print("COST", json.dumps(asdict(cost)), flush=True)  # noqa: T201 - the answer to who started it


def read_cost(printed: str) -> IndexCost:
    last = [line for line in printed.splitlines() if line.startswith("COST ")][-1]
    return IndexCost(**json.loads(last.removeprefix("COST ")))


def _spent_here() -> float:
    """With the children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def _spent_by_tree(pid: int) -> float:
    """Of a server, its children that have ended, and those that live."""
    total = sum(_fields(pid)[11:15])
    for other in Path("/proc").iterdir():
        if other.name.isdigit():
            try:
                fields = _fields(int(other.name))
            except OSError:
                continue
            if fields[1] == pid:
                total += fields[11] + fields[12]
    return total / _TICKS


def _parent_of(pid: int) -> int:
    return _fields(pid)[1]


def _fields(pid: int) -> list[int]:
    """Of /proc/PID/stat, from the third on; the state counts as 0."""
    told = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    _, *numbers = told.rpartition(")")[2].split()
    return [0, *map(int, numbers)]
