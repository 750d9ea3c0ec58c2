"""What the commands for datasets share."""

from __future__ import annotations

from django.core.management.base import CommandError

from datasets.models import Dataset
from workspaces.models import Workspace


def need_dataset(workspace: Workspace, name: str) -> Dataset:
    """Raises CommandError."""
    dataset = Dataset.objects.filter(workspace=workspace, name=name).first()
    if dataset is None:
        known = ", ".join(workspace.datasets.values_list("name", flat=True)) or "none"
        raise CommandError(f"no dataset {name!r}; there are: {known}")
    return dataset
