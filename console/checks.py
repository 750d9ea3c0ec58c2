"""System checks: what an operator can have set wrong about who may look."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def check_metrics_networks(**_: Any) -> list[CheckMessage]:
    try:
        for network in settings.METRICS_NETWORKS:
            ip_network(network, strict=False)
    except ValueError as exc:
        hint = "Give networks in CIDR form, separated by commas: 10.0.0.0/8,fd00::/8"
        return [Error(f"METRICS_NETWORKS: {exc}", hint=hint, id="console.E001")]
    return []
