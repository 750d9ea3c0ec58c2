"""Finding what a command's words name."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.management.base import CommandError
from django.db.models import Model, QuerySet

from connectors.models import Connector
from datasets.models import Dataset
from outbox.models import Stream
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queries.explaining import AmbiguousRecord, NoSuchRecord, find_record
from workspaces.lookup import find_row
from workspaces.models import Workspace

M = TypeVar("M", bound=Model)
NAMED_MAX = 50


def need_job(workspace: Workspace, called: str) -> SyncJob:
    """Raises CommandError."""
    return _need(SyncJob.objects.select_related("workspace"), workspace, called, "sync job")


def need_dataset(workspace: Workspace, called: str) -> Dataset:
    """Raises CommandError."""
    return _need(Dataset.objects.all(), workspace, called, "dataset")


def need_connector(workspace: Workspace, called: str) -> Connector:
    """Raises CommandError."""
    return _need(Connector.objects.select_related("workspace"), workspace, called, "connector")


def need_record(workspace: Workspace, called: str) -> SyncRecord:
    """By its id, or the beginning of it. Raises CommandError."""
    try:
        return find_record(called, workspace_ids=[workspace.pk])
    except (NoSuchRecord, AmbiguousRecord) as exc:
        raise CommandError(str(exc)) from None


def need_stream(workspace: Workspace, called: str) -> Stream:
    """Raises CommandError."""
    return _need(Stream.objects.select_related("client", "workspace"), workspace, called, "stream")


def list_names(rows: QuerySet[Any]) -> str:
    """The first of them, for who has named another."""
    names = list(rows.order_by("name").values_list("name", flat=True)[: NAMED_MAX + 1])
    return ", ".join(names[:NAMED_MAX]) + (", …" if len(names) > NAMED_MAX else "") or "none"


def _need(rows: QuerySet[M], workspace: Workspace, called: str, noun: str) -> M:
    found = find_row(rows, workspace, called)
    if found is None:
        known = list_names(rows.filter(**{"workspace": workspace}))
        raise CommandError(f"no {noun} {called!r}; there are: {known}")
    return found
