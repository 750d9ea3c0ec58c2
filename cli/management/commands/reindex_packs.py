"""`reindex_packs`: what the packs of small contents hold is told to the database once more."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import file_bar
from cli.command import WorkspaceCommand
from datasets.places import Places
from datasets.store import open_store
from store.errors import StoreError
from store.repacking import Reindexed, measure_files, reindex
from workspaces.models import Workspace


class Command(WorkspaceCommand):
    help = (
        "Read every pack of small contents, and note in the database each whole content that it has no place"
        " for, or only a place where the content is no longer whole. For a database whose rows were lost: what"
        " no version names goes with the next sweeps. Safe beside syncs, and may be stopped at any time. In one"
        " workspace, or in all where none is named."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--workspace", help="name of the workspace (default: all)")
        parser.add_argument("--json", action="store_true", help="print the counts as JSON")

    def run(self, *args: object, **options: Any) -> None:
        told = []
        try:
            for workspace in self.choose_workspaces(options["workspace"]):
                done = _reindex(workspace)
                told.append({"workspace": workspace.name} | asdict(done))
                if not options["json"]:
                    self.stdout.write(
                        f"{workspace.name}: {done.packs} packs hold {done.contents} whole contents;"
                        f" {done.added} had no place in the database, {done.replaced} a wrong one"
                    )
        except StoreError as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json({"workspaces": told})


def _reindex(workspace: Workspace) -> Reindexed:
    store, index = open_store(workspace.pk), Places(workspace.pk)
    store.need()
    count, size_bytes = measure_files(store)
    with file_bar(f"reading the packs of {workspace.name}", count, size_bytes) as bar:
        return reindex(store, index, advance=bar)
