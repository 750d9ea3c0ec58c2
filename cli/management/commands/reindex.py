"""`reindex DATASET`: the search index of a dataset is made again."""

from __future__ import annotations

import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.indexes import DatasetIndexOut, tell_index
from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from cli.watching import watch
from search.indexing.asking import (
    IndexIsOff,
    IndexOfDataset,
    NothingToIndex,
    read_index,
    remake_index,
)
from search.models import IndexState
from search.querying.states import read_state

EXIT_BLOCKED = 1


class Command(WorkspaceCommand):
    help = (
        "Let the search index of a dataset be made again, from the files that are held: after a fault, or to try refused"
        " files once more. What is there serves until then, and no text that a model knows is sent to it again. The queue"
        " index does the work. With --wait, end when it is done: 0 current, 1 blocked, which a person must mend."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("--wait", action="store_true", help="wait for the end")
        parser.add_argument("--json", action="store_true", help="print the index as JSON")

    def run(self, *args: object, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        try:
            held = remake_index(dataset)
        except (IndexIsOff, NothingToIndex) as exc:
            raise CommandError(f"dataset {dataset.name} has no index: {exc}") from None

        def ended() -> bool:
            nonlocal held
            held = read_index(dataset)
            return held.state != IndexState.CATCHING_UP

        if options["wait"]:
            watch(ended, lambda: (_describe(held), _percentage(held)), self.stderr.write)
        if options["json"]:
            state = read_state(dataset.workspace_id, [dataset.pk])
            told = DatasetIndexOut.model_validate(tell_index(held, state))
            self.write_json(told.model_dump())
        else:
            self.stdout.write(_describe(held))
        if options["wait"] and held.state == IndexState.BLOCKED:
            sys.exit(EXIT_BLOCKED)


def _describe(held: IndexOfDataset) -> str:
    words = f"{held.dataset}: {held.state}, {held.text_count} texts in {held.chunk_count} chunks"
    if held.refused_count:
        words += f", {held.refused_count} refused"
    if held.pending_texts or held.pending_chunks:
        words += f"; {held.pending_texts} texts and {held.pending_chunks} vectors to come"
    return f"{words}: {held.reason}" if held.reason else words


def _percentage(held: IndexOfDataset) -> float:
    total = held.text_count + held.refused_count + held.pending_texts
    return 100.0 * (1 - held.pending_texts / total) if total else 0.0
