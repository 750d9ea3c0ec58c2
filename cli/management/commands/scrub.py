"""`scrub [DATASET]`: every content that a version names is read once more."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import file_bar
from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from cli.lines import write_object
from cli.repairing import repair
from datasets.models import Dataset
from datasets.scrubbing import DamagedFile, measure, scrub
from store.errors import StoreError
from workspaces.models import Workspace

Damaged = dict[Workspace, dict[bytes, DamagedFile]]  # by content, the first file that has it
TROUBLE = 2  # exit status where nothing could be read at all


class Command(WorkspaceCommand):
    help = (
        "Read every stored content that a version names once more, and list the files whose content is"
        " corrupt or missing, with the versions they belong to, and whether a source may still have it. With"
        " --repair, fetch that again by a record of its job, and say what could not be repaired. Ends with 1"
        " where anything is damaged in the end. Without DATASET: all of the workspace; without a workspace,"
        " either, all there is."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET", nargs="?")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="sync the jobs whose sources may still have what is damaged",
        )
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except CommandError as exc:
            exc.returncode = TROUBLE
            raise

    def run(self, *args: object, **options: Any) -> None:
        chosen = self._choose(options["workspace"], options["dataset"])
        counts: Counter[str] = Counter()
        damaged: Damaged = {}
        repairs: list[dict[str, Any]] = []

        def told() -> dict[str, Any]:
            names = ("contents", "size_bytes", "corrupt", "missing", "unreadable")
            counted = {name: counts[name] for name in names}
            if not options["repair"]:
                return counted
            repairs.extend(self._repair(damaged, counts))
            return counted | {"repaired": counts["repaired"], "not_repaired": repairs}

        try:
            found = _scrub(chosen, counts, damaged)
            if options["json"]:
                write = partial(self.stdout.write, ending="")
                write_object(write, {}, "findings", map(_as_json, found), told)
            else:
                for workspace, finding in found:
                    self.stdout.write(_line(workspace, finding))
                told()
                for each in repairs:
                    where = f"{each['workspace']}/{each['dataset']}: {each['path']}"
                    self.stdout.write(f"not repaired {where} ({each['reason']})")
        except StoreError as exc:
            raise CommandError(str(exc)) from None
        self.stderr.write(_summary(counts))
        if repairs or (counts["damaged"] and not options["repair"]):
            sys.exit(1)

    def _repair(self, damaged: Damaged, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        """Yields those that could not be repaired, each content once."""
        for workspace, findings in damaged.items():
            done = repair(workspace, findings, self.stderr.write)
            counts["repaired"] += done.repaired
            for sha256, reason in done.left.items():
                yield _as_json((workspace, findings[sha256])) | {"reason": reason}

    def _choose(self, workspace: str | None, dataset: str | None) -> dict[Workspace, list[Dataset]]:
        if dataset is not None:
            owner = self.get_workspace(workspace)
            return {owner: [need_dataset(owner, dataset)]}
        return {owner: list(owner.datasets.all()) for owner in self.choose_workspaces(workspace)}


def _scrub(
    chosen: dict[Workspace, list[Dataset]], counts: Counter[str], damaged: Damaged
) -> Iterator[tuple[Workspace, DamagedFile]]:
    for workspace, datasets in chosen.items():
        extent = measure(datasets)
        with file_bar(f"scrubbing {workspace.name}", extent.count, extent.size_bytes) as bar:

            def advance(size_bytes: int, bar: Any = bar) -> None:
                counts["contents"] += 1
                counts["size_bytes"] += size_bytes
                bar(1, size_bytes)

            for finding in scrub(workspace.pk, datasets, advance=advance):
                counts[finding.damage] += 1
                counts["damaged"] += 1
                damaged.setdefault(workspace, {}).setdefault(finding.sha256, finding)
                yield workspace, finding


def _line(workspace: Workspace, finding: DamagedFile) -> str:
    last = "now" if finding.last is None else f"v{finding.last}"
    versions = last if last == f"v{finding.first}" else f"v{finding.first} to {last}"
    where = f"{workspace.name}/{finding.dataset}"
    hope = "its source may still have it" if finding.is_current else "no source is known to have it"
    return f"{finding.damage:<10} {where} {versions}: {finding.path} ({finding.reason}; {hope})"


def _summary(counts: Counter[str]) -> str:
    read = f"{counts['contents']} contents read, {counts['size_bytes']:,} bytes"
    if not counts["damaged"]:
        return f"{read}: all as they were stored"
    damages = ", ".join(f"{counts[name]} {name}" for name in ("corrupt", "missing", "unreadable"))
    told = f"{read}; of the files that have them: {damages}"
    return f"{told}; {counts['repaired']} contents repaired" if counts["repaired"] else told


def _as_json(found: tuple[Workspace, DamagedFile]) -> dict[str, Any]:
    workspace, finding = found
    return {
        "damage": finding.damage,
        "workspace": workspace.name,
        "dataset": finding.dataset,
        "path": finding.path,
        "first_version": finding.first,
        "last_version": finding.last,
        "size_bytes": finding.size_bytes,
        "sha256": finding.sha256.hex(),
        "reason": finding.reason,
        "repairable": finding.is_current,
    }
