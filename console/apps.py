from __future__ import annotations

from django.apps import AppConfig
from django.contrib import admin


class ConsoleConfig(AppConfig):
    name = "console"

    def ready(self) -> None:
        from console import checks  # noqa: F401 — importing registers them

        # Unfold stands before us in INSTALLED_APPS, so a template of the same name would not be found.
        admin.site.index_template = "console/dashboard.html"
        admin.site.index_title = "Overview"
