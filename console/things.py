"""Finds what has a name: jobs, connectors, datasets, streams, records by the beginning of their id, and paths of files."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db import DatabaseError, connection, transaction
from django.db.models import QuerySet, Value
from django.urls import reverse

from connectors.models import Connector
from console.words import path_words
from datasets.models import Dataset, Entry
from outbox.models import Stream
from syncjobs.models import SyncJob, SyncRecord
from workspaces.lookup import filter_by_part_of_name
from workspaces.models import Workspace

MOST = 5  # of each kind
LETTERS_MIN = 2
PATHS_WITHIN_MS = 500  # a part of a path is looked for in all of them
_ID_BEGINS = re.compile(r"[0-9a-f]{8}[0-9a-f-]{0,28}", re.I)


@dataclass(frozen=True, slots=True)
class Thing:
    """What it is, what it is called, where its page is, and what else tells it from its like."""

    noun: str
    name: str
    url: str
    more: str = ""


def find_things(workspace: Workspace, text: str) -> list[Thing]:
    """At most a few of each kind, by name; nothing for a text that is too short to mean one."""
    text = text.strip().strip('"')
    if len(text) < LETTERS_MIN:
        return []
    return [
        *_iter_named(workspace, text),
        *_iter_paths(workspace, text),
    ]


def _iter_named(workspace: Workspace, text: str) -> Iterator[Thing]:
    kinds = (
        ("job", SyncJob, "syncjobs_syncjob"),
        ("connector", Connector, "connectors_connector"),
        ("dataset", Dataset, "datasets_dataset"),
        ("stream", Stream, "outbox_stream"),
    )
    # One statement for all kinds: the search itself costs enough of them.
    found = [
        filter_by_part_of_name(model._default_manager.all(), workspace, text)
        .order_by("name")
        .values_list(Value(at), "pk", "name", Value(""))[:MOST]
        for at, (_, model, _) in enumerate(kinds)
    ]
    by_host = Connector.objects.filter(workspace=workspace, host__icontains=text).order_by("host")
    found.append(by_host.values_list(Value(1), "pk", "name", "host")[:MOST])
    if _ID_BEGINS.fullmatch(text) is not None:
        records = _find_records(workspace, text)
        found.append(records.values_list(Value(len(kinds)), "pk", "job__name", "state")[:MOST])
    for at, pk, name, more in found[0].union(*found[1:], all=True):
        if at < len(kinds):
            noun, _, page = kinds[at]
            yield Thing(noun, name, reverse(f"admin:{page}_change", args=[pk]), more)
        else:
            url = reverse("admin:syncjobs_syncrecord_change", args=[pk])
            yield Thing("record", str(pk), url, f"{name}, {more.replace('_', ' ')}")


def _find_records(workspace: Workspace, beginning: str) -> QuerySet[SyncRecord]:
    digits = beginning.replace("-", "").lower()
    least, most = (uuid.UUID(digits.ljust(32, end)) for end in ("0", "f"))
    return SyncRecord.either.filter(workspace=workspace, pk__gte=least, pk__lte=most)


def _iter_paths(workspace: Workspace, text: str) -> Iterator[Thing]:
    """Of current files. Where the paths are so many that it takes too long, none."""
    rows = Entry.objects.filter(
        dataset__workspace=workspace, until=None, path__icontains=text
    ).values_list("dataset_id", "dataset__name", "path")
    try:
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {PATHS_WITHIN_MS}")
            found = list(rows[:MOST])
    except DatabaseError:
        return
    for dataset_id, dataset, path in found:
        page = reverse("admin:datasets_dataset_change", args=[dataset_id])
        folder = path.rpartition("/")[0]
        yield Thing("file", path_words(path), f"{page}?{_query(folder, path)}", dataset)


def _query(folder: str, path: str) -> str:
    return urlencode({"folder": folder, "from": path})
