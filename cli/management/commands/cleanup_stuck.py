"""`cleanup_stuck`: the reaper's rules, now and without its brakes."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from cli.command import WorkspaceCommand
from syncjobs.claims.reaping import clean_up


class Command(WorkspaceCommand):
    help = (
        "Take back stuck records at once: lease run out, no progress, past the deadline, cancel not"
        " answered. In one workspace, or in all where none is named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", help="name of the workspace (default: all)")
        parser.add_argument("--dry-run", action="store_true", help="only say what is stuck")
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def run(self, *args: object, **options: Any) -> None:
        named = options["workspace"]
        dry_run = options["dry_run"]
        done = clean_up(
            by="command line",
            workspace_ids=[self.get_workspace(named).pk] if named else None,
            dry_run=dry_run,
        )
        if options["json"]:
            records = [
                {"id": str(stuck.record_id), "rule": stuck.finding.rule.value}
                | {"reason": stuck.finding.words}
                for stuck in done.records
            ]
            told = {"count": done.count, "by_rule": done.by_rule, "records": records}
            self.write_json(told | {"dry_run": dry_run})
            return
        for stuck in done.records:
            self.stdout.write(f"{stuck.record_id}  {stuck.finding.rule}: {stuck.finding.words}")
        self.stdout.write(done.describe(dry_run=dry_run))
