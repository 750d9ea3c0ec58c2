"""The audit trail, the newest first: for admins."""

from __future__ import annotations

import json
from typing import Any

from django.contrib import admin
from django.contrib.admin import SimpleListFilter
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console import tenancy
from console.admin.filters import WorkspaceFilter
from console.admin.scoped import KeysetAdmin
from console.labels import moment
from console.words import NOTHING
from workspaces.models import AuditEntry, Role

_SHOWN = 4  # changes in a row of the list
LATEST = 2_000


class LateFilter(SimpleListFilter):
    """One choice for each value that the latest entries have: all entries are too many to be looked through."""

    def lookups(
        self, request: HttpRequest, model_admin: admin.ModelAdmin[Any]
    ) -> list[tuple[str, str]]:
        name = str(self.parameter_name)
        latest = AuditEntry.objects.order_by("-id").values(name)[:LATEST]
        asked = request.GET.get(name)
        values = {str(row[name]) for row in latest} | ({asked} if asked else set())
        return [(value, value) for value in sorted(values)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return (
            queryset.filter(**{str(self.parameter_name): self.value()})
            if self.value()
            else queryset
        )


class LateKindFilter(LateFilter):
    title = "kind"
    parameter_name = "kind"


class LateActionFilter(LateFilter):
    title = "action"
    parameter_name = "action"


@admin.register(AuditEntry)
class AuditAdmin(KeysetAdmin):
    list_display = ["when", "actor", "door", "action", "kind", "object_name", "what", "workspace"]
    list_filter = [WorkspaceFilter, "door", LateKindFilter, LateActionFilter]
    list_select_related = ["workspace"]
    search_fields = ["actor", "object_name", "object_id"]
    ordering = ["-id"]
    fields = ["at", "actor", "door", "action", "kind", "object_name", "object_id", "all_changes"]
    readonly_fields = ["all_changes"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tenancy.scope(request, super().get_queryset(request), needed=Role.ADMIN)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return tenancy.may(request, Role.ADMIN)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        if isinstance(obj, AuditEntry) and obj.workspace_id is None:  # of one that is gone
            return tenancy.sees_all(request)
        return self._may(request, Role.ADMIN, obj)

    @admin.display(description="when")
    def when(self, entry: AuditEntry) -> str:
        return moment(entry.at)

    @admin.display(description="changes")
    def what(self, entry: AuditEntry) -> str:
        more = len(entry.changes) - _SHOWN
        first = dict(list(entry.changes.items())[:_SHOWN])
        words = f"and {more} more" if more > 0 else ""
        return format_html("{}{}", _lines(first), words) or NOTHING

    @admin.display(description="changes")
    def all_changes(self, entry: AuditEntry) -> str:
        return _lines(entry.changes) or NOTHING


def _lines(changes: dict[str, list[Any]]) -> SafeString:
    said = ((name, _words(before), _words(after)) for name, (before, after) in changes.items())
    return format_html_join("", "<div><b>{}</b>: {} → {}</div>", said)


def _words(value: Any) -> str:
    return NOTHING if value is None else value if isinstance(value, str) else json.dumps(value)
