"""Finding what a command's words name."""

from __future__ import annotations

from django.core.management.base import CommandError

from syncjobs.models import SyncJob
from workspaces.models import Workspace

NAMED_MAX = 50


def get_job(workspace: Workspace, name: str) -> SyncJob:
    """Raises CommandError, which names the jobs that there are."""
    jobs = SyncJob.objects.filter(workspace=workspace).select_related("workspace")
    job = jobs.filter(name=name).first()
    if job is None:
        names = list(jobs.order_by("name").values_list("name", flat=True)[: NAMED_MAX + 1])
        known = ", ".join(names[:NAMED_MAX]) + (", …" if len(names) > NAMED_MAX else "")
        raise CommandError(f"no sync job {name!r}; there are: {known or 'none'}")
    return job
