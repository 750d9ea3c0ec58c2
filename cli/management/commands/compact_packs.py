"""`compact_packs`: what packs of small contents have lost goes back to the disk."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from cli.bars import file_bar
from cli.command import WorkspaceCommand, whole_number
from datasets.places import Places
from datasets.store import open_store
from store.errors import StoreError
from store.repacking import Compacted, Pack, compact, find_sparse
from syncjobs.claims.halting import Halted, refuse_if_halted
from syncjobs.upkeep.sweeping import KEPT_S
from workspaces.models import Workspace

LOST_PERCENT = 50
DAYS = round(KEPT_S / 86_400)


class Command(WorkspaceCommand):
    help = (
        "Rewrite the packs of small contents that have lost much of what they held, and join small packs."
        f" The contents move first; `sweep` and the daily chore remove the old packs {DAYS} days later, so that"
        " whoever reads there can finish. Damaged contents stay where they are: the next sync of their file"
        " fetches them again. Safe beside syncs, and may be stopped at any time. In one workspace, or in all"
        " where none is named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", help="name of the workspace (default: all)")
        parser.add_argument(
            "--lost",
            metavar="PERCENT",
            type=whole_number(1, 100),
            default=LOST_PERCENT,
            help=f"rewrite packs that lost at least so much of their bytes (default: {LOST_PERCENT})",
        )
        parser.add_argument("--dry-run", action="store_true", help="only say what there is to do")
        parser.add_argument("--json", action="store_true", help="print the figures as JSON")

    def run(self, *args: object, **options: Any) -> None:
        told = []
        try:
            refuse_if_halted("no pack is rewritten")
            for workspace in self.choose_workspaces(options["workspace"]):
                done = _compact(workspace, options["lost"], dry_run=options["dry_run"])
                told.append({"workspace": workspace.name} | asdict(done))
                if not options["json"]:
                    self.stdout.write(_line(workspace, done, dry_run=options["dry_run"]))
        except (StoreError, Halted) as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json({"workspaces": told, "dry_run": options["dry_run"]})


def _compact(workspace: Workspace, lost_percent: int, *, dry_run: bool) -> Compacted:
    store, index = open_store(workspace.pk), Places(workspace.pk)
    store.keep_free(settings.SYNC.min_free_bytes)
    store.prepare()
    sparse = find_sparse(store, index, lost_percent=lost_percent)
    if dry_run:
        return _foresee(sparse)
    count, size_bytes = sum(each.count for each in sparse), sum(each.size_bytes for each in sparse)
    with file_bar(f"compacting {workspace.name}", count, size_bytes) as bar:
        return compact(store, index, sparse, advance=bar)


def _foresee(sparse: list[Pack]) -> Compacted:
    return Compacted(
        packs=len(sparse),
        contents=sum(each.count for each in sparse),
        size_bytes=sum(each.size_bytes for each in sparse),
        freed_bytes=sum(each.lost_bytes for each in sparse),
    )


def _line(workspace: Workspace, done: Compacted, *, dry_run: bool) -> str:
    if not done.packs:
        return f"{workspace.name}: no pack needs rewriting"
    packs = f"{done.packs} packs"
    contents = f"{done.contents} contents ({done.size_bytes:,} bytes)"
    if dry_run:
        return f"{workspace.name}: {contents} of {packs} would move, which frees {done.freed_bytes:,} bytes"
    told = (
        f"{workspace.name}: {contents} of {packs} moved into {done.new_packs};"
        f" {done.freed_bytes:,} bytes are free when the old packs are swept, in {DAYS} days"
    )
    return f"{told}; {done.damaged} damaged contents stay" if done.damaged else told
