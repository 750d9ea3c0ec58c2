"""Sync jobs, the records of their runs, and what happened to each."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import Q
from django.db.models.functions import Coalesce, Now

from connectors.errors import UnsafeName
from connectors.models import Connector
from connectors.names import join
from connectors.registry import can_remove, removing_kinds
from datasets.models import Dataset
from syncjobs.core.comparing import Comparison
from syncjobs.core.markers import parse_done_pattern
from syncjobs.core.schedules import InvalidSchedule, Schedule, parse_schedule
from syncjobs.core.selection import Selection, check_filter, compile_glob
from syncjobs.core.states import FINAL, Event, Stage, State
from workspaces.models import Workspace, valid_name


def _choices(*values: str) -> list[tuple[str, str]]:
    return [(value, value.replace("_", " ")) for value in values]


class SyncMode(models.TextChoices):
    INCREMENTAL = "incremental"  # compare what the listing tells
    FULL = "full"  # trust none of it: fetch and compare content


class OnDelete(models.TextChoices):
    KEEP_VERSION = "keep_version"  # gone from the new version, kept in the older ones
    IGNORE = "ignore"  # what the source removes stays


class AfterPublish(models.TextChoices):
    """What becomes of a file at the source when a published version holds it."""

    KEEP = "keep"
    DELETE = "delete"
    MOVE = "move"  # to `move_to`, below the root


def default_max_attempts() -> int:
    """The first try, and as many more as the installation says."""
    return max(0, settings.SYNC.max_retries) + 1


def validate_schedule(value: object) -> None:
    try:
        parse_schedule(value if isinstance(value, dict) else {"": value})
    except InvalidSchedule as exc:
        raise ValidationError(str(exc)) from None


def validate_globs(patterns: list[str]) -> None:
    for pattern in patterns:
        try:
            compile_glob(pattern)
        except ValueError as exc:
            raise ValidationError(str(exc)) from None


def validate_filters(rules: list[str]) -> None:
    for rule in rules:
        try:
            check_filter(rule)
        except ValueError as exc:
            raise ValidationError(str(exc)) from None


def validate_done_pattern(text: str) -> None:
    try:
        parse_done_pattern(text)
    except ValueError as exc:
        raise ValidationError(str(exc)) from None


def validate_move_to(text: str) -> None:
    folder = ""
    try:
        for name in text.split("/"):
            folder = join(folder, name)
    except UnsafeName:
        raise ValidationError(
            "move_to is a folder below the root, such as done or archive/2026: without '..', and"
            " without a slash at its ends"
        ) from None
    if not text.isprintable():
        raise ValidationError("move_to holds characters that cannot be shown")


class SyncJob(models.Model):
    """A standing order: which connector, what, when, under which limits."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="sync_jobs")
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="sync_jobs")
    dataset = models.OneToOneField(Dataset, models.PROTECT, related_name="job", editable=False)
    name = models.CharField(max_length=100, validators=[valid_name])
    include = ArrayField(models.TextField(), default=list, blank=True, validators=[validate_globs])
    exclude = ArrayField(models.TextField(), default=list, blank=True, validators=[validate_globs])
    sync_mode = models.CharField(
        max_length=12, choices=SyncMode.choices, default=SyncMode.INCREMENTAL
    )
    comparison = models.CharField(
        max_length=10, choices=_choices(*Comparison), default=Comparison.MODIFIED
    )
    # A scheduled record runs as `full` where the last look at every content is older than this.
    verify_every_s = models.PositiveIntegerField(null=True, blank=True)
    last_verified_at = models.DateTimeField(null=True, editable=False)
    on_delete = models.CharField(
        max_length=12, choices=OnDelete.choices, default=OnDelete.KEEP_VERSION
    )
    after_publish = models.CharField(
        max_length=10, choices=AfterPublish.choices, default=AfterPublish.KEEP
    )
    move_to = models.CharField(
        max_length=500, blank=True, default="", validators=[validate_move_to]
    )
    schedule = models.JSONField(default=dict, blank=True, validators=[validate_schedule])
    filters = ArrayField(
        models.TextField(), default=list, blank=True, validators=[validate_filters]
    )
    extensions = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    done_pattern = (
        models.CharField(  # the name of what says that a file, or its folder, is complete
            max_length=100, blank=True, default="", validators=[validate_done_pattern]
        )
    )
    settle_s = models.PositiveIntegerField(default=0)  # younger files wait for a later record
    max_file_size_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    max_age_s = models.PositiveBigIntegerField(null=True, blank=True)
    max_files = models.PositiveBigIntegerField(  # that one record fetches; the rest waits
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    timeout_s = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_attempts = models.PositiveSmallIntegerField(
        default=default_max_attempts, validators=[MinValueValidator(1)]
    )
    enabled = models.BooleanField(default=True)
    # So many records in a row that failed for good pause the job; NULL: never.
    pause_after_failures = models.PositiveSmallIntegerField(
        null=True, blank=True, default=5, validators=[MinValueValidator(1)]
    )
    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    paused_at = models.DateTimeField(null=True, editable=False)  # by that rule, or a person
    paused_reason = models.TextField(blank=True, default="", editable=False)
    # Kept by the connector's `auto_sync`: its schedule follows `sync_interval_s`.
    is_default = models.BooleanField(default=False, editable=False)
    next_run_at = models.DateTimeField(null=True, editable=False)
    last_run_at = models.DateTimeField(null=True, editable=False)
    last_error = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="job_name_in_workspace"),
            models.UniqueConstraint(
                fields=["connector"], condition=Q(is_default=True), name="job_one_default"
            ),
            models.CheckConstraint(
                condition=Q(after_publish=AfterPublish.KEEP) | Q(on_delete=OnDelete.IGNORE),
                name="job_cleared_source_removes_nothing",
            ),
        ]
        indexes = [
            # The dispatcher's queue: due jobs, oldest first.
            models.Index(
                fields=["next_run_at"],
                condition=Q(enabled=True) & ~Q(next_run_at=None),
                name="job_due",
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Raises ValidationError where fields do not fit each other."""
        super().clean()
        problems = self._clean_after_publish()
        if self.verify_every_s and (self.max_files or self.max_bytes):
            problems["verify_every_s"] = (
                "a record that may fetch a part only can verify no whole: leave this out, or"
                " max_files and max_bytes"
            )
        if problems:
            raise ValidationError(problems)

    def _clean_after_publish(self) -> dict[str, str]:
        if self.after_publish == AfterPublish.KEEP:
            if self.move_to:
                return {"move_to": "move_to belongs to after_publish: move."}
            return {}
        problems = {}
        if self.on_delete != OnDelete.IGNORE:
            problems["on_delete"] = (
                f"after_publish: {self.after_publish} takes files away at the source, and the next sync"
                " would remove them from the dataset: it goes with on_delete: ignore."
            )
        if self.after_publish == AfterPublish.MOVE and not self.move_to:
            problems["move_to"] = "Say which folder below the root files are moved to."
        if self.after_publish == AfterPublish.DELETE and self.move_to:
            problems["move_to"] = "move_to belongs to after_publish: move."
        connector: Connector | None = getattr(self, "connector", None)  # a form may lack it
        if connector is not None and not can_remove(connector.kind):
            problems["after_publish"] = (
                f"A connector of kind {connector.kind} only reads: it cannot"
                f" {self.after_publish} files. {', '.join(removing_kinds())} can."
            )
        return problems

    def verification_is_due(self, now: datetime) -> bool:
        """Whether the last look at every content, or else the job's start, is too long ago."""
        if not self.verify_every_s:
            return False
        looked_at = self.last_verified_at or self.created_at
        return now - looked_at >= timedelta(seconds=self.verify_every_s)

    @property
    def parsed_schedule(self) -> Schedule:
        return parse_schedule(self.schedule)

    @property
    def selection(self) -> Selection:
        return Selection(
            filters=tuple(self.filters),
            include=tuple(self.include),
            exclude=tuple(self.exclude),
            extensions=tuple(self.extensions),
            max_file_size_bytes=self.max_file_size_bytes,
            max_age_s=self.max_age_s,
            done_pattern=self.done_pattern,
            apart=self.move_to,
        )


class Trigger(models.TextChoices):
    SCHEDULE = "schedule"
    MANUAL = "manual"


class SyncRecord(models.Model):
    """One execution of a sync job, from queued to a final state.

    `state` is written by `syncjobs.lifecycle.transition` alone. `token` is the fencing token of the
    latest claim; the lease belongs to `lease_owner` until `lease_expires_at` by the database's clock.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="sync_records")
    job = models.ForeignKey(SyncJob, models.CASCADE, related_name="records")
    connector = models.ForeignKey(Connector, models.PROTECT, related_name="sync_records")
    trigger = models.CharField(max_length=10, choices=Trigger.choices)
    scheduled_for = models.DateTimeField(null=True)
    mode = models.CharField(max_length=12, choices=SyncMode.choices, default=SyncMode.INCREMENTAL)
    dry_run = models.BooleanField(default=False)

    state = models.CharField(max_length=10, choices=_choices(*State), default=State.QUEUED)
    verdict = models.CharField(max_length=40, blank=True, default="")  # the rule that decided
    stage = models.CharField(max_length=20, choices=_choices(*Stage), blank=True, default="")
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
    dataset_version = models.PositiveIntegerField(null=True)

    attempt = models.PositiveSmallIntegerField(default=0)  # tries that the far end has seen
    vain_attempts = models.PositiveSmallIntegerField(default=0)  # that failed and kept nothing
    crash_count = models.PositiveSmallIntegerField(default=0)  # workers lost without progress
    token = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=100, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    heartbeat_at = models.DateTimeField(null=True)
    progress_at = models.DateTimeField(null=True)  # when the work last moved
    expected_duration_s = models.FloatField(null=True)
    deadline_s = models.FloatField(null=True)  # of the running attempt
    address = models.CharField(max_length=300, blank=True, default="")  # whose budget it uses

    not_before = models.DateTimeField(null=True)  # retry time; NULL: at once
    rung_at = models.DateTimeField(null=True)  # the bell was rung; not a state
    requested_by = models.CharField(max_length=150, blank=True, default="")
    cancel_asked_at = models.DateTimeField(null=True)
    cancel_asked_by = models.CharField(max_length=150, blank=True, default="")
    hold = models.JSONField(null=True)  # the guard's rule, and how many files it spoke of
    files_cleared = models.PositiveBigIntegerField(default=0)  # deleted or moved at the source
    files_left = models.PositiveBigIntegerField(default=0)  # that were to be, and were not
    warning = models.TextField(blank=True, default="")  # what did not fail the record
    guards_waived = models.BooleanField(default=False)  # a person released that hold
    # A dry run's plan; on a record that applies one, the plan as it was approved.
    plan = models.JSONField(null=True)
    applies_id = models.UUIDField(null=True)  # the dry run whose plan this record is bound to
    drift = models.JSONField(null=True)  # how source or dataset differ from the approved plan
    waiting_for = models.CharField(max_length=200, blank=True, default="")

    queued_at = models.DateTimeField(db_default=Now(), editable=False)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    error = models.TextField(blank=True, default="")

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
                condition=Q(state__in=sorted(FINAL), finished_at__isnull=False)
                | (~Q(state__in=sorted(FINAL)) & Q(finished_at=None)),
                name="record_final_has_end",
            ),
            models.UniqueConstraint(
                fields=["job", "scheduled_for"],
                condition=~Q(scheduled_for=None),
                name="record_once_per_fire",
            ),
            models.UniqueConstraint(
                fields=["job"],
                condition=Q(state=State.QUEUED, dry_run=False, applies_id=None),
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
            # The limits are counted from live rows.
            models.Index(
                fields=["workspace"], condition=Q(state=State.RUNNING), name="record_running_in"
            ),
            models.Index(
                fields=["connector"], condition=Q(state=State.RUNNING), name="record_running_from"
            ),
            models.Index(
                fields=["address"], condition=Q(state=State.RUNNING), name="record_running_at"
            ),
            models.Index(fields=["job", "-queued_at"], name="record_of_job"),
            models.Index(fields=["workspace", "-queued_at"], name="record_of_workspace"),
            # What people look at first: the latest, what failed, what waits for them.
            models.Index(fields=["-queued_at"], name="record_latest"),
            models.Index(
                fields=["-queued_at"],
                condition=Q(state__in=[State.FAILED, State.TIMED_OUT, State.PARTIAL]),
                name="record_troubled",
            ),
            models.Index(fields=["-queued_at"], condition=Q(state=State.HELD), name="record_held"),
        ]

    def __str__(self) -> str:
        return f"{self.job} {self.queued_at:%Y-%m-%d %H:%M:%S}"

    @property
    def is_final(self) -> bool:
        return self.state in FINAL


class SyncEvent(models.Model):
    """One thing that happened to a record, with its reason: timeline, audit and outbox in one row."""

    record = models.ForeignKey(SyncRecord, models.CASCADE, related_name="events")
    at = models.DateTimeField(db_default=Now(), editable=False)  # no worker's clock
    event = models.CharField(max_length=30, choices=_choices(*Event))
    from_state = models.CharField(max_length=10, blank=True, default="")
    to_state = models.CharField(max_length=10, blank=True, default="")
    token = models.BigIntegerField(default=0)
    reason = models.TextField(blank=True, default="")
    data = models.JSONField(default=dict)

    class Meta:
        ordering = ["id"]
        indexes = [models.Index(fields=["record", "id"], name="event_of_record")]

    def __str__(self) -> str:
        return f"{self.event}: {self.reason}"


class WorkerProcess(models.Model):
    """A process that works on records, as its heart last told."""

    name = models.CharField(max_length=100, primary_key=True)  # what `lease_owner` holds
    slots = models.PositiveSmallIntegerField()
    running = models.PositiveSmallIntegerField(default=0)
    draining = models.BooleanField(default=False)
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
    """What records did since the first day, summed; see `syncjobs.lifecycle.counting`.

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


DURATION_BOUNDS_S = (1, 5, 15, 60, 300, 900, 3600, 10_800, 43_200)


class CountingMark(models.Model):
    """One row: up to which event the totals go; see `syncjobs.lifecycle.counting`."""

    counted_id = models.BigIntegerField(default=0)
    seen_id = models.BigIntegerField(default=0)
    seen_xid = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"counted up to {self.counted_id}"


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
