"""What commands share that look at the tables of a far end, or at the files of a dataset as tables."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser

from cli.bars import busy
from cli.finding import list_names
from connectors.models import Connector
from connectors.offers import OffersNoRows
from datasets.models import Dataset, DatasetKind, Version
from datasets.reading import NoSuchVersion, get_version
from farends.errors import RootMissing, TransportError
from farends.registry import UnknownKind
from farends.tabular.entity import FileFormat
from store.errors import StoreError
from workspaces.lookup import find_row
from workspaces.models import Workspace


def add_source_arguments(parser: CommandParser) -> None:
    parser.add_argument(
        "connector",
        metavar="CONNECTOR",
        help="a connector of kind sql or rest; or a dataset of files, whose files are shown as tables",
    )
    parser.add_argument(
        "--dataset",
        action="store_true",
        help="CONNECTOR names a dataset, though a connector has the same name",
    )
    parser.add_argument(
        "--format",
        type=FileFormat,
        choices=list(FileFormat),
        metavar="FORMAT",
        help="of the files of a dataset: csv, jsonl, parquet or xlsx (default: what the end of each name says)",
    )


def need_source(workspace: Workspace, options: dict[str, Any]) -> Connector | Version:
    """A connector, or the current version of a dataset of files. Raises CommandError."""
    called, found = options["connector"], None
    if not options["dataset"] and options["format"] is None:
        connectors = Connector.objects.select_related("workspace")
        found = find_row(connectors, workspace, called)
    if found is not None:
        return found
    held = find_row(Dataset.objects.filter(kind=DatasetKind.FILES), workspace, called)
    if held is None:
        raise CommandError(_tell_none(workspace, called))
    try:
        return get_version(held)
    except NoSuchVersion:
        raise CommandError(f"dataset {held.name} has no version yet: run its job first") from None


def _tell_none(workspace: Workspace, called: str) -> str:
    connectors = list_names(Connector.objects.filter(workspace=workspace))
    datasets = list_names(Dataset.objects.filter(workspace=workspace, kind=DatasetKind.FILES))
    return (
        f"no connector and no dataset of files {called!r}; there are the connectors: {connectors}; and the datasets:"
        f" {datasets}"
    )


@contextmanager
def asking(source: Connector | Version) -> Iterator[None]:
    """Raises CommandError where the far end does not answer, or there is no such table."""
    name = source.name if isinstance(source, Connector) else source.dataset.name
    try:
        with busy(f"asking {name}"):
            yield
    except RootMissing as exc:
        raise CommandError(f"{exc}; `entities {name}` lists what there is") from None
    except (StoreError, OSError) as exc:
        raise CommandError(f"a file cannot be read: {exc}") from None
    except (TransportError, OffersNoRows, UnknownKind) as exc:
        raise CommandError(str(exc)) from None
