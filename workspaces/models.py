"""Tenants, the people in them, and the tokens of their programs."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.core.validators import MaxValueValidator, MinValueValidator, RegexValidator
from django.db import models
from django.db.models.functions import Now

from timing.windows import (
    Calendar,
    InvalidWindow,
    parse_blackouts,
    parse_calendar,
    parse_windows,
)
from workspaces.acting import Door


class Role(models.TextChoices):
    """What a member or token may do; each includes the ones before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"  # also starts, cancels, releases
    ADMIN = "admin"  # also changes configuration

    def covers(self, needed: Role) -> bool:
        ranks = list(Role)
        return ranks.index(self) >= ranks.index(needed)


KEEP_DAYS_MAX = 36_500
valid_name = RegexValidator(
    r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,99}\Z",
    "use letters, digits, '.', '_' and '-', at most 100, beginning with a letter or digit",
)


# Of what people name in words, and paths, columns and addresses do not.
valid_title = RegexValidator(
    r"\A[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,98}[A-Za-z0-9._-])?\Z",
    "use letters, digits, blanks, '.', '_' and '-', at most 100, beginning with a letter or digit",
)


def validate_windows(value: object) -> None:
    try:
        parse_windows(value)
    except InvalidWindow as exc:
        raise ValidationError(str(exc)) from None


def validate_blackouts(value: object) -> None:
    try:
        parse_blackouts(value)
    except InvalidWindow as exc:
        raise ValidationError(str(exc)) from None


class Workspace(models.Model):
    """The tenant; every row belongs to one."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=100, unique=True, validators=[valid_name])
    max_running = models.PositiveSmallIntegerField(  # records at once; further ones wait
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    max_store_bytes = models.PositiveBigIntegerField(  # of the contents it holds, each once
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    # What keeps older versions of its datasets, see `syncjobs.core.keeping`. Nothing set: each is kept.
    keep_versions = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    keep_days = models.PositiveIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1), MaxValueValidator(KEEP_DAYS_MAX)]
    )
    keep_bytes = models.PositiveBigIntegerField(
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    # While a record runs, a further sync is answered with it instead of being queued.
    one_sync_at_a_time = models.BooleanField(default=False)
    # Of all its jobs, beside their own; see `timing.windows`.
    windows = models.JSONField(default=list, blank=True, validators=[validate_windows])
    blackouts = models.JSONField(default=list, blank=True, validators=[validate_blackouts])
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def calendar(self) -> Calendar:
        return parse_calendar(self.windows, self.blackouts)


class Member(models.Model):
    """A person's role in a workspace."""

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="members")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["workspace", "user"], name="member_once_per_workspace")
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.workspace}"


class PersonalChoice(models.Model):
    """How a person has set the console, on whatever machine they log in."""

    user = models.OneToOneField(
        settings.AUTH_USER_MODEL, models.CASCADE, primary_key=True, related_name="+"
    )
    workspace = models.ForeignKey(Workspace, models.SET_NULL, null=True, related_name="+")
    letter_keys = models.BooleanField(default=True)  # keys of one letter do something (WCAG 2.1.4)

    def __str__(self) -> str:
        return f"of {self.user}"


valid_invited = RegexValidator(
    r"\A[\w.@+-]{1,254}\Z", "use a user name, or an e-mail address, as the person has it"
)


class Invitation(models.Model):
    """An invitation to a workspace, for the person with the name and the link. Only the link's digest is kept; see
    `workspaces.invitations`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="invitations")
    name = models.CharField(max_length=254, validators=[valid_invited])
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    invited_by = models.CharField(max_length=200, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(editable=False)
    accepted_at = models.DateTimeField(null=True, blank=True, editable=False)
    withdrawn_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"],
                condition=models.Q(accepted_at=None, withdrawn_at=None),
                name="invitation_open_once",
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} to {self.workspace}"


class ApiToken(models.Model):
    """A program's key to one workspace. Only its digest is kept; see `workspaces.tokens`."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=100)
    role = models.CharField(max_length=10, choices=Role.choices, default=Role.VIEWER)
    prefix = models.CharField(max_length=12, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class AuditEntry(models.Model):
    """One change of what people set. Never changed itself; see `workspaces.auditing`."""

    workspace = models.ForeignKey(Workspace, models.SET_NULL, null=True, related_name="audit")
    at = models.DateTimeField(db_default=Now())
    actor = models.CharField(max_length=200)
    door = models.CharField(max_length=10, choices=Door.choices)
    action = models.CharField(max_length=30)
    kind = models.CharField(max_length=30)  # of the object
    object_id = models.CharField(max_length=40)
    object_name = models.CharField(max_length=255)
    changes = models.JSONField(default=dict, encoder=DjangoJSONEncoder)

    class Meta:
        verbose_name_plural = "audit entries"
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["workspace", "-id"], name="audit_of_workspace"),
            models.Index(fields=["workspace", "object_id", "-id"], name="audit_of_object"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.object_name} {self.action}"


class KeptAnswer(models.Model):
    """What a POST was answered with, for whoever sends it again; see `api.rest.idempotency`."""

    id = models.CharField(primary_key=True, max_length=64)  # a digest of who gave which key
    request = models.CharField(max_length=64)  # a digest of method, path and body
    status = models.PositiveSmallIntegerField()
    body = models.JSONField(null=True, encoder=DjangoJSONEncoder)
    at = models.DateTimeField(db_default=Now(), db_index=True)

    def __str__(self) -> str:
        return f"{self.status} of {self.at}"


class PlanOutcome(models.TextChoices):
    """What became of a plan that was used."""

    ACTED = "acted"
    DECLINED = "declined"  # the person who was asked said no


class PlanToken(models.Model):
    """What a program was told that its call would do, until it calls again to do it; see `workspaces.plans`."""

    id = models.CharField(primary_key=True, max_length=64)  # a digest of the token
    holder = models.ForeignKey(ApiToken, models.CASCADE, related_name="plans", db_index=False)
    tool = models.CharField(max_length=64)
    call = models.CharField(max_length=64)  # a digest of the arguments, and of what they name
    is_question = models.BooleanField()  # a person answers it; the program cannot use it itself
    made_at = models.DateTimeField(db_default=Now(), db_index=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=10, choices=PlanOutcome.choices, blank=True)

    class Meta:
        indexes = [models.Index(fields=["holder", "tool", "used_at"], name="plan_uses")]

    def __str__(self) -> str:
        return f"{self.tool} for {self.holder}"
