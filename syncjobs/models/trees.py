"""What is known of the plain trees that jobs keep."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from syncjobs.models.jobs import SyncJob


class CurrentTree(models.Model):
    """The folder of one job. It shows `version`, or is on its way from there to `target`."""

    job = models.OneToOneField(SyncJob, models.CASCADE, primary_key=True, related_name="tree")
    path = models.CharField(max_length=500)  # below TREE_ROOT, as it was when it was begun
    version = models.PositiveIntegerField(null=True)  # NULL: it was never whole
    target = models.PositiveIntegerField(null=True)  # NULL: nobody is at it
    warning = models.TextField(blank=True, default="")
    at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.path}: version {self.version}"
