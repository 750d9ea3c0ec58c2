from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.contrib import admin
from django.contrib.auth.signals import user_logged_in
from django.http import HttpRequest


class ConsoleConfig(AppConfig):
    name = "console"

    def ready(self) -> None:
        from console import checks  # noqa: F401 — importing registers them

        user_logged_in.connect(_resume, dispatch_uid="console")
        # Unfold stands before us in INSTALLED_APPS, so a template of the same name would not be found.
        admin.site.index_template = "console/dashboard.html"
        admin.site.index_title = "Overview"


def _resume(request: HttpRequest, user: Any, **_: Any) -> None:
    from workspaces.choosing import resume_choices

    resume_choices(request.session, user)
