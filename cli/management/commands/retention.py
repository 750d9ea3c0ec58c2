"""`retention [--dry-run]`: removes the versions that no rule keeps, or says which ones would go."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.keeping import tell_retention
from cli.command import WorkspaceCommand
from datasets.models import DatasetKind
from syncjobs.claims.halting import Halted
from syncjobs.upkeep.retention import RetentionPlan, name_keep_rule, plan_all, retain


class Command(WorkspaceCommand):
    help = (
        "Remove the versions of datasets that no rule keeps (keep_versions, keep_days, keep_bytes of the job or its"
        " workspace), as a chore does each hour, and say of each dataset with a rule which versions go and how much"
        " that frees. The sweep frees it later. With --dry-run nothing is removed. Without a workspace: all there is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="remove nothing")
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def run(self, *args: object, **options: Any) -> None:
        chosen = self.choose_workspaces(options["workspace"])
        try:
            plans = plan_all(chosen) if options["dry_run"] else retain(chosen)
        except Halted as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json({"items": [_as_json(plan) for plan in plans]})
            return
        for plan in plans:
            self.stdout.write(_line(plan, would=options["dry_run"]))
        if not plans:
            self.stdout.write("no dataset has a rule: every version is kept")


def _as_json(plan: RetentionPlan) -> dict[str, Any]:
    return {"workspace": plan.dataset.workspace.name, **tell_retention(plan), "busy": plan.busy}


def _line(plan: RetentionPlan, *, would: bool) -> str:
    where = f"{plan.dataset.workspace.name}/{plan.dataset.name}"
    rule = ", ".join(f"{name} {value}" for name, value in name_keep_rule(plan.rule).items())
    if plan.busy:
        return f"{where} ({rule}): it was published just then, so the next pass looks again"
    held = f"; {plan.decision.held_back.reason}" if plan.decision.held_back else ""
    going = plan.decision.going
    if not going:
        return f"{where} ({rule}): all {plan.kept_count} versions stay{held}"
    verb = ("would go", "would free") if would else ("went", "frees")
    noun = "contents" if plan.dataset.kind == DatasetKind.FILES else "older states of rows"
    span = f"v{going[0]}" if len(going) == 1 else f"v{going[0]} to v{going[-1]}"
    return (
        f"{where} ({rule}): {span} {verb[0]}, {plan.kept_after} stay; that {verb[1]} {plan.freed_count} {noun},"
        f" {plan.freed_bytes} bytes{held}"
    )
