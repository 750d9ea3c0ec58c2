"""The console's addresses, for tests."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def add_to(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_add")


def page_of(row: Any) -> str:
    return reverse(f"admin:{row._meta.app_label}_{row._meta.model_name}_change", args=[row.pk])


def press(row: Any, name: str) -> str:
    view = f"admin:{row._meta.app_label}_{row._meta.model_name}_press"
    return reverse(view, args=[row.pk, name])


def models() -> list[type[Model]]:
    """Every model that has a page."""
    return list(admin.site._registry)


def status_of(job: Any) -> str:
    """A job's first page; its settings are `page_of`."""
    return reverse("admin:syncjobs_syncjob_status", args=[job.pk])
