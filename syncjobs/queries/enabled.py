"""The jobs that a request to sync a connector, or a whole workspace, is for."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from connectors.models import Connector, ConnectorStatus
from syncjobs.models import SyncJob
from workspaces.models import Workspace


def enabled_jobs(workspace: Workspace) -> list[SyncJob]:
    """Returns the enabled jobs of active connectors, and those that read a dataset, by name."""
    able = Q(connector=None) | Q(connector__status=ConnectorStatus.ACTIVE)
    return list(_enabled(workspace).filter(able))


def enabled_jobs_of(connector: Connector) -> list[SyncJob]:
    return list(_enabled(connector.workspace).filter(connector=connector))


def _enabled(workspace: Workspace) -> QuerySet[SyncJob]:
    rows = SyncJob.objects.filter(workspace=workspace, enabled=True)
    return rows.select_related("connector", "source_dataset", "workspace").order_by("name")
