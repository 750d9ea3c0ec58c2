"""`delete_dataset DATASET`: deletes all that a dataset holds."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.keeping import tell_deleted
from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from datasets.models import Dataset
from syncjobs.configuration.dataset_deletion import (
    DatasetInUse,
    WhatGoes,
    delete_dataset,
    find_use,
    measure_deletion,
)


class Command(WorkspaceCommand):
    help = (
        "Delete a dataset: all its versions, its tables in the home database and its search index. Its job has to be"
        " switched off before; the job and its records stay. Tables in the database of a connector stay too. Without"
        " --yes the name has to be typed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("--dry-run", action="store_true", help="say what would go")
        parser.add_argument("--yes", action="store_true", help="do not ask")
        parser.add_argument("--json", action="store_true", help="print what went as JSON")

    def run(self, *args: object, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        if not options["dry_run"] and not options["yes"]:
            self._ask(dataset)
        try:
            if options["dry_run"] and (use := find_use(dataset)) is not None:
                raise use
            gone = measure_deletion(dataset) if options["dry_run"] else delete_dataset(dataset)
        except DatasetInUse as exc:
            raise CommandError(f"{dataset.name} was not deleted: {exc}") from None
        if options["json"]:
            self.write_json(tell_deleted(dataset, gone))
            return
        for line in _tell(dataset, gone, would=options["dry_run"]):
            self.stdout.write(line)

    def _ask(self, dataset: Dataset) -> None:
        """Raises CommandError."""
        if not sys.stdin.isatty():
            raise CommandError(
                "nobody can be asked here: add --yes, or --dry-run to see what would go"
            )
        for line in _tell(dataset, measure_deletion(dataset), would=True):
            self.stdout.write(line)
        self.stdout.flush()
        if input(f"Type {dataset.name} to delete it: ").strip() != dataset.name:
            raise CommandError("nothing was deleted: that was not the name")


def _tell(dataset: Dataset, gone: WhatGoes, *, would: bool) -> list[str]:
    verb = "would go" if would else "gone"
    said = [
        f"{dataset.name}: {gone.versions} versions {verb}, {gone.size_bytes} bytes, {gone.rows} rows,"
        f" {gone.texts} texts of the search index"
    ]
    said += [f"table {verb}: {table.schema}.{table.relation}" for table in gone.tables]
    said += [f"table stays: {table.schema}.{table.relation}" for table in gone.tables_left]
    if gone.job is not None:
        said.append(f"job {gone.job} stays, switched off, with {gone.records} records")
    if gone.tree:
        said.append(f"the files of {gone.tree} stay: empty it before the job syncs again")
    return said
