"""What goes on while a command waits: a bar on a terminal, else a line at times, where there is something new."""

from __future__ import annotations

import time
from collections.abc import Callable

from cli.bars import level_bar

LOOK_S = 0.25
QUIET_S = 15.0


def watch(
    ended: Callable[[], bool],
    look: Callable[[], tuple[str, float]],
    write: Callable[[str], object],
    *,
    total: float = 100,
    unit: str = "%",
    pause: Callable[[float], object] = time.sleep,
) -> None:
    """Until `ended`. `look` returns what a person is told, and how far it is of `total`."""
    with level_bar(total, unit) as show:
        said, said_at = "", time.monotonic()
        while True:
            if show is not None:
                show(*look())
            pause(LOOK_S)
            if ended():
                break
            if show is None and time.monotonic() - said_at >= QUIET_S:
                said_at, (words, _) = time.monotonic(), look()
                if words != said:
                    write(words)
                    said = words
        if show is not None:
            show(*look())
