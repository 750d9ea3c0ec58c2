from __future__ import annotations

from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "alerts"

    def ready(self) -> None:
        from alerts.models import AlertChannel
        from connectors.rotating import add_sealed_model

        add_sealed_model(AlertChannel)
