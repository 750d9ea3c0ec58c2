"""`python -m tests.outbox.kills`: one run with a seed, judged by the checker; status 1 where it finds anything."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.outbox.kills.checking import Checked, check
from tests.outbox.kills.points import MUTANTS
from tests.outbox.kills.running import KillPlan, Runner, standing


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.outbox.kills", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="by default another each time")
    parser.add_argument("--readings", type=int, default=1_000_000)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--mutant", choices=MUTANTS, default="", help="a broken build")
    parser.add_argument("--report", type=Path, help="write findings and figures there, as JSON")
    parser.add_argument("--keep", type=Path, help="copy every log into this new folder")
    asked = parser.parse_args()
    if asked.seed is None:
        asked.seed = random.SystemRandom().randrange(1_000_000)
    signal.signal(signal.SIGTERM, _interrupt)
    plan = KillPlan(asked.seed, asked.readings, asked.kills, asked.mutant)
    began = time.monotonic()
    with standing(plan) as stand:
        runner = Runner(stand, say)
        try:
            runner.run()
        except AssertionError as exc:
            say(str(exc))
        finally:
            if asked.keep:
                shutil.copytree(stand.home, asked.keep, ignore=shutil.ignore_patterns("arms"))
        stand.end()
        checked = check(stand.taken, stand.tries, stand.senders)
        kills = dict(stand.kills)
    _tell(plan, checked, kills, time.monotonic() - began)
    if asked.report:
        asked.report.write_text(json.dumps({**asdict(checked), "kills": kills}), encoding="utf-8")
    return 1 if checked.findings else 0


def _tell(plan: KillPlan, checked: Checked, kills: dict[str, int], took_s: float) -> None:
    say(
        f"seed {plan.seed}, {took_s:.0f} s: {sum(kills.values())} kills, {checked.acknowledged} readings acknowledged,"
        f" {checked.received} received, {checked.rejected} refused on purpose, {checked.doubled} doubled,"
        f" {checked.sent_again} tries sent again"
    )
    for name, count in sorted(kills.items()):
        say(f"  {count:5} {name}")
    for finding in checked.findings:
        say(f"FOUND {finding}")


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
