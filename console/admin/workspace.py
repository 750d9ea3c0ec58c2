"""Workspaces. Superusers make and remove them; admins of one may rename it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.db.models import Count, QuerySet
from django.http import HttpRequest

from console import tenancy
from console.admin.scoped import ScopedAdmin
from workspaces.models import Workspace


@admin.register(Workspace)
class WorkspaceAdmin(ScopedAdmin):
    workspace_path = "pk"
    list_display = ["name", "connectors", "sync_jobs", "members", "created_at"]
    search_fields = ["name"]
    fields = ["name", "max_running", "one_sync_at_a_time", "created_at"]
    readonly_fields = ["created_at"]

    def workspace_of(self, obj: Workspace) -> UUID:
        return obj.pk

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        counted: QuerySet[Any] = rows.annotate(
            connector_count=Count("connectors", distinct=True),
            job_count=Count("sync_jobs", distinct=True),
            member_count=Count("members", distinct=True),
        )
        return counted

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return tenancy.sees_all(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return tenancy.sees_all(request)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        """Only an empty workspace goes: what it holds is removed by name, never in passing."""
        chosen = [obj.pk for obj in objs]
        counted = self.get_queryset(request).filter(pk__in=chosen)
        protected = [
            f"{row.name}: {row.connector_count} connectors, {row.job_count} sync jobs"
            for row in counted
            if row.connector_count or row.job_count or row.datasets.exists()
        ]
        refused = self.refuse_deletion(request, objs)
        return [str(obj) for obj in objs], {"workspaces": len(chosen)}, refused, protected

    @admin.display(ordering="connector_count")
    def connectors(self, row: Any) -> int:
        return int(row.connector_count)

    @admin.display(ordering="job_count", description="sync jobs")
    def sync_jobs(self, row: Any) -> int:
        return int(row.job_count)

    @admin.display(ordering="member_count")
    def members(self, row: Any) -> int:
        return int(row.member_count)
