"""`checkout DATASET [--version N] DIRECTORY`: a version as a tree of plain files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import file_bar
from cli.command import VersionedCommand
from cli.finding import need_dataset
from datasets.checkout import DestinationNotEmpty, TreeFile, check_out
from datasets.models import DatasetKind, Version
from datasets.reading import NoSuchVersion, get_version, iter_entries
from datasets.store import open_store
from farends import names
from store.errors import StoreError


class Command(VersionedCommand):
    help = (
        "Write a dataset's version (the current one, or --version N) as plain files into a folder."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("directory", type=Path, metavar="DIRECTORY")
        parser.add_argument("--json", action="store_true", help="print what was written as JSON")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        dataset = need_dataset(workspace, options["dataset"])
        if dataset.kind != DatasetKind.FILES:
            raise CommandError(f"{dataset.name} holds tables: `rows` prints them")
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


def _files(version: Version) -> Iterator[TreeFile]:
    for entry in iter_entries(version.dataset, version.number):
        path = names.from_text(entry.path)
        yield TreeFile(path, bytes(entry.sha256), entry.size_bytes, entry.modified_ns)
