"""`diff DATASET N M`: what differs between two versions."""

from __future__ import annotations

import sys
from collections import Counter
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from cli.lines import write_object
from datasets.diffs import Difference, Side, iter_differences
from datasets.reading import NoSuchVersion, get_version

TROUBLE = 2  # exit status, as of diff(1)


class Command(WorkspaceCommand):
    help = (
        "List the files that differ between two versions of a dataset: added, changed, removed. Ends"
        " with 0 where none do, with 1 where some do, and with 2 where that cannot be told."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("before", metavar="N", type=int, help="number of the one version")
        parser.add_argument("after", metavar="M", type=int, help="number of the other")
        parser.add_argument("--json", action="store_true", help="print as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            super().handle(*args, **options)
        except CommandError as exc:
            exc.returncode = TROUBLE
            raise

    def run(self, *args: Any, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        try:
            before = get_version(dataset, options["before"]).number
            after = get_version(dataset, options["after"]).number
        except NoSuchVersion as exc:
            raise CommandError(str(exc)) from None
        counts: Counter[str] = Counter()

        def told() -> dict[str, Any]:
            return {name: counts[name] for name in ("added", "changed", "removed")}

        def counted(each: Difference) -> Difference:
            counts[each.change] += 1
            return each

        found = map(counted, iter_differences(dataset.pk, before, after))
        if options["json"]:
            head = {"dataset": dataset.name, "from": before, "to": after}
            write_object(
                partial(self.stdout.write, ending=""), head, "items", map(_as_json, found), told
            )
        else:
            for each in found:
                self.stdout.write(f"{each.change:<8} {each.path}")
            words = ", ".join(f"{count} {name}" for name, count in told().items())
            self.stderr.write(f"{dataset.name} v{before} to v{after}: {words}")
        if counts:
            sys.exit(1)


def _as_json(each: Difference) -> dict[str, Any]:
    return {
        "path": each.path,
        "change": each.change,
        "before": _side_as_json(each.before),
        "after": _side_as_json(each.after),
    }


def _side_as_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"size_bytes": side.size_bytes, "sha256": side.sha256.hex()}
