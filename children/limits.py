"""What a child process may use of the machine: memory, CPU time, files."""

from __future__ import annotations

import contextlib
import math
import resource
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ProcessLimits:
    """None: as the parent has it. Nothing that is limited here may leave a core dump, which would hold what it read.

    `data_bytes` counts the memory that is the process's own, so that together with its libraries it bounds what is
    resident. `address_bytes` counts what is merely reserved too.
    """

    data_bytes: int | None = None
    address_bytes: int | None = None
    cpu_s: int | None = None
    written_bytes: int | None = None  # of each file


def limit_process(limits: ProcessLimits, pid: int = 0) -> None:
    """This process, or the child `pid`; nothing happens if that one has ended. There is no way back."""
    wanted = {
        resource.RLIMIT_DATA: limits.data_bytes,
        resource.RLIMIT_AS: limits.address_bytes,
        resource.RLIMIT_CPU: limits.cpu_s,
        resource.RLIMIT_FSIZE: limits.written_bytes,
        resource.RLIMIT_CORE: 0,
    }
    with contextlib.suppress(ProcessLookupError):
        for kind, most in wanted.items():
            if most is not None:
                resource.prlimit(pid, kind, (most, most))


def forbid_opening() -> None:
    """This process opens no further file, folder, pipe or socket, whoever takes it over: it has no number left for one.
    What is open stays so. A module that is not imported yet cannot be imported any more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))


def allow_cpu(cpu_s: float) -> None:
    """From now on this process may use so much; then SIGXCPU ends it. It may be called again, for the next piece of
    work."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = math.ceil(used.ru_utime + used.ru_stime + cpu_s)
    resource.setrlimit(resource.RLIMIT_CPU, (most, resource.RLIM_INFINITY))
