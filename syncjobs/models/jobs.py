"""Sync jobs: which connector, what, when, under which limits."""

from __future__ import annotations

import uuid
from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from connectors.models import Connector
from datasets.models import Dataset
from farends.errors import UnsafeName
from farends.names import join
from farends.registry import can_remove, removing_kinds
from syncjobs.core.comparing import Comparison
from syncjobs.core.markers import parse_done_pattern
from syncjobs.core.overlaps import Overlap
from syncjobs.core.patterns import InvalidPattern, parse_pattern
from syncjobs.core.selection import Selection, check_filter
from timing.misfires import CATCH_UP_MAX, Misfire
from timing.schedules import InvalidSchedule, Schedule, offset_of, parse_schedule
from timing.windows import Calendar, parse_calendar
from workspaces.models import Workspace, valid_title, validate_blackouts, validate_windows


def choices(*values: str) -> list[tuple[str, str]]:
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
            parse_pattern(pattern)
        except InvalidPattern as exc:
            raise ValidationError(str(exc)) from None


def validate_filters(rules: list[str]) -> None:
    for rule in rules:
        try:
            check_filter(rule)
        except InvalidPattern as exc:
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
    name = models.CharField(max_length=100, validators=[valid_title])
    include = ArrayField(models.TextField(), default=list, blank=True, validators=[validate_globs])
    exclude = ArrayField(models.TextField(), default=list, blank=True, validators=[validate_globs])
    sync_mode = models.CharField(
        max_length=12, choices=SyncMode.choices, default=SyncMode.INCREMENTAL
    )
    comparison = models.CharField(
        max_length=10, choices=choices(*Comparison), default=Comparison.MODIFIED
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
    # Each fire is late by up to so much, by the same for ever; see `offset_of`.
    jitter_s = models.PositiveIntegerField(default=0, validators=[MaxValueValidator(86_400)])
    misfire = models.CharField(max_length=10, choices=choices(*Misfire), default=Misfire.RUN_ONCE)
    catch_up_max = models.PositiveSmallIntegerField(
        default=5, validators=[MinValueValidator(1), MaxValueValidator(CATCH_UP_MAX)]
    )
    max_lateness_s = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    overlap = models.CharField(max_length=12, choices=choices(*Overlap), default=Overlap.QUEUE)
    windows = models.JSONField(default=list, blank=True, validators=[validate_windows])
    blackouts = models.JSONField(default=list, blank=True, validators=[validate_blackouts])
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
            # The dispatcher's queue: due jobs, oldest first. Whose turn it is, and which jobs a paused connector
            # keeps waiting, is told by the index alone.
            models.Index(
                fields=["next_run_at"],
                include=["id", "workspace", "connector"],
                condition=Q(enabled=True, paused_at=None) & ~Q(next_run_at=None),
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

    @property
    def parsed_schedule(self) -> Schedule:
        return parse_schedule(self.schedule)

    @property
    def offset(self) -> timedelta:
        """How long after each of its fires it is due."""
        return offset_of(self.pk, self.jitter_s)

    @property
    def calendar(self) -> Calendar:
        """Its own windows and blackouts; those of its workspace apply too."""
        return parse_calendar(self.windows, self.blackouts)

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


class Dependency(models.Model):
    """`job` runs after `parent`; what `parent` has done since `job` was due last."""

    job = models.ForeignKey(SyncJob, models.CASCADE, related_name="parents")
    parent = models.ForeignKey(SyncJob, models.RESTRICT, related_name="followers")
    record_id = models.UUIDField(null=True)  # the parent's latest, that has ended since
    state = models.CharField(max_length=10, blank=True, default="")  # that it ended in
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "parent"], name="dependency_once"),
            models.CheckConstraint(
                condition=~Q(job=models.F("parent")), name="dependency_not_on_itself"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.job} after {self.parent}"
