"""Rules, what they found, where it is told, and each message that tells it.

`alerts.watching` moves alerts and writes one notification for each channel that is to hear of the move, in the
transaction in which it reads the event log. `alerts.sending` bundles notifications into messages whose bytes never
change, and sends those. So a crash loses nothing, and doubles a message at most under its own key.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models import F, Func, IntegerField, Q
from django.db.models.functions import Now
from django.db.models.lookups import LessThanOrEqual

from alerts.core.words import (
    ChannelState,
    DeliveryOutcome,
    MessageReason,
    RuleKind,
    Severity,
    SubjectKind,
    Tell,
)
from connectors.models import Connector
from outbox.models import Stream
from syncjobs.models.jobs import SyncJob
from workspaces.models import Workspace, valid_title

valid_tag = RegexValidator(r"\A[^\x00-\x1f\x7f]+\Z", "use no control characters")


def _choices(
    words: type[
        RuleKind | Severity | Tell | SubjectKind | ChannelState | MessageReason | DeliveryOutcome
    ],
) -> list[tuple[str, str]]:
    return [(word.value, word.value.replace("_", " ")) for word in words]


class AlertChannel(models.Model):
    """Where alerts of a workspace are told. The URL holds secrets: it is sealed, and shown without them."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="alert_channels")
    name = models.CharField(max_length=100, validators=[valid_title])
    sealed_secret = models.TextField(editable=False)  # {"url": …}, bound to the channel's id
    scheme = models.CharField(max_length=20, editable=False)
    shown_url = models.CharField(max_length=300, editable=False)  # scheme and host
    min_severity = models.CharField(
        max_length=10, choices=_choices(Severity), default=Severity.INFO.value
    )
    quiet_hours = models.CharField(max_length=11, blank=True, default="")  # HH:MM-HH:MM
    timezone = models.CharField(max_length=60, default="UTC")
    breaks_quiet = models.CharField(
        max_length=10, choices=_choices(Severity), default=Severity.CRITICAL.value
    )
    group_s = models.PositiveIntegerField(default=30, validators=[MaxValueValidator(3600)])
    most_per_hour = models.PositiveIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(1000)]
    )
    enabled = models.BooleanField(default=True)
    state = models.CharField(
        max_length=10, choices=_choices(ChannelState), default=ChannelState.OK.value, editable=False
    )
    broken_since = models.DateTimeField(null=True, editable=False)
    last_result = models.TextField(blank=True, default="", editable=False)
    last_delivery_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="channel_name_in_workspace")
        ]

    def __str__(self) -> str:
        return self.name


class AlertRule(models.Model):
    """A condition that is looked for in a scope: a job, a connector, a stream, the jobs with a tag, or the workspace."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="alert_rules")
    name = models.CharField(max_length=100, validators=[valid_title])
    kind = models.CharField(max_length=20, choices=_choices(RuleKind))
    severity = models.CharField(
        max_length=10, choices=_choices(Severity), default=Severity.WARNING.value
    )
    enabled = models.BooleanField(default=True)
    job = models.ForeignKey(
        SyncJob, models.CASCADE, null=True, blank=True, related_name="alert_rules"
    )
    connector = models.ForeignKey(
        Connector, models.CASCADE, null=True, blank=True, related_name="alert_rules"
    )
    stream = models.ForeignKey(
        Stream, models.CASCADE, null=True, blank=True, related_name="alert_rules"
    )
    tag = models.CharField(max_length=100, blank=True, default="", validators=[valid_tag])
    params = models.JSONField(default=dict, blank=True)
    channels = models.ManyToManyField(AlertChannel, blank=True, related_name="rules")  # none: all
    created_at = models.DateTimeField(
        db_default=Now(), editable=False
    )  # what was before is not looked at
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="rule_name_in_workspace"),
            models.CheckConstraint(
                condition=LessThanOrEqual(
                    Func(
                        "job",
                        "connector",
                        "stream",
                        Func(F("tag"), models.Value(""), function="nullif"),
                        function="num_nonnulls",
                        output_field=IntegerField(),
                    ),
                    1,
                ),
                name="rule_has_one_scope",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Alert(models.Model):
    """How one subject stands under one rule, since it was first bad. There is one row, so nothing is told twice."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="alerts")
    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="alerts")
    kind = models.CharField(max_length=20, blank=True, default="")  # the rule's when it opened
    subject_kind = models.CharField(max_length=10, choices=_choices(SubjectKind))
    subject_id = models.UUIDField()
    subject_name = models.CharField(max_length=200)  # as it was when the alert last moved
    firing = models.BooleanField(default=False)
    bad_in_a_row = models.PositiveIntegerField(default=0)
    flapping = models.BooleanField(default=False)
    changes = ArrayField(models.DateTimeField(), default=list)  # within the window of flapping
    severity = models.CharField(
        max_length=10, choices=_choices(Severity)
    )  # the rule's when it opened
    detail = models.TextField(blank=True, default="")
    record_id = models.UUIDField(null=True)
    error_code = models.CharField(max_length=40, blank=True, default="")
    occurrences = models.PositiveIntegerField(default=0)  # bad ones since it opened
    opened_at = models.DateTimeField(null=True)  # NULL: it has never fired
    last_seen_at = models.DateTimeField(null=True)
    resolved_at = models.DateTimeField(null=True)
    silenced_until = models.DateTimeField(null=True)
    silenced_by = models.CharField(max_length=150, blank=True, default="")
    silence_reason = models.TextField(blank=True, default="")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["rule", "subject_kind", "subject_id"], name="alert_once"
            )
        ]
        indexes = [
            models.Index(
                fields=["workspace", "-opened_at"],
                condition=Q(opened_at__isnull=False),
                name="alert_newest",
            ),
            models.Index(fields=["rule"], condition=Q(firing=True), name="alert_firing"),
            models.Index(fields=["rule"], condition=Q(flapping=True), name="alert_flapping"),
            models.Index(
                fields=["silenced_until"],
                condition=Q(silenced_until__isnull=False),
                name="alert_silenced",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rule}: {self.subject_name}"


class AlertMessage(models.Model):
    """One message to one channel. Its id is the delivery's key, and its bytes never change."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="messages")
    reason = models.CharField(max_length=10, choices=_choices(MessageReason))
    body = models.BinaryField()  # JSON, as `json` channels get it
    made_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField(
        null=True
    )  # of the next try; NULL: it has ended, or waits for a test of its broken channel
    leased_until = models.DateTimeField(null=True)  # somebody is sending it
    delivered_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    code = models.CharField(max_length=40, blank=True, default="")  # of the last try that failed
    result = models.TextField(blank=True, default="")

    class Meta:
        indexes = [
            models.Index(
                fields=["channel", "next_at"], condition=Q(ended_at=None), name="message_open"
            ),
            models.Index(fields=["channel", "-made_at"], name="message_of_channel"),
            models.Index(
                fields=["ended_at"], condition=Q(ended_at__isnull=False), name="message_ended"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.reason} to {self.channel}"


class Notification(models.Model):
    """One move of one alert that one channel is to hear of. `told` is the alert as it was then."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="notifications")
    channel = models.ForeignKey(AlertChannel, models.CASCADE, related_name="notifications")
    tell = models.CharField(max_length=20, choices=_choices(Tell))
    severity = models.CharField(max_length=10, choices=_choices(Severity))
    told = models.JSONField()  # an item of `alerts` in a message's body
    at = models.DateTimeField(db_default=Now())
    due_at = models.DateTimeField()  # its group is whole, or quiet hours have ended
    held = models.BooleanField(default=False)  # by quiet hours: no earlier group takes it along
    message = models.ForeignKey(
        AlertMessage, models.CASCADE, null=True, related_name="notifications"
    )
    suppressed = models.BooleanField(default=False)  # a digest counts it

    class Meta:
        indexes = [
            models.Index(
                fields=["channel", "due_at"], condition=Q(message=None), name="notification_waiting"
            ),
            models.Index(fields=["alert", "channel", "-id"], name="notification_of_alert"),
        ]

    def __str__(self) -> str:
        return f"{self.tell}: {self.alert_id}"


class AlertDeliveryTotal(models.Model):
    """How many tries of a workspace's messages ended how; `suppressed` counts what only a digest counts."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="+")
    outcome = models.CharField(max_length=12, choices=_choices(DeliveryOutcome))
    total = models.BigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "outcome"], name="delivery_total_once")
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.total}"


class EndedCount(models.Model):
    """How many records in the scope of an error rate's rule have ended within a small part of its window."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="ended_counts", db_index=False)
    since = models.DateTimeField()
    ended = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()  # of these

    class Meta:
        constraints = [models.UniqueConstraint(fields=["rule", "since"], name="ended_count_once")]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.failed} of {self.ended}"


class IdleWatch(models.Model):
    """When a rule looks whether a job still runs. A job that runs is looked at once in two of its intervals."""

    rule = models.ForeignKey(AlertRule, models.CASCADE, related_name="idle_watches", db_index=False)
    job = models.ForeignKey(SyncJob, models.CASCADE, related_name="idle_watches")
    schedule = models.TextField()  # the job's, as JSON, when it was last compared
    after_s = models.PositiveIntegerField(null=True)  # the rule's
    idle_from = models.DateTimeField()  # nothing has run since, as far as was looked
    look_at = models.DateTimeField(null=True)  # NULL: the job does not count now

    class Meta:
        verbose_name_plural = "idle watches"
        constraints = [models.UniqueConstraint(fields=["rule", "job"], name="idle_watch_once")]
        indexes = [
            models.Index(
                fields=["look_at"], condition=Q(look_at__isnull=False), name="idle_watch_due"
            )
        ]

    def __str__(self) -> str:
        return f"{self.rule_id}: {self.job_id}"
