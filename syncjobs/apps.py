from __future__ import annotations

from django.apps import AppConfig


class SyncjobsConfig(AppConfig):
    name = "syncjobs"
    verbose_name = "sync jobs"

    def ready(self) -> None:
        from syncjobs import checks  # noqa: F401 — importing registers them
