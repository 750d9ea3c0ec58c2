"""System checks of what an operator can set wrong, before the first sync meets it."""

from __future__ import annotations

from typing import Any

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from farends.dialing import Policy


@register()
def check_networks(**_: Any) -> list[CheckMessage]:
    try:
        Policy.parse(settings.ALLOWED_NETWORKS)
    except ValueError as exc:
        hint = "Give networks in CIDR form, separated by commas: 10.0.0.0/8,fd00::/8"
        return [Error(f"ALLOWED_NETWORKS: {exc}", hint=hint, id="connectors.E001")]
    return []


@register()
def check_secrets_keys(**_: Any) -> list[CheckMessage]:
    for number, key in enumerate(settings.SECRETS_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            hint = "Make one with: python -c 'from cryptography.fernet import Fernet as F; print(F.generate_key().decode())'"
            return [
                Error(
                    f"SECRETS_KEYS: key {number} is no Fernet key", hint=hint, id="connectors.E002"
                )
            ]
    return []
