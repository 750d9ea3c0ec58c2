"""A child that was taken over: it says what it gets hold of."""

from __future__ import annotations

import json
import os
import resource
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from children.limits import ProcessLimits, allow_cpu, forbid_opening, limit_process


def try_out(act: Callable[[], object]) -> str:
    try:
        return str(act())
    except (OSError, MemoryError) as exc:
        return type(exc).__name__


def snoop() -> None:
    secret, new, what = sys.argv[1:]
    told = {"environment": sorted(os.environ), "session": os.getsid(0) == os.getpid()}
    told["outside"] = try_out(Path(secret).read_text)
    limit_process(ProcessLimits(data_bytes=128 << 20, address_bytes=1 << 30, written_bytes=0))
    told["core"] = resource.getrlimit(resource.RLIMIT_CORE)
    told["memory"] = try_out(lambda: len(bytearray(256 << 20)))
    forbid_opening()
    told["file"] = try_out(lambda: Path(new).write_text("x"))
    told["own code"] = try_out(Path(__file__).read_text)
    told["socket"] = try_out(socket.socket)
    sys.stdout.write(json.dumps(told))
    sys.stdout.flush()
    if what == "spin":
        allow_cpu(0)
        while True:
            pass


if __name__ == "__main__":
    snoop()
