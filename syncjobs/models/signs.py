"""Signs of life and running totals of the whole installation."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models


class ProcessSign(models.Model):
    """A worker, beat or web process, as it last told of itself."""

    name = models.CharField(
        max_length=100, primary_key=True
    )  # of a worker: what `lease_owner` holds
    part = models.CharField(max_length=10, default="worker")  # or `beat`, `web`, `index`
    host = models.CharField(max_length=100, blank=True, default="")
    session = models.PositiveIntegerField(default=0)  # getsid(2): its supervisor's child leads it
    slots = models.PositiveSmallIntegerField(
        default=0
    )  # records at once; of workers, as the next two
    running = models.PositiveSmallIntegerField(default=0)
    draining = models.BooleanField(default=False)
    store_id = models.UUIDField(null=True)  # of the store that it sees; NULL: it sees none
    store_free_bytes = models.BigIntegerField(null=True)  # of that store's disk
    store_size_bytes = models.BigIntegerField(null=True)
    halted = models.CharField(
        max_length=20, blank=True, db_default=""
    )  # why; `datasets.installation`
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Pulse(models.Model):
    """The last sign of life of a part that must never stand still: beat's tick, the reaper."""

    part = models.CharField(max_length=30, primary_key=True)
    at = models.DateTimeField()
    holder = models.CharField(max_length=100, blank=True, default="")

    def __str__(self) -> str:
        return self.part


class EventTotal(models.Model):
    """What records did since the first day, summed; see `syncjobs.upkeep.counting`.

    It stays when records, jobs and workspaces go: a counter never falls.
    """

    workspace_id = models.UUIDField()
    kind = models.CharField(max_length=20)  # of the connector
    event = models.CharField(max_length=30)  # that moved a record; it tells the state
    records = models.PositiveBigIntegerField(default=0)
    # Of records that have ended, dry runs apart:
    bytes_transferred = models.PositiveBigIntegerField(default=0)
    files_added = models.PositiveBigIntegerField(default=0)
    files_changed = models.PositiveBigIntegerField(default=0)
    files_removed = models.PositiveBigIntegerField(default=0)
    files_unchanged = models.PositiveBigIntegerField(default=0)
    files_failed = models.PositiveBigIntegerField(default=0)
    files_skipped = models.PositiveBigIntegerField(default=0)
    files_deferred = models.PositiveBigIntegerField(default=0)
    files_cleared = models.PositiveBigIntegerField(default=0)
    rows_read = models.PositiveBigIntegerField(default=0)
    rows_added = models.PositiveBigIntegerField(default=0)
    rows_changed = models.PositiveBigIntegerField(default=0)
    rows_removed = models.PositiveBigIntegerField(default=0)
    rows_unchanged = models.PositiveBigIntegerField(default=0)
    rows_failed = models.PositiveBigIntegerField(default=0)
    duration_s = models.FloatField(default=0)
    durations = ArrayField(models.BigIntegerField())  # how many between two of DURATION_BOUNDS_S

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "kind", "event"], name="event_total_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.event}: {self.records}"


class HourTotal(models.Model):
    """What ended or was held in one hour of a workspace, by state, summed as `EventTotal` is; plans count nowhere.

    A state is a record's own, or `suspect` where it succeeded with that verdict. Charts read a few hundred of these
    rows, however many records there are.
    """

    workspace_id = models.UUIDField()
    hour = models.DateTimeField(db_index=True)  # its begin; older ones than KEPT_DAYS go
    state = models.CharField(max_length=10)
    records = models.PositiveBigIntegerField(default=0)
    files = models.PositiveBigIntegerField(default=0)  # added or changed
    bytes_transferred = models.PositiveBigIntegerField(default=0)
    held_bytes = models.BigIntegerField(default=0)  # by which the versions grew that they published

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["workspace_id", "hour", "state"], name="hour_total_once"
            )
        ]

    def __str__(self) -> str:
        return f"{self.hour:%Y-%m-%d %H} {self.state}: {self.records}"


DURATION_BOUNDS_S = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)
