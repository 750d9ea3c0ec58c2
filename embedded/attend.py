"""`python -m embedded.attend COMMAND...`: a worker, beat or web process of a container, under a watchdog.

Docker only marks a container as unhealthy. It starts a container again that has ended.
So the watchdog stands beside the process, ends one that is stuck as a whole, and ends itself with
status 75. Signals go on to the process, and its end is ours. An orchestrator that acts on liveness probes
(Kubernetes, Swarm) can ask `python -m embedded.alive` instead.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from embedded import options
from embedded.child import SHOWN_WITHIN_S, ask_where_it_hangs, kill_group, spawn
from embedded.errors import StackError
from embedded.variables import Variables
from embedded.watchdog import Watchdog

EXIT_STUCK = 75  # EX_TEMPFAIL, as of a worker with a thread that hangs
_POLL_S = 0.2
_PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)


def main(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """The exit status of the command, as a shell tells it; `EXIT_STUCK` where it had to be ended."""
    try:
        given = Variables(environment)
        database_url, silent_s = given.find("DATABASE_URL"), options.read_silent_s(given)
    except StackError as error:
        return _refuse(str(error))
    if not argv or database_url is None:
        return _refuse("usage: python -m embedded.attend COMMAND..., with DATABASE_URL set")
    watchdog = Watchdog(database_url, silent_s=silent_s)
    process = spawn(argv, env=environment, cwd=Path.cwd())
    started_at = time.monotonic()

    def pass_on(number: int, frame: FrameType | None) -> None:
        process.send_signal(number)

    for number in _PASSED_ON:
        signal.signal(number, pass_on)
    while (status := process.poll()) is None:
        watchdog.turn()
        silence_s = watchdog.silence_s(process.pid, started_at)
        if silence_s is not None:
            _say(f"{argv[0]} is stuck, silent for {silence_s:.0f} s: ending it")
            ask_where_it_hangs(process.pid)
            time.sleep(SHOWN_WITHIN_S)
            kill_group(process.pid)
            process.wait()
            return EXIT_STUCK
        time.sleep(_POLL_S)
    return 128 - status if status < 0 else status


def _refuse(words: str) -> int:
    _say(words)
    return 2


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
