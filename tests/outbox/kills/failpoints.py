"""The product's Celery application with named points at which a process can be made to die.

`celery -A tests.outbox.kills.failpoints`, and `sender` and `turner` import it: only the kill run starts these. A
point does nothing until the run puts a file with its name into the folder KILLS_ARMS, named as the process.
KILLS_MUTANT breaks the product on purpose: the checker must find that out.
"""

from __future__ import annotations

import dataclasses
import os
import signal
import threading
import uuid
from functools import wraps
from pathlib import Path
from typing import Any

from syncproject.celery import app

ARM = Path(os.environ.get("KILLS_ARMS", "/nonexistent")) / os.environ.get("KILLS_PROCESS", "-")
_lock = threading.Lock()

__all__ = ["app"]


def reach(point: str) -> None:
    """Dies where the run has armed this point, once."""
    with _lock:
        try:
            armed = ARM.read_text(encoding="ascii")
        except OSError:
            return
        if armed != point:
            return
        ARM.unlink(missing_ok=True)
    os.kill(os.getpid(), signal.SIGKILL)


def around(owner: Any, name: str, *, before: str = "", after: str = "") -> None:
    """Puts points before and after a function of the product."""
    original = getattr(owner, name)

    @wraps(original)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if before:
            reach(before)
        result = original(*args, **kwargs)
        if after:
            reach(after)
        return result

    setattr(owner, name, wrapped)


def install(mutant: str) -> None:
    import django

    django.setup()
    from outbox import delivery, intake, ring, settling

    around(intake, "_take", before="intake.before", after="intake.kept")
    around(intake, "take", after="intake.committed")
    around(settling, "fix_next", before="fix.before", after="fix.after")
    around(delivery._Sender, "send", before="send.before", after="send.after")
    around(settling, "_move_tail", after="mark.within")
    around(delivery, "settle", before="mark.before", after="mark.after")
    around(ring, "_empty", before="rotation.before", after="rotation.emptied")
    around(ring, "turn_ring", after="rotation.after")
    if mutant:
        {"new_key": _new_key, "mark_first": _mark_first, "made_anew": _made_anew}[mutant]()


def _new_key() -> None:
    """Each try has an id of its own."""
    from outbox import delivery
    from outbox.core.images import make_image

    sender: Any = delivery._Sender
    original = sender._try

    def other(self: Any, stream: str, batch: Any) -> Any:
        fresh = uuid.uuid4()
        head = batch.image.head.replace(str(batch.id).encode(), str(fresh).encode())
        image = make_image(head, batch.lines)
        return original(self, stream, dataclasses.replace(batch, id=fresh, image=image))

    sender._try = other


def _mark_first() -> None:
    """What is marked as done is sent afterwards."""
    from outbox import delivery
    from outbox.core.answers import Judgement, TryOutcome

    module: Any = delivery
    send, settle = module._Sender.send, module.settle
    stash: list[Any] = []

    def marked(self: Any, stream: str, batch: Any) -> Any:
        stash[:] = [self, stream, batch]
        return Judgement(TryOutcome.DONE, status=200)

    def settled(*args: Any) -> Any:
        result = settle(*args)
        send(*stash)
        return result

    module._Sender.send = marked
    module.settle = settled


def _made_anew() -> None:
    """What a crash or a failed try left is forgotten, and another batch is made of it."""
    from outbox import settling

    def forget(cursor: Any, stream: Any) -> None:
        cursor.execute(
            "DELETE FROM outbox_batch WHERE stream_id = %s AND state = 'open'", [stream.id]
        )

    module: Any = settling
    module.take_open = forget


install(os.environ.get("KILLS_MUTANT", ""))
