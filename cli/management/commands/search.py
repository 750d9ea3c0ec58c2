"""`search QUERY`: what was synced, found by words and by meaning."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.search import SearchAnswerOut, tell_answer
from cli.command import WorkspaceCommand, whole_number
from cli.hits import print_hit
from cli.lines import Lines
from search.querying.question import (
    LIMIT_DEFAULT,
    LIMIT_MAX,
    InvalidQuestion,
    NoSuchDataset,
    Question,
    SearchAnswer,
    SearchMode,
)
from search.querying.search import find_datasets, search


class Command(WorkspaceCommand):
    help = (
        'Search the current files of all datasets: words, "a phrase" that a hit holds as it stands, -word that no'
        " hit holds. The best hits come first."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("query", metavar="QUERY")
        parser.add_argument(
            "--dataset",
            action="append",
            default=[],
            metavar="D",
            help="only this dataset, by id or name; may be repeated",
        )
        parser.add_argument(
            "--mode",
            choices=[mode.value for mode in SearchMode],
            default=SearchMode.BOTH.value,
            help="which lists are made (default: both)",
        )
        parser.add_argument(
            "--limit",
            type=whole_number(1, LIMIT_MAX),
            default=LIMIT_DEFAULT,
            metavar="N",
            help=f"so many hits at most (default: {LIMIT_DEFAULT})",
        )
        parser.add_argument("--json", action="store_true", help="print the answer of REST")

    def run(self, *args: object, **options: Any) -> None:
        workspace = self.get_workspace(options["workspace"])
        try:
            datasets = find_datasets(workspace, options["dataset"])
            question = Question(
                options["query"],
                dataset_ids=tuple(dataset.pk for dataset in datasets),
                mode=SearchMode(options["mode"]),
                limit=options["limit"],
            )
            answer = search(workspace, question)
        except NoSuchDataset as exc:
            raise CommandError(f"no dataset {str(exc)!r} in workspace {workspace.name}") from None
        except InvalidQuestion as exc:
            raise CommandError(str(exc)) from None
        if options["json"]:
            self.write_json(SearchAnswerOut(**tell_answer(answer)).model_dump())
            return
        for hit in answer.items:
            self.stdout.write(Lines("\n".join(print_hit(hit, colours=self._has_colours()))))
        if not answer.items:
            self.stdout.write("Nothing was found.")
        for remark in _list_remarks(answer):
            self.stderr.write(remark)

    def _has_colours(self) -> bool:
        return self.stdout.isatty()


def _list_remarks(answer: SearchAnswer) -> Iterator[str]:
    for each in answer.degraded:
        yield f"not by {each.list}: {each.code}: {each.detail}"
    for behind in answer.index.behind:
        told = f"dataset {behind.dataset}: index {behind.state.value.replace('_', ' ')}"
        pending = f", {behind.pending_texts} texts and {behind.pending_chunks} chunks to go"
        yield (
            told
            + (pending if behind.pending_texts or behind.pending_chunks else "")
            + (f": {behind.reason}" if behind.reason else "")
        )
