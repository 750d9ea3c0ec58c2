"""Streams of readings, and what became of each batch that was sent.

Readings are no rows. One row of `outbox_segment` holds up to a batch of them, each as the line that is sent, and
`outbox_reading_key` knows the senders' keys. Both are split into the slots of a ring, which are emptied whole.
Intake locks a stream's head and delivery its tail, so that neither waits for the other.
"""

from __future__ import annotations

import uuid

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Func, Q
from django.db.models.functions import Now

from connectors.models import Connector
from workspaces.models import Workspace, valid_title

SLOTS = 16  # of the ring


class NextNumber(Func):
    """The next of a sequence that the first migration makes."""

    template = "nextval('outbox_stream_number')"
    output_field = models.IntegerField()


class StreamState(models.TextChoices):
    RUNNING = "running"
    PAUSED = "paused"  # by delivery, for a reason that a person must see to
    STOPPED = "stopped"  # by a person


class Stream(models.Model):
    """An ordered queue of readings for one client system."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    number = models.IntegerField(unique=True, editable=False, db_default=NextNumber())
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="streams")
    name = models.CharField(max_length=100, validators=[valid_title])
    client = models.ForeignKey(Connector, models.PROTECT, related_name="streams")
    batch_size = models.PositiveSmallIntegerField(
        default=1000, validators=[MinValueValidator(1), MaxValueValidator(10_000)]
    )
    sync_interval_s = models.PositiveIntegerField(
        default=300, validators=[MinValueValidator(1), MaxValueValidator(86_400)]
    )
    max_queued = models.PositiveBigIntegerField(
        default=20_000_000, validators=[MinValueValidator(1)]
    )
    heartbeat_interval_s = models.PositiveIntegerField(  # 0: never
        default=60, validators=[MaxValueValidator(86_400)]
    )
    configuration_interval_s = models.PositiveIntegerField(  # 0: never
        default=3600, validators=[MaxValueValidator(2_592_000)]
    )
    configuration_schema = models.JSONField(null=True, blank=True)
    # What a client system that answers 413 has taught; NULL: nothing yet.
    batch_bytes = models.PositiveIntegerField(null=True, editable=False)
    batch_bytes_at = models.DateTimeField(null=True, editable=False)
    state = models.CharField(
        max_length=10, choices=StreamState.choices, default=StreamState.RUNNING, editable=False
    )
    reason = models.TextField(blank=True, default="", editable=False)  # of a pause
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "name"], name="stream_name_in_workspace"),
            models.CheckConstraint(
                condition=Q(state__in=StreamState.values), name="stream_state_known"
            ),
        ]

    def __str__(self) -> str:
        return self.name


class StreamHead(models.Model):
    """Where readings come in. Intake alone writes it, under its lock, so that numbers follow commits."""

    stream = models.OneToOneField(Stream, models.CASCADE, primary_key=True, related_name="head")
    next_seq = models.BigIntegerField(default=1)
    bytes = models.BigIntegerField(default=0)  # of all readings that ever came

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(next_seq__gte=1), name="head_counts_up")]

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.next_seq}"


class StreamTail(models.Model):
    """Where readings go out. Delivery alone writes it, and only with the token of its lease."""

    stream = models.OneToOneField(Stream, models.CASCADE, primary_key=True, related_name="tail")
    done_seq = models.BigIntegerField(default=0)
    bytes = models.BigIntegerField(default=0)  # of all readings that are done with
    token = models.BigIntegerField(default=0)
    lease_owner = models.CharField(max_length=200, null=True)
    lease_expires_at = models.DateTimeField(null=True)
    in_doubt = models.BooleanField(
        default=False
    )  # a lease ran out, and nobody said what became of it
    not_before = models.DateTimeField(null=True)
    rung_at = models.DateTimeField(null=True)
    waiting_for = models.CharField(max_length=300, blank=True, default="")
    refused_alone = models.PositiveSmallIntegerField(default=0)  # in a row, and none passed
    last_sync_at = models.DateTimeField(null=True)
    last_sync_success = models.BooleanField(null=True)
    last_error = models.TextField(blank=True, default="")
    last_error_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(done_seq__gte=0), name="tail_counts_up")]

    def __str__(self) -> str:
        return f"{self.stream_id}: {self.done_seq}"


class Ring(models.Model):
    """One row: which slot takes what comes now. The slots from `oldest` to `slot` hold readings, the others nothing."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    slot = models.PositiveSmallIntegerField(default=0)
    oldest = models.PositiveSmallIntegerField(default=0)
    since = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(id=1), name="ring_once")]

    def __str__(self) -> str:
        return f"slot {self.slot}"


class BatchState(models.TextChoices):
    OPEN = "open"
    DONE = "done"
    SPLIT = "split"  # refused as a whole; its parts are batches of their own
    DEAD = "dead"  # a single reading that was refused


class Batch(models.Model):
    """What is sent at once. Its id is the Idempotency-Key; its bytes never change."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    stream = models.ForeignKey(Stream, models.CASCADE, related_name="batches")
    seq_from = models.BigIntegerField()
    seq_to = models.BigIntegerField()
    members = models.JSONField(null=True)  # places counted from seq_from; NULL: all
    head = models.BinaryField()
    sha256 = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    count = models.PositiveIntegerField()
    parent = models.UUIDField(null=True)
    tries = models.PositiveSmallIntegerField(default=0)  # of this round
    uncertain = models.BooleanField(default=False)  # a try had no answer: it may have been taken
    state = models.CharField(max_length=10, choices=BatchState.choices, default=BatchState.OPEN)
    made_at = models.DateTimeField(db_default=Now())
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(seq_to__gte=F("seq_from")), name="batch_has_numbers"
            ),
            models.CheckConstraint(condition=Q(count__gte=1), name="batch_is_not_empty"),
        ]
        indexes = [
            models.Index(
                fields=["stream", "seq_from", "made_at"],
                condition=Q(state="open"),
                name="batch_open",
            ),
            models.Index(fields=["ended_at"], condition=~Q(state="open"), name="batch_ended"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Delivery(models.Model):
    """One try to send a batch."""

    batch_id = models.UUIDField()
    stream = models.ForeignKey(Stream, models.CASCADE, related_name="deliveries")
    seq_from = models.BigIntegerField()
    seq_to = models.BigIntegerField()
    count = models.PositiveIntegerField()
    token = models.BigIntegerField()
    at = models.DateTimeField(db_default=Now())
    took_ms = models.PositiveIntegerField()
    status = models.PositiveSmallIntegerField(null=True)  # HTTP's; NULL: no answer
    outcome = models.CharField(max_length=20)
    reason = models.TextField(blank=True, default="")

    class Meta:
        verbose_name_plural = "deliveries"
        indexes = [models.Index(fields=["stream", "-id"], name="delivery_of_stream")]

    def __str__(self) -> str:
        return f"{self.batch_id}: {self.outcome}"


class DeadLetter(models.Model):
    """A reading that the client system refused."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="dead_letters")
    seq = models.BigIntegerField()
    key = models.CharField(max_length=200)
    payload = models.TextField()  # JSON as it was sent
    code = models.CharField(max_length=100, blank=True, default="")
    reason = models.TextField(blank=True, default="")
    maybe_delivered = models.BooleanField(default=False)
    batch_id = models.UUIDField()
    at = models.DateTimeField(db_default=Now())
    redriven_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stream", "seq"], name="dead_letter_once_per_reading")
        ]
        indexes = [
            models.Index(
                fields=["stream", "id"], condition=Q(redriven_at=None), name="dead_letter_waiting"
            )
        ]

    def __str__(self) -> str:
        return self.key


class StreamHour(models.Model):
    """What went in and out within an hour (UTC): figures, and what the client system compares."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="hours")
    hour = models.DateTimeField()
    syncs = models.PositiveIntegerField(default=0)  # batches that were tried
    failed = models.PositiveIntegerField(default=0)
    # How those ended that did not deliver the whole batch; see TryEnd.
    rejected = models.PositiveIntegerField(default=0)
    split = models.PositiveIntegerField(default=0)
    retried = models.PositiveIntegerField(default=0)
    unreachable = models.PositiveIntegerField(default=0)
    paused = models.PositiveIntegerField(default=0)
    readings = models.PositiveBigIntegerField(default=0)  # delivered
    dead = models.PositiveBigIntegerField(default=0)
    keys_count = models.PositiveBigIntegerField(default=0)  # that came
    keys_sum = models.DecimalField(max_digits=20, decimal_places=0, default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["stream", "hour"], name="stream_hour_once")]

    def __str__(self) -> str:
        return f"{self.hour}"


class StreamContact(models.Model):
    """What is said beside batches: heartbeats, and the configuration's last look."""

    stream = models.OneToOneField(Stream, models.CASCADE, primary_key=True, related_name="contact")
    heartbeat_at = models.DateTimeField(null=True)
    heartbeat_status = models.PositiveSmallIntegerField(null=True)  # HTTP's; NULL: no answer
    heartbeat_error = models.TextField(blank=True, default="")
    heartbeat_due_at = models.DateTimeField(db_default=Now())
    etag = models.CharField(max_length=512, blank=True, default="")
    checked_at = models.DateTimeField(null=True)
    check_error = models.TextField(blank=True, default="")
    configuration_due_at = models.DateTimeField(db_default=Now())

    def __str__(self) -> str:
        return f"{self.stream_id}"


class ClientConfiguration(models.Model):
    """One version of what the client system gave; exactly one of a stream's is current."""

    stream = models.ForeignKey(Stream, models.CASCADE, related_name="configurations")
    number = models.PositiveIntegerField()
    etag = models.CharField(max_length=512, blank=True, default="")
    content = models.JSONField(null=True)  # NULL: it was no JSON object
    refusal = models.TextField(blank=True, default="")  # why it is not used
    is_current = models.BooleanField(default=False)
    downloaded_at = models.DateTimeField(db_default=Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["stream", "number"], name="configuration_number_once"),
            models.UniqueConstraint(
                fields=["stream"], condition=Q(is_current=True), name="one_current_configuration"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.number}"
