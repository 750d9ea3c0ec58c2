"""System checks: what an operator can have set wrong about who may look."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register


@register()
def check_metrics_networks(**_: Any) -> list[CheckMessage]:
    hint = "Give networks in CIDR form, separated by commas: 10.0.0.0/8,fd00::/8"
    wrong: list[CheckMessage] = []
    for number, name in enumerate(("METRICS_NETWORKS", "TRUSTED_PROXIES"), 1):
        try:
            for network in getattr(settings, name):
                ip_network(network, strict=False)
        except ValueError as exc:
            wrong.append(Error(f"{name}: {exc}", hint=hint, id=f"console.E00{number}"))
    return wrong
