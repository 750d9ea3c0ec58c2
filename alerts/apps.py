from __future__ import annotations

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"

    def ready(self) -> None:
        from alerts.configuration.as_text import CHANNELS, RULES
        from alerts.models import AlertChannel
        from connectors.rotating import add_sealed_model
        from syncjobs.configuration.sections import add_section

        add_sealed_model(AlertChannel)
        add_section(CHANNELS)
        add_section(RULES)  # they name channels
