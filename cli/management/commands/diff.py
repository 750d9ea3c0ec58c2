"""`diff DATASET N M`: what differs between two versions."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.management.base import CommandError, CommandParser

from api.shapes.tables import tell_row_change
from cli.command import WorkspaceCommand
from cli.finding import need_dataset
from cli.lines import write_object
from datasets.diffs import Difference, EntryChange, Side, iter_differences
from datasets.models import DatasetKind
from datasets.reading import NoSuchVersion, get_version
from datasets.tables.columns import TableGone
from syncjobs.queries.tables import ChangedRow, TableAway, iter_changed_rows

TROUBLE = 2  # exit status, as of diff(1)


class Command(WorkspaceCommand):
    help = (
        "List the files, or the rows of tables, that differ between two versions of a dataset: added, changed,"
        " removed. Ends with 0 where none do, with 1 where some do, and with 2 where that cannot be told."
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

    def run(self, *args: object, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        try:
            before = get_version(dataset, options["before"]).number
            after = get_version(dataset, options["after"]).number
        except NoSuchVersion as exc:
            raise CommandError(str(exc)) from None
        if dataset.kind == DatasetKind.TABLE:
            found: Iterator[_Line] = map(_row_line, iter_changed_rows(dataset, before, after))
        else:
            found = map(_file_line, iter_differences(dataset.pk, before, after))
        try:
            counts = self._tell(dataset.name, before, after, found, as_json=options["json"])
        except (TableAway, TableGone) as exc:
            raise CommandError(str(exc)) from None
        if counts:
            sys.exit(1)

    def _tell(
        self, name: str, before: int, after: int, found: Iterator[_Line], *, as_json: bool
    ) -> Counter[str]:
        counts: Counter[str] = Counter()

        def told() -> dict[str, Any]:
            return {name: counts[name] for name in ("added", "changed", "removed")}

        def counted(each: _Line) -> _Line:
            counts[each.change] += 1
            return each

        lines = map(counted, found)
        if as_json:
            head = {"dataset": name, "from": before, "to": after}
            items = (each.told for each in lines)
            write_object(partial(self.stdout.write, ending=""), head, "items", items, told)
        else:
            for each in lines:
                self.stdout.write(f"{each.change:<8} {each.words}")
            words = ", ".join(f"{count} {change}" for change, count in told().items())
            self.stderr.write(f"{name} v{before} to v{after}: {words}")
        return counts


@dataclass(frozen=True, slots=True)
class _Line:
    """A difference: `words` say of what, `told` is all of it as JSON."""

    change: EntryChange
    words: str
    told: dict[str, Any]


def _file_line(each: Difference) -> _Line:
    told = {
        "path": each.path,
        "change": each.change,
        "before": _side_as_json(each.before),
        "after": _side_as_json(each.after),
    }
    return _Line(each.change, each.path, told)


def _row_line(each: ChangedRow) -> _Line:
    told = tell_row_change(each.tables, each.row)
    key = json.dumps(told["key"], ensure_ascii=False)
    return _Line(each.row.change, f"{told['table']} {key}", told)


def _side_as_json(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {"size_bytes": side.size_bytes, "sha256": side.sha256.hex()}
