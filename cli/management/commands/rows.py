"""`rows DATASET`: the rows of a table, as any version holds them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.command import VersionedCommand
from cli.finding import need_dataset
from datasets.models import DatasetKind, Table
from datasets.reading import NoSuchVersion, get_version
from datasets.tables.as_of import iter_rows
from datasets.tables.columns import TableGone, see_table
from datasets.tables.exporting import NoParquet, iter_csv, write_parquet
from syncjobs.queries.tables import (
    NoSuchTable,
    SeveralTables,
    TableAway,
    choose_table,
    moment_of_table,
)

CSV, JSON, PARQUET = "csv", "json", "parquet"
_AT_ONCE = 500  # lines that are written together


class Command(VersionedCommand):
    help = (
        "Print the rows of a table of a dataset, by key, as its current version holds them, or --version N. CSV has a"
        ' line of names; NULL is nothing and an empty text "". JSON is one object a line, each value the text that'
        " PostgreSQL prints, or null."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("dataset", metavar="DATASET")
        parser.add_argument("--table", metavar="T", help="which, where the dataset has several")
        parser.add_argument("--format", choices=[CSV, JSON, PARQUET], default=CSV)
        parser.add_argument(
            "--output",
            type=Path,
            metavar="FILE",
            help="write to this file, which is there when it is whole; Parquet needs one",
        )

    def run(self, *args: object, **options: Any) -> None:
        dataset = need_dataset(self.get_workspace(options["workspace"]), options["dataset"])
        if dataset.kind != DatasetKind.TABLE:
            raise CommandError(f"{dataset.name} holds files: `checkout` writes them to a folder")
        form, output = options["format"], options["output"]
        if form == PARQUET and output is None:
            raise CommandError("Parquet is written to a file: name it with --output")
        try:
            number = get_version(dataset, options["number"]).number
            table = choose_table(dataset, number, options["table"])
            if output is None:
                for block in _read(table, number, form):
                    self.stdout.write(block.decode(), ending="")
            elif form == PARQUET:
                self._write_parquet(table, number, output)
            else:
                with _whole(output) as part, part.open("wb") as target:
                    target.writelines(_read(table, number, form))
        except (NoSuchVersion, NoSuchTable, TableAway, TableGone, NoParquet) as exc:
            raise CommandError(str(exc)) from None
        except SeveralTables as exc:
            raise CommandError(f"say which with --table: {exc}") from None

    def _write_parquet(self, table: Table, number: int, output: Path) -> None:
        with _whole(output) as part, TemporaryDirectory(dir=output.parent, prefix=".rows") as room:
            csv = Path(room) / "rows.csv"
            with csv.open("wb") as target:
                target.writelines(_read(table, number, CSV))
            with moment_of_table(table) as cursor:
                seen = see_table(cursor, table, number)
            if not write_parquet(seen, csv, part):
                self.stderr.write("dates and times stay text: Parquet holds not all of these")


def _read(table: Table, number: int, form: str) -> Iterator[bytes]:
    """Blocks of whole lines."""
    with moment_of_table(table, longest_s=0) as cursor:
        seen = see_table(cursor, table, number)
        if form == CSV:
            yield from iter_csv(cursor, seen)
            return
        rows = iter_rows(cursor, seen)
        while batch := list(islice(rows, _AT_ONCE)):
            lines = [json.dumps(dict(zip(seen.names, row, strict=True))) + "\n" for row in batch]
            yield "".join(lines).encode()


@contextmanager
def _whole(output: Path) -> Iterator[Path]:
    """A file beside it, which takes its place when the block has come to its end."""
    try:
        with TemporaryDirectory(dir=output.parent, prefix=".rows") as room:
            part = Path(room) / output.name
            yield part
            part.replace(output)
    except OSError as exc:
        raise CommandError(f"{output} cannot be written: {exc.strerror or exc}") from None
