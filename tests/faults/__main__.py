"""`python -m tests.faults`: one run with a seed, judged by the checker; status 1 where it finds anything."""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import time
from dataclasses import asdict
from pathlib import Path

from tests.faults import checking, evidence, running
from tests.faults.indexes import check_indexes
from tests.faults.mutants import MUTANTS, Mutant
from tests.faults.plans import Kind, Plan, make_plan
from tests.faults.running import Report, Runner
from tests.faults.stand import PRODUCTION, Pace, Stand, connect_admin, standing, stop_at_signals
from tests.faults.takeovers import KillRunner, plan_for_kills


def main() -> int:
    asked = _arguments()
    stop_at_signals()
    mutant = MUTANTS[asked.mutant].mended() if asked.mended else MUTANTS[asked.mutant]
    pace = PRODUCTION if asked.kills else Pace()
    plan = (
        plan_for_kills(asked.seed)
        if asked.kills
        else make_plan(asked.seed, asked.seconds, asked.only or mutant.kinds, mutant.points)
    )
    say(
        f"seed {plan.seed}, {plan.seconds:.0f} s, {len(plan.faults)} faults, broken: {mutant.broken}"
    )
    if asked.plan:
        for fault in plan.faults:
            say(fault.describe())
        return 0
    try:
        return _run(plan, pace, mutant, asked)
    except KeyboardInterrupt:
        say("\ninterrupted; everything that was started is ended")
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="by default another each time")
    parser.add_argument("--seconds", type=float, default=600, help="of faults; then comes quiet")
    parser.add_argument("--kills", type=int, default=0, help="measure so many takeovers instead")
    parser.add_argument("--mutant", choices=sorted(MUTANTS), default="none", help="a broken build")
    parser.add_argument("--mended", action="store_true", help="the mutant's run, nothing broken")
    parser.add_argument(
        "--only", type=lambda text: [Kind(word) for word in text.split(",")], help="kinds of faults"
    )
    parser.add_argument("--plan", action="store_true", help="print the plan and end")
    parser.add_argument("--keep", type=Path, help="where logs and journal go; else a new folder")
    parser.add_argument("--report", type=Path, help="write findings and figures there, as JSON")
    parser.add_argument("--verbose", action="store_true", help="a line for each fault")
    asked = parser.parse_args()
    if asked.seed is None:
        asked.seed = random.SystemRandom().randrange(1_000_000)
    return asked


def _run(plan: Plan, pace: Pace, mutant: Mutant, asked: argparse.Namespace) -> int:
    began = time.monotonic()
    with standing(plan, pace, mutant) as stand:
        for kind, why in stand.lacks.items():
            say(f"{kind.value} is left out: {why}")
        if asked.kills:
            report = KillRunner(stand, say, asked.kills, verbose=asked.verbose).run()
        else:
            report = Runner(stand, say, verbose=asked.verbose).run()
        checked = _judge(stand, report)
        _tell(checked, plan, time.monotonic() - began)
        if checked.findings or asked.keep:
            _keep(stand, report, asked.keep)
        if asked.report:
            asked.report.write_text(
                json.dumps(
                    {
                        "seed": plan.seed,
                        "findings": [asdict(finding) for finding in checked.findings],
                        "figures": checked.figures,
                    },
                    indent=2,
                )
            )
    return 1 if checked.findings else 0


def _judge(stand: Stand, report: Report) -> checking.Checked:
    swept = running.sweep()
    with connect_admin(stand.servers) as admin:
        workspaces = {job.dataset_id: job.workspace_id for job in stand.jobs}
        found = evidence.read(admin, stand.store, workspaces)
        unindexed = evidence.unindexed_packs(admin, stand.store)
    checked = checking.check(found, stand.jobs, off_at=report.off_at)
    checking.check_cancels(
        checked,
        found,
        [(cancel.record_id, cancel.at) for cancel in report.cancelled],
        report.outages,
        grace_s=3 * stand.pace.lease_s,
    )
    checking.check_living(
        checked, found.history, stand.processes.hurt, report.outages, stand.pace.lease_s
    )
    for process, error in evidence.refused_heartbeats(stand.home / "log"):
        checked.find("heartbeat.refused", process, error)
    left = [*stand.store.glob("*/partial/*"), *unindexed]
    left += running.leftovers(stand.home / "tmp")
    for path in left:
        checked.find("store.orphan", path.name, f"{path.stat().st_size} bytes after the sweep")
    for death in stand.processes.deaths:
        checked.find("process.died", death.process, f"{death.how}: {death.log_tail}")
    for name in report.unready:
        checked.find(
            "process.unready", name, f"not at work {running.READY_S:.0f} s after the faults"
        )
    for name in report.behind:
        checked.find("job.behind", name, f"no good record {running.HEAL_S:.0f} s after the faults")
    for words in report.unindexed:
        checked.find(
            "index.behind", words, f"not current {running.INDEX_S:.0f} s after all records"
        )
    if stand.processes.slots["index"]:
        check_indexes(checked)
    killed = stand.processes.killed
    takeovers = checking.find_takeovers(found.history, killed)
    checked.figures |= {
        "kills": f"{len(killed)} of processes, with {len(takeovers)} records in work",
        "taken back": checking.distribution(one.taken_back_s for one in takeovers),
        "claimed": checking.distribution(
            one.claimed_s for one in takeovers if one.claimed_s is not None
        ),
        "versions": f"{len(found.versions)}, of {sum(map(len, found.entries.values()))} entries;"
        f" {len(found.blobs)} blobs read again",
        "swept": f"{swept} leftovers",
        "quiet": f"every process at work after {report.ready_s:.1f} s,"
        f" every job in order {_seconds(report.healed_s)} after that,"
        f" every record final {_seconds(report.ended_s)} after the last fire,"
        f" every index current {_seconds(report.indexed_s)} after that",
        "a person": f"released {report.released} held records",
    }
    return checked


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"


def _tell(checked: checking.Checked, plan: Plan, took_s: float) -> None:
    say(f"{took_s:.0f} s in all")
    for name, figure in checked.figures.items():
        say(f"  {name:10} {figure}")
    if not checked.findings:
        say("no findings")
        return
    by_rule: dict[str, list[checking.Finding]] = {}
    for finding in checked.findings:
        by_rule.setdefault(finding.rule, []).append(finding)
    for rule, findings in by_rule.items():
        say(f"{rule}: {len(findings)}")
        for finding in findings[:5]:
            say(f"  {finding.subject}: {finding.evidence}")
    say(f"again: make faults SEED={plan.seed} SECONDS={plan.seconds:.0f}")


def _keep(stand: Stand, report: Report, folder: Path | None) -> None:
    """Logs, the plan and what became of it."""
    kept = folder or Path("var") / f"faults-{stand.plan.seed}"
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(stand.home / "log", kept)
    for name in ("postgres.log", "valkey.log"):
        shutil.copy(stand.servers.data_dir / "log" / name, kept)
    (kept / "plan.txt").write_text("".join(f"{fault.describe()}\n" for fault in stand.plan.faults))
    (kept / "journal.txt").write_text("".join(f"{line}\n" for line in report.journal))
    say(f"logs, plan and journal: {kept}")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
