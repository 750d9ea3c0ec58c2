"""`checkout DATASET [--version N] DIRECTORY`: a version as a tree of plain files; `checkout --follow DATASET`: the
tree that its job keeps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import busy, file_bar
from cli.command import VersionedCommand
from cli.finding import need_dataset
from database.sessions import open_session
from datasets.checkout import DestinationNotEmpty, TreeFile, check_out
from datasets.models import Dataset, DatasetKind, Version
from datasets.reading import NoSuchVersion, get_version, iter_entries
from datasets.store import open_store
from farends import names
from store.errors import StoreError
from syncjobs.models import SyncJob
from syncjobs.works.files.trees import TreeRefused, follow

_COUNTED = ("written", "removed", "put_back", "foreign", "refused")


class Command(VersionedCommand):
    help = (
        "Write a dataset's version (the current one, or --version N) as plain files into a folder. With --follow,"
        " bring the tree that the dataset's job keeps (current_tree) to the current version, as each sync does: only"
        " what differs is written."
    )

    def create_parser(self, *args: Any, **kwargs: Any) -> CommandParser:
        parser = super().create_parser(*args, **kwargs)
        # Else a DIRECTORY behind an option is none: argparse takes one that may be left out for left out there.
        parser.parse_args = parser.parse_intermixed_args  # type: ignore[method-assign]
        return parser

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("directory", type=Path, metavar="DIRECTORY", nargs="?")
        parser.add_argument(
            "--follow", action="store_true", help="bring the job's own tree to the current version"
        )
        parser.add_argument("--json", action="store_true", help="print what was written as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        dataset = need_dataset(workspace, options["dataset"])
        if dataset.kind != DatasetKind.FILES:
            raise CommandError(f"{dataset.name} holds tables: `rows` prints them")
        if options["follow"]:
            self._follow(dataset, options)
            return
        if options["directory"] is None:
            raise CommandError("give a DIRECTORY, or --follow for the tree that the job keeps")
        try:
            version = get_version(dataset, options["number"])
            with file_bar("checking out", version.file_count, version.size_bytes) as bar:
                tree = check_out(
                    _files(version),
                    open_store(workspace.pk),
                    options["directory"],
                    advance=lambda file: bar(1, file.size_bytes),
                )
        except (NoSuchVersion, DestinationNotEmpty, StoreError, OSError) as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            told = {"dataset": dataset.name, "version": version.number, "files": tree.files}
            refused = [
                {"path": names.to_text(path), "reason": reason} for path, reason in tree.refused
            ]
            more = {"bytes": tree.size_bytes, "directory": str(options["directory"])}
            self.write_json(told | more | {"not_written": refused})
        else:
            self.stdout.write(
                f"{dataset.name} v{version.number}: {tree.files} files, {tree.size_bytes} bytes"
                f" in {options['directory']}"
            )
        for path, reason in tree.refused:
            self.stderr.write(f"not written: {names.to_text(path)}: {reason}")
        if tree.refused:
            raise CommandError(f"{len(tree.refused)} files could not be written here")

    def _follow(self, dataset: Dataset, options: dict[str, Any]) -> None:
        if options["directory"] is not None or options["number"] is not None:
            raise CommandError("--follow goes with neither a DIRECTORY nor --version")
        job = SyncJob.objects.filter(dataset=dataset).exclude(current_tree="").first()
        if job is None:
            raise CommandError(f"the job of {dataset.name} keeps no tree: set its current_tree")
        session = open_session(statement_timeout_s=300, name="checkout")
        try:
            with closing(session), busy(f"bringing {job.current_tree}"):
                done = follow(session, job, open_store(dataset.workspace_id))
        except (TreeRefused, StoreError, OSError) as exc:
            raise CommandError(str(exc)) from None
        brought = done.brought
        if options["json"]:
            counts = {name: getattr(brought, name) for name in _COUNTED}
            head = {"dataset": dataset.name, "version": done.version}
            self.write_json(head | counts | {"directory": str(done.folder)})
        else:
            self.stdout.write(
                f"{dataset.name} v{done.version} in {done.folder}: {brought.written} files written,"
                f" {brought.removed} removed"
            )
        if done.warning:
            self.stderr.write(done.warning)
        if brought.refused:
            raise CommandError(f"{brought.refused} files could not be written here")


def _files(version: Version) -> Iterator[TreeFile]:
    for entry in iter_entries(version.dataset, version.number):
        path = names.from_text(entry.path)
        yield TreeFile(path, bytes(entry.sha256), entry.size_bytes, entry.modified_ns)
