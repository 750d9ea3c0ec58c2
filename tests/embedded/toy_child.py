"""A program for the launcher's tests: `python -m tests.embedded.toy_child NAME FILE PORT...`.

It says that it is ready, starts a child of its own, and at SIGTERM notes its name and which of the
ports still answer.
"""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path


def main() -> None:
    name, file, ports = sys.argv[1], Path(sys.argv[2]), [int(port) for port in sys.argv[3:]]
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    grandchild = subprocess.Popen(["/bin/sleep", "1000"])
    sys.stderr.write(f"{name} ready.\n")
    sys.stderr.flush()
    number = signal.sigwait({signal.SIGTERM, signal.SIGINT})
    with file.open("a") as notes:
        answers = " ".join(str(_answers(port)) for port in ports)
        notes.write(f"{name} {signal.Signals(number).name} {answers}\n")
    grandchild.kill()
    grandchild.wait()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    main()
