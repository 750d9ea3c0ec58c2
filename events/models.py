"""The event log, and how far each of its consumers has read it."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Func, IntegerField, Q
from django.db.models.functions import Now
from django.db.models.lookups import Exact


def _count_given(*columns: str) -> Func:
    return Func(*columns, function="num_nonnulls", output_field=IntegerField())


class SyncEvent(models.Model):
    """One thing that happened, with its reason: timeline, audit and outbox in one row.

    It has one subject: a record, a connector, a dataset or a stream of a workspace; without any of them and
    without a workspace it tells of the installation. `events.writing` writes it, `events.cursors` reads it
    in order.
    """

    # Only the record is a checked reference: the others would lock one row for many writers.
    workspace = models.ForeignKey(
        "workspaces.Workspace",
        models.DO_NOTHING,  # its records, connectors and datasets take their events along
        null=True,
        db_constraint=False,
        db_index=False,
    )
    record = models.ForeignKey(
        "syncjobs.SyncRecord", models.CASCADE, null=True, related_name="events", db_index=False
    )
    connector = models.ForeignKey(
        "connectors.Connector",
        models.CASCADE,
        null=True,
        related_name="events",
        db_constraint=False,
        db_index=False,
    )
    dataset = models.ForeignKey(
        "datasets.Dataset",
        models.CASCADE,
        null=True,
        related_name="events",
        db_constraint=False,
        db_index=False,
    )
    stream_id = models.UUIDField(null=True)
    at = models.DateTimeField(db_default=Now(), editable=False)  # no worker's clock
    event = models.CharField(max_length=30)
    from_state = models.CharField(max_length=10, blank=True, default="")
    to_state = models.CharField(max_length=10, blank=True, default="")
    token = models.BigIntegerField(default=0)  # of the record's claim
    reason = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        constraints = [
            models.CheckConstraint(
                condition=Exact(
                    _count_given("record", "connector", "dataset", "stream_id"),
                    _count_given("workspace"),
                ),
                name="event_has_one_subject",
            )
        ]
        indexes = [
            models.Index(fields=["record", "id"], name="event_of_record"),
            models.Index(
                fields=["connector", "id"],
                condition=Q(connector__isnull=False),
                name="event_of_connector",
            ),
            models.Index(
                fields=["dataset", "id"],
                condition=Q(dataset__isnull=False),
                name="event_of_dataset",
            ),
            models.Index(
                fields=["stream_id", "id"],
                condition=Q(stream_id__isnull=False),
                name="event_of_stream",
            ),
            # What goes by its age, and not with its record.
            models.Index(fields=["at"], condition=Q(record=None), name="event_of_no_record"),
        ]

    def __str__(self) -> str:
        return f"{self.event}: {self.reason}"

    @property
    def words(self) -> str:
        """The event's name as people read it."""
        return self.event.replace("_", " ")


class CursorPlace(models.Model):
    """How far one consumer has read the log; see `events.cursors`."""

    name = models.CharField(max_length=50, primary_key=True)
    passed_id = models.BigIntegerField(default=0)  # it has seen every event up to this id
    seen_id = models.BigIntegerField(default=0)  # the highest id at its last look
    # The transactions that were writing events at that look.
    writers = ArrayField(models.TextField(), default=list)

    def __str__(self) -> str:
        return f"{self.name} has read up to {self.passed_id}"
