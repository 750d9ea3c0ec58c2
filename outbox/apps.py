from __future__ import annotations

from django.apps import AppConfig


class OutboxConfig(AppConfig):
    name = "outbox"
    verbose_name = "Outbox"

    def ready(self) -> None:
        from outbox.as_text import STREAMS
        from syncjobs.configuration.sections import add_section

        add_section(STREAMS)
