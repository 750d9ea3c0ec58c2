"""Filters whose choices come from the person's own workspaces, never from the rows of a big table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib.admin import ModelAdmin, SimpleListFilter
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from connectors.models import Connector
from console import tenancy
from farends.registry import SPECS
from syncjobs.models import SyncJob
from workspaces.models import Workspace

CHOICES_MAX = 50


class ScopedFilter(SimpleListFilter):
    """One choice for each of the first fifty rows of `model` that the person sees, and the chosen one."""

    model: type[Model]
    path = "workspace"  # from `model` to its workspace
    parameter_name: str
    only: Mapping[str, Any] = {}  # of its rows

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        rows = self.model._default_manager.filter(**self.only)
        rows = tenancy.scope(request, rows, path=self.path)
        choices = [(str(row.pk), str(row)) for row in rows.order_by("name")[:CHOICES_MAX]]
        chosen = _uuid(request.GET.get(self.parameter_name))
        if chosen and str(chosen) not in dict(choices):
            choices += [(str(row.pk), str(row)) for row in rows.filter(pk=chosen)]
        return choices

    def has_output(self) -> bool:
        return len(self.lookup_choices) > 1 or bool(self.value())

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if not self.value():
            return queryset
        chosen = _uuid(self.value())
        return queryset.filter(**{self.parameter_name: chosen}) if chosen else queryset.none()


class WorkspaceFilter(ScopedFilter):
    title = "workspace"
    parameter_name = "workspace"
    model = Workspace
    path = "pk"


class JobFilter(ScopedFilter):
    title = "sync job"
    parameter_name = "job"
    model = SyncJob


class ConnectorFilter(ScopedFilter):
    title = "connector"
    parameter_name = "connector"
    model = Connector


class KindFilter(SimpleListFilter):
    title = "kind"
    parameter_name = "kind"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(kind, spec.title) for kind, spec in SPECS.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(kind=self.value()) if self.value() else queryset


class QueuedSince(SimpleListFilter):
    """Filters by the time of queueing: the indexes of records have this order."""

    title = "queued"
    parameter_name = "since"
    spans = {
        "1h": ("in the last hour", timedelta(hours=1)),
        "24h": ("in the last 24 hours", timedelta(hours=24)),
        "7d": ("in the last 7 days", timedelta(days=7)),
        "30d": ("in the last 30 days", timedelta(days=30)),
    }

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [(key, words) for key, (words, _) in self.spans.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        span = self.spans.get(str(self.value()))
        return queryset.filter(queued_at__gte=timezone.now() - span[1]) if span else queryset


class SyncsOrPlans(SimpleListFilter):
    """A dry run is no sync: the list shows the ones or the others, and syncs where nothing is chosen."""

    title = "what"
    parameter_name = "dry_run"

    def lookups(self, request: HttpRequest, model_admin: ModelAdmin[Any]) -> list[tuple[str, str]]:
        return [("1", "dry runs")]

    def choices(self, changelist: Any) -> Any:
        every, *rest = super().choices(changelist)
        return [{**every, "display": "syncs"}, *rest]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(dry_run=self.value() == "1")


def _uuid(text: str | None) -> UUID | None:
    try:
        return UUID(text or "")
    except ValueError:
        return None
