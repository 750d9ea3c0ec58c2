"""Datasets of a workspace, each with its job and its current version."""

from __future__ import annotations

from typing import Any

from django.db.models import OuterRef, QuerySet, Subquery

from datasets.models import Dataset, Version
from workspaces.models import Workspace


def described_datasets(workspace: Workspace) -> QuerySet[Any]:
    current = Version.objects.filter(dataset=OuterRef("pk"), is_current=True)
    return (
        Dataset.objects.filter(workspace=workspace)
        .select_related("job")
        .only("name", "kind", "workspace_id", "created_at", "job__name")
        .annotate(
            current_version=Subquery(current.values("number")),
            file_count=Subquery(current.values("file_count")),
            size_bytes=Subquery(current.values("size_bytes")),
            published_at=Subquery(current.values("created_at")),
        )
    )
