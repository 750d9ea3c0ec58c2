"""Connectors: the stored descriptions of far ends."""

from __future__ import annotations

import functools
import json
import uuid
from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models.functions import Now

from farends.registry import SPECS
from farends.spec import Waypoint
from workspaces.models import Workspace, valid_title


class ConnectorStatus(models.TextChoices):
    ACTIVE = "active"
    PAUSED = "paused"  # its jobs are not dispatched


def name_address(host: str, port: int) -> str:
    """Empty where nobody is dialled."""
    return f"{host.lower()}:{port}" if host else ""


# Of `c`, a connector: what `name_dialled_address` takes. Where there is none, nobody is dialled.
WAY = """coalesce(c.kind, '') AS kind, coalesce(c.host, '') AS host, coalesce(c.port, 0) AS port,
       coalesce(c.options::text, '{}') AS options"""


def name_dialled_address(kind: str, host: str, port: int, options: str) -> str:
    """Names the host and port that really see our connections: those of the proxy or of the jump host, where one is
    used. `options` is the text of the stored JSON."""
    return _find_first_hop(kind, options) or name_address(host, port)


@functools.lru_cache(maxsize=8192)  # each tick and each claim asks, and options seldom change
def _find_first_hop(kind: str, options: str) -> str | None:
    for hop in _list_detour(kind, json.loads(options)):
        if hop.host is not None and hop.port is not None:
            return name_address(hop.host, hop.port)
    return None


def _list_detour(kind: str, options: Mapping[str, Any]) -> tuple[Waypoint, ...]:
    spec = SPECS.get(kind)
    return () if spec is None else spec.detour(options)


class Connector(models.Model):
    """One far end: kind, host, options, secret, owner.

    The secret is write-only: `sealed_secret` is encrypted and bound to kind, host, port and the
    way there; see `connectors.secrets`.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="connectors")
    name = models.CharField(max_length=100, validators=[valid_title])
    kind = models.CharField(max_length=20)
    host = models.CharField(max_length=255)
    port = models.PositiveIntegerField(
        validators=[MinValueValidator(1), MaxValueValidator(65535)],
    )
    options = models.JSONField(default=dict, blank=True)
    # Of kind rest: its resources by name, see `syncjobs.order.rows.RESOURCES`.
    entities = models.JSONField(default=dict, blank=True)
    sealed_secret = models.TextField(blank=True, default="", editable=False)
    status = models.CharField(
        max_length=10, choices=ConnectorStatus.choices, default=ConnectorStatus.ACTIVE
    )
    auto_sync = models.BooleanField(default=False)
    sync_interval_s = models.PositiveIntegerField(
        "sync interval (s)",
        default=3600,
        validators=[MinValueValidator(1), MaxValueValidator(31_536_000)],
    )
    max_running = models.PositiveSmallIntegerField(  # records at once; further ones wait
        null=True, blank=True, validators=[MinValueValidator(1)]
    )
    last_sync_at = models.DateTimeField(null=True, editable=False)  # when one last succeeded
    last_attempt_at = models.DateTimeField(null=True, editable=False)  # when one last ended
    # Of that attempt.
    last_sync_status = models.CharField(max_length=10, blank=True, default="", editable=False)
    last_sync_error = models.TextField(blank=True, default="", editable=False)
    last_test_at = models.DateTimeField(null=True, editable=False)
    last_test = models.JSONField(null=True, editable=False)  # the stages, as a list
    capabilities = models.JSONField(null=True, editable=False)  # see `connectors.opening`
    capabilities_at = models.DateTimeField(null=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.UniqueConstraint(
                fields=["workspace", "name"], name="connector_name_in_workspace"
            ),
            models.CheckConstraint(
                condition=models.Q(port__gte=1, port__lte=65535), name="connector_port_range"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def address(self) -> str:
        """The host and port whose budget its records use, whatever the kind."""
        return name_address(self.host, self.port)

    @property
    def dialled(self) -> str:
        """Who bears its connections; its address, unless a proxy or a jump host stands before that."""
        return name_dialled_address(self.kind, self.host, self.port, json.dumps(self.options))

    @property
    def endpoint(self) -> str:
        """What a secret is bound to: the far end, and who stands on the way there."""
        by = "".join(f" by {hop.url}" for hop in _list_detour(self.kind, self.options))
        return f"{self.kind}://{self.host.lower()}:{self.port}{by}"


class HostBudget(models.Model):
    """What a workspace has learned of a host, shared by all workers; absent where nothing was learned.

    Each workspace learns for itself: what one of them does to reach a host says nothing of another's way.
    A proxy or a jump host has a budget of its own, beside those of the far ends behind it.
    """

    workspace = models.ForeignKey(Workspace, models.CASCADE, related_name="host_budgets")
    address = models.CharField(max_length=300)  # `Connector.address`, or `Connector.dialled`
    failures = models.PositiveIntegerField(default=0)  # in a row, where the host itself was away
    opened_until = models.DateTimeField(
        null=True
    )  # the circuit: nobody calls before; then one tries
    hold_until = models.DateTimeField(null=True)  # what the host asked for (Retry-After)
    max_running = models.PositiveSmallIntegerField(null=True)  # learned where it had enough of us
    learned_at = models.DateTimeField(null=True)
    last_error = models.TextField(blank=True, default="")
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["address"]
        constraints = [
            models.UniqueConstraint(fields=["workspace", "address"], name="budget_once_per_host")
        ]

    def __str__(self) -> str:
        return self.address


class FarEndWatch(models.Model):
    """Whether a connector's far end can be reached, from checks and from the work done with it."""

    connector = models.OneToOneField(
        Connector, models.CASCADE, primary_key=True, related_name="far_end_watch"
    )
    watch = models.BooleanField(default=True)  # checks of its own; work is heard of all the same
    state = models.CharField(max_length=10, default="unknown")
    since = models.DateTimeField(null=True)
    told = models.CharField(max_length=10, default="unknown")  # what the event log says
    last_check_at = models.DateTimeField(null=True)
    last_success_at = models.DateTimeField(null=True)
    last_failure_at = models.DateTimeField(null=True)
    failures = models.PositiveIntegerField(default=0)  # in a row
    last_error = models.TextField(blank=True, default="")
    changes = ArrayField(models.DateTimeField(), default=list)  # of the state, lately
    # The last checks, oldest first, each as `connectors.looks.HostCheck` writes it.
    looks = models.JSONField(default=list)
    due_at = models.DateTimeField(db_default=Now(), db_index=True)  # of the next check
    came_back = models.BooleanField(default=False)  # what waited for it is still to be woken

    class Meta:
        verbose_name_plural = "far end watches"
        indexes = [
            models.Index(
                fields=["connector"],
                condition=models.Q(came_back=True),
                name="watch_came_back",
            )
        ]

    def __str__(self) -> str:
        return self.state


class SourceListing(models.Model):
    """The files that a far end listed last, as far as a look goes, for people who choose what to sync."""

    connector = models.OneToOneField(
        Connector, models.CASCADE, primary_key=True, related_name="source_listing"
    )
    source = models.CharField(max_length=64)  # a digest of the connector's way there
    listed_at = models.DateTimeField(null=True)  # NULL: it never answered
    complete = models.BooleanField(default=False)
    entries = models.BinaryField(default=b"")  # compressed; see `connectors.listings`
    tried_at = models.DateTimeField()
    error = models.TextField(blank=True, default="")  # of the last try; empty: it worked

    def __str__(self) -> str:
        return str(self.connector)
