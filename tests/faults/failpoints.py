"""The product's Celery application with named points at which a process can be made to die or stop.

`celery -A tests.faults.failpoints`: only the fault run starts it. A point does nothing until the run
puts a file with its name and the action into the folder FAULTS_ARMS, named as the process.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from syncproject.celery import app

_ARM = Path(os.environ.get("FAULTS_ARMS", "/nonexistent")) / os.environ.get("FAULTS_PROCESS", "-")
_lock = threading.Lock()
before_crash: list[Callable[[], None]] = []  # what a power cut takes away, see `mutated.crashing`

__all__ = ["app"]


def reach(point: str) -> None:
    """Acts where the run has armed this point, once."""
    with _lock:
        try:
            armed, _, action = _ARM.read_text(encoding="ascii").partition(" ")
        except OSError:
            return
        if armed != point:
            return
        _ARM.unlink(missing_ok=True)
    if action == "crash":
        for lose in before_crash:
            lose()
    os.kill(os.getpid(), signal.SIGSTOP if action == "stop" else signal.SIGKILL)


def around(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
    """Puts points before and after a function of the product."""
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            reach(before)
        result = original(*args, **kwargs)
        if after and result is not None:
            reach(after)
        return result

    setattr(owner, name, wrapped)


def install() -> None:
    import django

    django.setup()
    from datasets.places import Places
    from datasets.receipts import Receipts
    from syncjobs.lifecycle import execution

    around(execution, "claim", after="claim.after")
    around(Places, "add", before="pack.renamed")
    around(Receipts, "settle", before="keep.stored")
    settle = Receipts.settle

    @wraps(settle)
    def settled(self: Receipts, arrived: Any) -> None:
        settle(self, arrived)
        reach("keep.receipted")

    Receipts.settle = settled  # type: ignore[method-assign]
    around(execution, "publish", before="publish.before", after="publish.after")
    around(execution, "_finish", before="finish.before")


install()
