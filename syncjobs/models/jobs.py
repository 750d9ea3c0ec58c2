"""Sync jobs: which connector, what, when, under which limits."""

from __future__ import annotations

import uuid
from collections.abc import Collection
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from connectors.models import Connector
from datasets.models import Dataset
from farends.registry import SPECS, can_remove, removing_kinds
from farends.spec import FILES, ROWS
from farends.tabular.entity import InvalidEntity, parse_entity
from syncjobs.core.selection import Selection
from syncjobs.order.files import AfterPublish, FileOrder
from syncjobs.order.job import IDENTITY, OPTIONS, JobOrder
from syncjobs.order.option import Form, build
from syncjobs.order.rows import DATASET, RowOrder
from syncjobs.order.shared import OnDelete, SharedOrder
from syncjobs.order.structures import Misfit, Place
from timing.schedules import Schedule, draw_offset, parse_schedule
from timing.windows import Calendar, parse_calendar
from workspaces.models import Workspace, valid_title


def choices(*values: str) -> list[tuple[str, str]]:
    return [(value, value.replace("_", " ")) for value in values]


def default_max_attempts() -> int:
    """The first try, and as many more as the installation says."""
    return max(0, settings.SYNC.max_retries) + 1


def column(name: str) -> dict[str, Any]:
    """What a column takes over from its option: its default, its choices, and whether it may be empty."""
    option = OPTIONS[name]
    empty = {Form.TEXTS: list, Form.WINDOWS: list, Form.BLACKOUTS: list, Form.SCHEDULE: dict}
    if option.form is Form.STRUCTURE and option.default is not None:
        empty[Form.STRUCTURE] = dict
    taken: dict[str, Any] = {"default": empty.get(option.form, option.default)}
    if option.form in empty or option.form is Form.TEXT or option.nullable:
        taken["blank"] = True
    if option.choices:
        taken["default"] = option.default.value
        taken["choices"] = choices(*(choice.value for choice in option.choices))
    return taken


class Misplaced(ValidationError):
    """What is wrong with a part of a field's value; `place` leads to it."""

    def __init__(self, words: str, place: Place) -> None:
        super().__init__(words)
        self.place = place


class SyncJob(models.Model):
    """A standing order: which connector, what, when, under which limits."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="sync_jobs")
    # One of the two: what it syncs from.
    connector = models.ForeignKey(
        Connector, models.PROTECT, null=True, blank=True, related_name="sync_jobs"
    )
    source_dataset = models.ForeignKey(
        Dataset, models.PROTECT, null=True, blank=True, related_name="following_jobs"
    )
    dataset = models.OneToOneField(Dataset, models.PROTECT, related_name="job", editable=False)
    name = models.CharField(max_length=100, validators=[valid_title])
    include = ArrayField(models.TextField(), **column("include"))
    exclude = ArrayField(models.TextField(), **column("exclude"))
    filters = ArrayField(models.TextField(), **column("filters"))
    extensions = ArrayField(models.TextField(), **column("extensions"))
    done_pattern = models.CharField(max_length=100, **column("done_pattern"))
    settle_s = models.PositiveIntegerField(**column("settle_s"))
    max_file_size_bytes = models.PositiveBigIntegerField(null=True, **column("max_file_size_bytes"))
    max_age_s = models.PositiveBigIntegerField(null=True, **column("max_age_s"))
    max_files = models.PositiveBigIntegerField(null=True, **column("max_files"))
    max_bytes = models.PositiveBigIntegerField(null=True, **column("max_bytes"))
    sync_mode = models.CharField(max_length=12, **column("sync_mode"))
    comparison = models.CharField(max_length=10, **column("comparison"))
    verify_every_s = models.PositiveIntegerField(null=True, **column("verify_every_s"))
    last_verified_at = models.DateTimeField(null=True, editable=False)
    on_delete = models.CharField(max_length=12, **column("on_delete"))
    keep_versions = models.PositiveIntegerField(null=True, **column("keep_versions"))
    keep_days = models.PositiveIntegerField(null=True, **column("keep_days"))
    keep_bytes = models.PositiveBigIntegerField(null=True, **column("keep_bytes"))
    after_publish = models.CharField(max_length=10, **column("after_publish"))
    move_to = models.CharField(max_length=500, **column("move_to"))
    index = models.CharField(max_length=20, **column("index"))
    current_tree = models.CharField(max_length=500, **column("current_tree"))
    entity = models.JSONField(null=True, **column("entity"))
    entities = models.JSONField(null=True, **column("entities"))
    overrides = models.JSONField(**column("overrides"))
    columns = models.JSONField(null=True, **column("columns"))
    key = ArrayField(models.TextField(), **column("key"))
    cursor = models.JSONField(null=True, **column("cursor"))
    on_schema_change = models.CharField(max_length=10, **column("on_schema_change"))
    on_row_error = models.CharField(max_length=10, **column("on_row_error"))
    row_errors_max_share = models.FloatField(**column("row_errors_max_share"))
    # With the connector's id, so that it may be renamed; `written_destination` has its name. NULL: home.
    destination = models.JSONField(null=True, **column("destination"))
    schedule = models.JSONField(**column("schedule"))
    jitter_s = models.PositiveIntegerField(**column("jitter_s"))
    misfire = models.CharField(max_length=10, **column("misfire"))
    catch_up_max = models.PositiveSmallIntegerField(**column("catch_up_max"))
    max_lateness_s = models.PositiveIntegerField(null=True, **column("max_lateness_s"))
    overlap = models.CharField(max_length=12, **column("overlap"))
    windows = models.JSONField(**column("windows"))
    blackouts = models.JSONField(**column("blackouts"))
    timeout_s = models.PositiveIntegerField(null=True, **column("timeout_s"))
    max_attempts = models.PositiveSmallIntegerField(
        **column("max_attempts") | {"default": default_max_attempts}
    )
    pause_after_failures = models.PositiveSmallIntegerField(
        null=True, **column("pause_after_failures")
    )
    enabled = models.BooleanField(**column("enabled"))
    tags = ArrayField(models.TextField(), **column("tags"))
    failures_in_a_row = models.PositiveIntegerField(default=0, editable=False)
    paused_at = models.DateTimeField(null=True, editable=False)  # by that rule, or a person
    paused_reason = models.TextField(blank=True, default="", editable=False)
    # Kept by the connector's `auto_sync`: its schedule follows `sync_interval_s`.
    is_default = models.BooleanField(default=False, editable=False)
    next_run_at = models.DateTimeField(null=True, editable=False)
    last_run_at = models.DateTimeField(null=True, editable=False)  # when one last ended
    last_success_at = models.DateTimeField(null=True, editable=False)
    last_error = models.TextField(blank=True, default="", editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="job_name_in_workspace"),
            models.CheckConstraint(
                condition=Q(connector=None, source_dataset__isnull=False)
                | Q(connector__isnull=False, source_dataset=None),
                name="job_one_source",
            ),
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

    def get_connector(self) -> Connector:
        """For whoever knows that it syncs from one. Raises LookupError where it reads a dataset."""
        if self.connector is None:
            raise LookupError(f"job {self.name} reads a dataset")
        return self.connector

    @property
    def source_name(self) -> str:
        """The name of its connector, or of the dataset that it reads."""
        if self.connector is not None:
            return self.connector.name
        return self.source_dataset.name if self.source_dataset is not None else ""

    @property
    def follows_dataset(self) -> bool:
        """Whether a new version of the dataset that it reads is what it runs by."""
        return self.source_dataset_id is not None and not self.schedule

    @property
    def address(self) -> str:
        """Whose budget its records use; empty where it dials nobody."""
        return "" if self.connector is None else self.connector.address

    @property
    def dialled(self) -> str:
        """Who bears its connections; empty where it dials nobody."""
        return "" if self.connector is None else self.connector.dialled

    @property
    def order(self) -> JobOrder:
        """The job's order: all that a person said about it."""
        return build(JobOrder, self)

    def clean_fields(self, exclude: Collection[str] | None = None) -> None:
        """Raises ValidationError where a value is none that its option takes."""
        problems: dict[str, Any] = {}
        try:
            super().clean_fields(exclude)
        except ValidationError as exc:
            problems = exc.update_error_dict(problems)
        for option in OPTIONS.values():
            if option.name in IDENTITY or option.name in problems or option.name in (exclude or ()):
                continue
            try:
                option.read(getattr(self, option.name))
            except Misfit as exc:
                problems[option.name] = Misplaced(str(exc), exc.place)
            except ValueError as exc:
                problems[option.name] = [str(exc)]
        if problems:
            raise ValidationError(problems)

    def clean(self) -> None:
        """Raises ValidationError where options do not fit each other, or the connector."""
        super().clean()
        problems: dict[str, list[ValidationError]] = {}
        shared = build(SharedOrder, self)
        connector: Connector | None = getattr(self, "connector", None)  # a form may lack it
        has_source = connector is not None or self.source_dataset is not None
        if has_source and self.far_end == ROWS:
            found = find_row_conflicts(self)
        else:
            found = {(name,): said for name, said in self._find_file_conflicts(shared).items()}
        for place, words in found.items():
            problems.setdefault(place[0], []).append(Misplaced(words, place[1:]))
        if problems:
            raise ValidationError(problems)

    def _find_file_conflicts(self, shared: SharedOrder) -> dict[str, str]:
        found = build(FileOrder, self).find_conflicts(shared)
        connector: Connector | None = getattr(self, "connector", None)
        clears = self.after_publish != AfterPublish.KEEP
        if clears and connector is not None and not can_remove(connector.kind):
            found["after_publish"] = (
                f"A connector of kind {connector.kind} only reads: it cannot"
                f" {self.after_publish} files. {', '.join(removing_kinds())} can."
            )
        return found

    @property
    def far_end(self) -> str:
        """What there is to sync, as its kind's Spec names it. Of a dataset's files it is the rows."""
        if self.connector is None:
            return ROWS
        spec = SPECS.get(self.connector.kind)
        return FILES if spec is None else spec.far_end

    @property
    def written_source(self) -> str | dict[str, str]:
        """What it syncs from as people write it."""
        return self.source_name if self.source_dataset is None else {"dataset": self.source_name}

    @property
    def written_destination(self) -> dict[str, Any] | None:
        """Its destination as people write it, with the name of the connector."""
        if self.destination is None:
            return None
        names = Connector.objects.filter(pk=self.destination["connector"])
        name = names.values_list("name", flat=True).first()
        return {**self.destination, "connector": name or self.destination["connector"]}

    @property
    def parsed_schedule(self) -> Schedule:
        return parse_schedule(self.schedule)

    @property
    def offset(self) -> timedelta:
        """How long after each of its fires it is due."""
        return draw_offset(self.pk, self.jitter_s)

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


def find_row_conflicts(job: SyncJob) -> dict[Place, str]:
    """What of a job of rows does not go together, or not with its source: each with the place and words."""
    connector, order = job.connector, build(RowOrder, job)
    if connector is not None:
        return order.find_conflicts(build(SharedOrder, job), connector.kind, [*connector.entities])
    if job.entity is None:
        words = 'says which files are the table, such as {path: "orders/*.csv", format: csv}'
        return {("entity",): f"{words}: a job that reads a dataset needs it"}
    found = order.find_conflicts(build(SharedOrder, job), DATASET, ())
    if not found:
        try:
            parse_entity(job.entity)
        except InvalidEntity as exc:
            return {("entity", exc.field): str(exc)}
    return found


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
