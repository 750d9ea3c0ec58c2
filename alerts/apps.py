from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_save


class AlertsConfig(AppConfig):
    name = "alerts"

    def ready(self) -> None:
        from alerts.configuration.as_text import CHANNELS, RULES
        from alerts.models import AlertChannel
        from connectors.rotating import add_sealed_model
        from syncjobs.configuration.sections import add_section
        from workspaces.models import Workspace

        add_sealed_model(AlertChannel)
        add_section(CHANNELS)
        add_section(RULES)  # they name channels
        # By whatever door a workspace comes: those who make one stand on floors below this one.
        post_save.connect(_give_default_rules, sender=Workspace)


def _give_default_rules(instance: Any, *, created: bool, **_: Any) -> None:
    from alerts.configuration.defaults import make_default_rules

    if created:
        make_default_rules(instance.pk)
