"""A small stack for the launcher's tests: `python -m tests.embedded.toy_stack DATA_DIR [broken|tied]`.

Real PostgreSQL and Valkey, toys for the product's processes: starting those takes seconds.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from embedded import home, postgres, valkey
from embedded.child import Program, StartStage
from embedded.errors import StackError, StopAsked
from embedded.launcher import Launcher
from embedded.parent import Parent
from embedded.readiness import has_logged

SURFACES = ("web", "beat")


def toy(data_dir: Path, name: str, stage: StartStage, argv: Sequence[str]) -> Program:
    return Program(
        name=name,
        argv=argv,
        env={**os.environ, **home.mark(data_dir)},
        stage=stage,
        is_ready=has_logged(" ready."),
        log=data_dir / "log" / f"{name}.log",
        stop=((signal.SIGTERM, 5.0),),
    )


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main(data_dir: Path, *, broken: bool, tied: bool) -> int:
    is_told = Parent().was_interrupted if tied else lambda: False
    with closing(home.open_home(data_dir)), Launcher(say, is_told) as launcher:
        home.wait_for_leftovers(data_dir, say)
        database = postgres.prepare_postgres(data_dir)
        broker = valkey.prepare_valkey(data_dir)
        servers = [
            database.program(data_dir / "log" / "postgres.log"),
            broker.program(data_dir / "log" / "valkey.log", home.mark(data_dir)),
        ]
        order = str(data_dir / "order")

        def words(name: str) -> list[str]:
            asked = [order, str(database.port), str(broker.port)]
            return [sys.executable, "-m", "tests.embedded.toy_child", name, *asked]

        toys = [toy(data_dir, "worker", StartStage.WORKERS, words("worker"))]
        toys += [toy(data_dir, name, StartStage.SURFACES, words(name)) for name in SURFACES]
        if broken:
            argv = ["/bin/sh", "-c", "echo out of cheese >&2; exit 3"]
            toys.append(toy(data_dir, "broken", StartStage.SURFACES, argv))
        try:
            launcher.start(servers)
            launcher.start(toys)
            for child in launcher.children:
                say(f"{child.name}={child.pid}")
            say("up")
            launcher.watch()
        except StopAsked:
            say("stopping")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(Path(sys.argv[1]), broken="broken" in sys.argv, tied="tied" in sys.argv))
    except StackError as error:
        say(str(error))
        say(getattr(error, "last_lines", ""))
        sys.exit(1)
