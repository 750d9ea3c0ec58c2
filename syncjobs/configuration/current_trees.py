"""Where a job may keep its current tree: below TREE_ROOT, and apart from every other job's."""

from __future__ import annotations

from itertools import accumulate

from django.conf import settings
from django.db.models import Q

from syncjobs.models import SyncJob
from syncjobs.order.structures import Misfit


def refuse_taken_tree(job: SyncJob) -> None:
    """Raises Misfit. Jobs of all workspaces share the folder, so a name of another workspace's is not told."""
    if settings.TREE_ROOT is None:
        raise Misfit("no job may keep a tree here: whoever runs the installation sets TREE_ROOT")
    here_and_above = accumulate(job.current_tree.split("/"), "{}/{}".format)
    near = Q(current_tree__in=here_and_above) | Q(current_tree__startswith=f"{job.current_tree}/")
    if SyncJob.objects.exclude(pk=job.pk).filter(near).exists():
        raise Misfit(
            "another job keeps its tree there, above it, or below it: choose a folder apart"
        )
