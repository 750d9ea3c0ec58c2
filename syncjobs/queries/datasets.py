"""Datasets of a workspace, each with its job and its current version."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery

from connectors.models import Connector
from datasets.models import Dataset, Table, Version
from workspaces.models import Workspace


def described_datasets(workspace: Workspace) -> QuerySet[Any]:
    current = Version.objects.filter(dataset=OuterRef("pk"), is_current=True)
    return (
        Dataset.objects.filter(workspace=workspace)
        .select_related("job")
        .prefetch_related(Prefetch("tables", described_tables()))
        .only("name", "kind", "workspace_id", "created_at", "job__name")
        .annotate(
            current_version=Subquery(current.values("number")),
            file_count=Subquery(current.values("file_count")),
            row_count=Subquery(current.values("rows")),
            size_bytes=Subquery(current.values("size_bytes")),
            published_at=Subquery(current.values("created_at")),
        )
    )


def described_tables() -> QuerySet[Any]:
    """Tables of which some version tells, each with the name of the connector in whose database it lies."""
    connectors = Connector.objects.filter(pk=OuterRef("connector_id"))
    return (
        Table.objects.exclude(version=None)
        .annotate(connector_name=Subquery(connectors.values("name")))
        .order_by("name")
    )
