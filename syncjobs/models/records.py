"""Sync records, what happened to each, and what each did with every file."""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.core.states import FINAL, OPEN, Stage, State
from syncjobs.models.jobs import SyncJob, choices
from syncjobs.order.shared import SyncMode
from workspaces.models import Workspace


class Trigger(models.TextChoices):
    SCHEDULE = "schedule"
    MANUAL = "manual"
    MCP = "mcp", "MCP"  # an agent asked, by a tool
    AFTER = "after"  # other jobs have ended
    BACKFILL = "backfill"  # a fire of the past that a person asked for
    RESYNC = "resync"  # a table is read again from nothing
    REDRIVE = "redrive"  # what failed, alone: rows out of quarantine, or files of a record
    # A clock from outside asked for what is due (docs/cron.md).
    CRON_HOOK = "cron_hook", "Cron hook"


ASKED = (Trigger.MANUAL, Trigger.MCP)  # by a person or a program, for now
PARALLEL_MAX = 100  # records of a backfill that wait and run at once


class BackfillState(models.TextChoices):
    ACTIVE = "active"
    DONE = "done"  # each fire has its record, and none of these is at work or held any more
    CANCELLED = "cancelled"


class Backfill(models.Model):
    """Fires of the past that get a record each, some at a time: asked for by a person, or those that a job
    catches up with. Beat moves it on."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="backfills")
    job = models.ForeignKey(SyncJob, models.CASCADE, related_name="backfills")
    trigger = models.CharField(
        max_length=10, choices=Trigger.choices, default=Trigger.BACKFILL
    )  # of its records: those that a job catches up with are the schedule's
    since = models.DateTimeField()  # fires from here on
    until = models.DateTimeField()  # and to here, both included
    parallel = models.PositiveSmallIntegerField(
        default=1, validators=[MinValueValidator(1), MaxValueValidator(PARALLEL_MAX)]
    )  # of its records, queued and running ones together
    mode = models.CharField(max_length=12, choices=choices(*SyncMode), default=SyncMode.INCREMENTAL)
    fires = models.PositiveIntegerField()  # in all
    queued = models.PositiveIntegerField(default=0)  # fires that have their record
    next_fire = models.DateTimeField(null=True)  # NULL: each has
    state = models.CharField(
        max_length=10, choices=BackfillState.choices, default=BackfillState.ACTIVE
    )
    requested_by = models.CharField(max_length=150, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-created_at"]
        indexes = [
            models.Index(
                fields=["created_at"],
                condition=Q(state=BackfillState.ACTIVE),
                name="backfill_active",
            ),
            models.Index(fields=["workspace", "-created_at"], name="backfill_of_workspace"),
        ]

    def __str__(self) -> str:
        return f"{self.job}: {self.fires} fires from {self.since:%Y-%m-%d %H:%M:%S}"


class _Syncs(models.Manager["SyncRecord"]):
    def get_queryset(self) -> models.QuerySet[SyncRecord]:
        return super().get_queryset().filter(dry_run=False)


class _Plans(models.Manager["SyncRecord"]):
    def get_queryset(self) -> models.QuerySet[SyncRecord]:
        return super().get_queryset().filter(dry_run=True)


class _SyncsAndPlans(models.Manager["SyncRecord"]):
    """Django's own."""


class SyncRecord(models.Model):
    """One execution of a sync job, from queued to a final state.

    A dry run is a record too, but no sync: it has published nothing, and counts nowhere. Whoever asks says which
    he means: `objects` are syncs, `plans` are dry runs, `either` is for what treats both alike, as claims do.

    `state` is written by `syncjobs.records.transition` alone. `token` is the fencing token of the
    latest claim; the lease belongs to `lease_owner` until `lease_expires_at` by the database's clock.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Without indexes of their own: each begins one of those below.
    workspace = models.ForeignKey(
        Workspace, models.CASCADE, related_name="sync_records", db_index=False
    )
    job = models.ForeignKey(SyncJob, models.CASCADE, related_name="records", db_index=False)
    connector = models.ForeignKey(  # NULL: it reads `source_dataset`
        Connector, models.PROTECT, null=True, related_name="sync_records", db_index=False
    )
    source_dataset = models.ForeignKey(
        Dataset, models.PROTECT, null=True, related_name="reading_records", db_index=False
    )
    source_version = models.PositiveIntegerField(null=True)  # of that dataset, once it is read
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    scheduled_for = models.DateTimeField(null=True)
    backfill = models.ForeignKey(Backfill, models.SET_NULL, null=True, related_name="records")
    mode = models.CharField(max_length=12, choices=choices(*SyncMode), default=SyncMode.INCREMENTAL)
    dry_run = models.BooleanField(default=False)

    state = models.CharField(max_length=10, choices=choices(*State), default=State.QUEUED)
    verdict = models.CharField(max_length=40, blank=True, default="")  # the rule that decided
    stage = models.CharField(max_length=20, choices=choices(*Stage), blank=True, default="")
    percentage = models.FloatField(default=0)
    current_file_index = models.PositiveBigIntegerField(default=0)
    total_files = models.PositiveBigIntegerField(null=True)
    files_added = models.PositiveBigIntegerField(default=0)
    files_changed = models.PositiveBigIntegerField(default=0)
    files_removed = models.PositiveBigIntegerField(default=0)
    files_unchanged = models.PositiveBigIntegerField(default=0)
    files_failed = models.PositiveBigIntegerField(default=0)
    files_skipped = models.PositiveBigIntegerField(default=0)
    files_deferred = models.PositiveBigIntegerField(default=0)
    bytes_transferred = models.PositiveBigIntegerField(default=0)
    # NULL: not known, or not of every file. What is done of them was received by any attempt, or given up.
    total_bytes = models.PositiveBigIntegerField(null=True)
    bytes_done = models.PositiveBigIntegerField(default=0)
    bytes_per_s = models.PositiveBigIntegerField(null=True)  # of a running attempt, lately
    # Of rows; NULL for files. They count all tables of the record.
    rows_read = models.PositiveBigIntegerField(null=True)
    rows_added = models.PositiveBigIntegerField(null=True)
    rows_changed = models.PositiveBigIntegerField(null=True)
    rows_removed = models.PositiveBigIntegerField(null=True)
    rows_unchanged = models.PositiveBigIntegerField(null=True)
    rows_failed = models.PositiveBigIntegerField(null=True)
    rows_without_cursor = models.PositiveBigIntegerField(null=True)
    rows_duplicate = models.PositiveBigIntegerField(null=True)
    values_nulled = models.PositiveBigIntegerField(null=True)
    cursor_column = models.TextField(blank=True, default="")
    mark = models.JSONField(null=True)
    tables = models.JSONField(null=True)  # a list: how each table ended
    dataset_version = models.PositiveIntegerField(null=True)

    attempt = models.PositiveSmallIntegerField(default=0)  # tries that the far end has seen
    vain_attempts = models.PositiveSmallIntegerField(default=0)  # that failed and kept nothing
    waits_in_a_row = models.PositiveSmallIntegerField(default=0)  # tries for which only time helps
    tries_until = models.DateTimeField(null=True)  # the end of that time; NULL: none was needed
    crash_count = models.PositiveSmallIntegerField(default=0)  # workers lost without progress
    token = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=100, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    progress_at = models.DateTimeField(null=True)  # when the work last moved
    expected_duration_s = models.FloatField(null=True)
    deadline_s = models.FloatField(null=True)  # of the latest attempt
    claimed_at = models.DateTimeField(null=True)  # by the running attempt
    worked_s = models.FloatField(null=True)  # by the attempts that have ended, together
    address = models.CharField(max_length=300, blank=True, default="")  # whose budget it uses
    dialled = models.CharField(max_length=300, blank=True, default="")  # who bears its connections

    not_before = models.DateTimeField(null=True)  # retry time; NULL: at once
    rung_at = models.DateTimeField(null=True)  # the bell was rung; not a state
    requested_by = models.CharField(max_length=150, blank=True, default="")
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_asked_by = models.CharField(max_length=150, blank=True, default="")
    # The guard's rule, and how many files it spoke of; of files also `plan`: its counts, and a digest of it.
    hold = models.JSONField(null=True)
    files_cleared = models.PositiveBigIntegerField(default=0)  # deleted or moved at the source
    files_left = models.PositiveBigIntegerField(default=0)  # that were to be, and were not
    warning = models.TextField(blank=True, default="")  # what did not fail the record
    guards_waived = models.BooleanField(default=False)  # a person released that hold
    # A dry run's plan; on a record that applies one, the plan as it was approved.
    plan = models.JSONField(null=True)
    applies_id = models.UUIDField(null=True)  # the dry run whose plan this record is bound to
    # Of trigger redrive: whose failed files; or whose quarantine, which rows of it, and what to put in the place of
    # their values.
    redrive = models.JSONField(null=True)
    drift = models.JSONField(null=True)  # how source or dataset differ from the approved plan
    waiting_for = models.CharField(max_length=200, blank=True, default="")

    queued_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error = models.TextField(blank=True, default="")

    objects = _Syncs()
    plans = _Plans()
    either = _SyncsAndPlans()

    class Meta:
        ordering = ["-queued_at"]
        constraints = [
            models.CheckConstraint(
                condition=Q(
                    state=State.RUNNING,
                    lease_owner__isnull=False,
                    lease_expires_at__isnull=False,
                    heartbeat_at__isnull=False,
                    started_at__isnull=False,
                )
                | (~Q(state=State.RUNNING) & Q(lease_owner=None, lease_expires_at=None)),
                name="record_running_has_lease",
            ),
            models.CheckConstraint(
                condition=Q(connector=None, source_dataset__isnull=False)
                | Q(connector__isnull=False, source_dataset=None),
                name="record_one_source",
            ),
            models.CheckConstraint(
                condition=Q(state__in=sorted(FINAL), finished_at__isnull=False)
                | (~Q(state__in=sorted(FINAL)) & Q(finished_at=None)),
                name="record_final_has_end",
            ),
            models.UniqueConstraint(
                fields=["job", "scheduled_for"],
                condition=~Q(scheduled_for=None) & ~Q(trigger=Trigger.BACKFILL),
                name="record_once_per_fire",
            ),
            models.UniqueConstraint(
                fields=["backfill", "scheduled_for"],
                condition=~Q(backfill=None),
                name="record_once_per_backfilled_fire",
            ),
            models.UniqueConstraint(
                fields=["job"],
                condition=Q(state=State.QUEUED, dry_run=False, applies_id=None, backfill=None)
                & ~Q(trigger=Trigger.REDRIVE),
                name="record_one_queued",
            ),
            models.UniqueConstraint(
                fields=["applies_id"],
                condition=~Q(applies_id=None)
                & ~Q(state__in=[State.FAILED, State.TIMED_OUT, State.CANCELLED]),
                name="record_plan_applied_once",
            ),
            models.UniqueConstraint(
                fields=["job"], condition=Q(state=State.RUNNING), name="record_one_running"
            ),
        ]
        indexes = [
            models.Index(
                fields=["lease_expires_at"], condition=Q(state=State.RUNNING), name="record_leased"
            ),
            # Whom to ring for, fairly: the longest waiting of each workspace.
            models.Index(
                "workspace",
                Coalesce("not_before", "queued_at"),
                condition=Q(state=State.QUEUED),
                name="record_waiting",
            ),
            models.Index(
                fields=["tries_until"],
                condition=Q(state=State.QUEUED) & ~Q(tries_until=None),
                name="record_losing_hope",
            ),
            # The limits are counted from live rows.
            models.Index(
                fields=["workspace"], condition=Q(state=State.RUNNING), name="record_running_in"
            ),
            models.Index(
                fields=["connector"], condition=Q(state=State.RUNNING), name="record_running_from"
            ),
            models.Index(
                fields=["dialled"], condition=Q(state=State.RUNNING), name="record_running_at"
            ),
            # What a backfill has at work, however many records it had before.
            models.Index(
                fields=["backfill"],
                condition=Q(state__in=sorted(OPEN)) & ~Q(backfill=None),
                name="record_backfilling",
            ),
            models.Index(fields=["job", "-queued_at"], name="record_of_job"),
            models.Index(fields=["connector", "-queued_at"], name="record_of_connector"),
            models.Index(
                fields=["source_dataset"],
                condition=~Q(source_dataset=None),
                name="record_of_source_dataset",
            ),
            models.Index(fields=["workspace", "-queued_at"], name="record_of_workspace"),
            models.Index(fields=["workspace", "state", "-queued_at"], name="record_in_state"),
            # What people look at first: the latest, what failed, what waits for them.
            models.Index(fields=["-queued_at"], name="record_latest"),
            models.Index(
                fields=["-queued_at"],
                condition=Q(state__in=[State.FAILED, State.TIMED_OUT, State.PARTIAL]),
                name="record_troubled",
            ),
            models.Index(fields=["-queued_at"], condition=Q(state=State.HELD), name="record_held"),
            # Most are due by a schedule; the others are few, and looked for by what started them.
            models.Index(
                fields=["trigger", "-queued_at"],
                condition=~Q(trigger=Trigger.SCHEDULE),
                name="record_by_trigger",
            ),
            models.Index(
                fields=["-queued_at"], condition=Q(verdict="suspect"), name="record_suspect"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.queued_at:%Y-%m-%d %H:%M:%S}"

    def get_connector(self) -> Connector:
        """For whoever knows that it syncs from one. Raises LookupError where it reads a dataset."""
        if self.connector is None:
            raise LookupError(f"record {self.pk} reads a dataset")
        return self.connector

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


class ItemAction(models.TextChoices):
    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"
    FAILED = "failed"
    SKIPPED = "skipped"
    DELETED = "deleted"  # at the source, after it was published
    MOVED = "moved"
    LEFT = "left"  # at the source, where it was to be deleted or moved
    DEFERRED = "deferred"  # for a later record: too young, or past this record's caps


class SyncItem(models.Model):
    """What a record did with one file: the per-file ledger. Unchanged files have no row."""

    record = models.ForeignKey(  # without a constraint: its row is written in the same transaction
        SyncRecord, models.CASCADE, related_name="items", db_constraint=False, db_index=False
    )
    path = models.TextField()
    action = models.CharField(max_length=10, choices=ItemAction.choices)
    size_bytes = models.PositiveBigIntegerField(null=True)
    modified_ns = models.BigIntegerField(null=True)  # of a plan's file, as listed
    etag = models.TextField(null=True)
    sha256 = models.BinaryField(max_length=32, null=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    message = models.TextField(blank=True, default="")

    class Meta:
        ordering = ["id"]
        indexes = [
            models.Index(fields=["record", "id"], name="item_page"),
            models.Index(fields=["record", "action", "id"], name="item_of_record"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.path}"


class PlannedFile(models.Model):
    """What the plan of a held record would do with one file, for the person who decides. `SyncItem` says what was done."""

    record = models.ForeignKey(  # without a constraint: the record's row is written in the same transaction
        SyncRecord,
        models.CASCADE,
        related_name="planned_files",
        db_constraint=False,
        db_index=False,
    )
    path = models.TextField(db_collation="C")
    action = models.CharField(
        max_length=10,
        choices=choices(ItemAction.ADDED, ItemAction.CHANGED, ItemAction.REMOVED),
    )
    size_bytes = models.PositiveBigIntegerField(null=True)
    modified_ns = models.BigIntegerField(null=True)

    class Meta:
        ordering = ["path"]
        indexes = [
            models.Index(fields=["record", "action", "path"], name="planned_file_of_record"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.path}"


class QuarantineState(models.TextChoices):
    OPEN = "open"
    REDRIVEN = "redriven"
    DROPPED = "dropped"


class QuarantinedRow(models.Model):
    """A row that could not be loaded, as it came, until a person sends it again or drops it."""

    record = models.ForeignKey(
        SyncRecord, models.CASCADE, related_name="quarantine", db_index=False
    )
    state = models.CharField(
        max_length=10, choices=QuarantineState.choices, default=QuarantineState.OPEN
    )
    table = models.TextField()  # its name in the dataset
    key = models.JSONField(null=True)
    path = models.TextField(null=True)
    line = models.PositiveBigIntegerField(null=True)
    column = models.TextField(null=True)
    code = models.CharField(max_length=20)
    message = models.TextField()
    raw = models.BinaryField()  # at most RAW_BYTES_MAX
    raw_complete = models.BooleanField(default=True)
    values = models.JSONField(null=True)  # the cells that could be told apart
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["record", "id"], name="quarantine_of_record")]

    def __str__(self) -> str:
        return f"{self.table}: {self.code}"
