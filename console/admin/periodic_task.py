"""Platform chores: what beat rings by itself. Sync jobs carry their own schedules.

The chores are the product's own: they are paced, switched off and on here, not invented or renamed.
"""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_celery_beat import admin as _  # noqa: F401 — it registers what is replaced here
from django_celery_beat.models import (
    ClockedSchedule,
    CrontabSchedule,
    IntervalSchedule,
    PeriodicTask,
    PeriodicTasks,
    SolarSchedule,
)

from console.admin.scoped import PlatformAdmin
from console.labels import moment

for model in (PeriodicTask, ClockedSchedule, CrontabSchedule, IntervalSchedule, SolarSchedule):
    admin.site.unregister(model)


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(PlatformAdmin):
    list_display = ["name", "task", "pace", "enabled", "show_last_start", "total_run_count"]
    list_filter = ["enabled"]
    list_select_related = ["interval", "crontab"]
    search_fields = ["name", "task"]
    actions = ["enable_selected", "disable_selected"]
    fields = [
        "name",
        "task",
        "description",
        "enabled",
        "interval",
        "crontab",
        "show_last_start",
        "total_run_count",
    ]
    readonly_fields = ["name", "task", "description", "show_last_start", "total_run_count"]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    @admin.display(description="schedule")
    def pace(self, task: PeriodicTask) -> str:
        return str(task.interval or task.crontab or "")

    @admin.display(description="last start", ordering="last_run_at")
    def show_last_start(self, task: PeriodicTask) -> str:
        return moment(task.last_run_at)

    @admin.action(description="Enable", permissions=["change"])
    def enable_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self._switch(request, rows, enabled=True)

    @admin.action(description="Disable", permissions=["change"])
    def disable_selected(self, request: HttpRequest, rows: QuerySet[Any]) -> None:
        self._switch(request, rows, enabled=False)

    def _switch(self, request: HttpRequest, rows: QuerySet[Any], *, enabled: bool) -> None:
        count = rows.update(enabled=enabled)
        PeriodicTasks.update_changed()  # a plain update sends no signal, and beat looks at this row
        messages.success(request, f"{count} {'enabled' if enabled else 'disabled'}.")


@admin.register(IntervalSchedule)
class IntervalScheduleAdmin(PlatformAdmin):
    pass


@admin.register(CrontabSchedule)
class CrontabScheduleAdmin(PlatformAdmin):
    list_display = ["__str__", "timezone"]
