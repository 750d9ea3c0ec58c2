"""Secrets at rest: MultiFernet tokens that carry the endpoint they were stored for.

A secret is refused for another kind, host or port than its own. So nobody can point a connector elsewhere and
have the old password sent to a new host (docs/promises.md, P13).
"""

from __future__ import annotations

import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from connectors.models import Connector
from farends.errors import AuthConfig


def seal(connector: Connector, secret: dict[str, Any]) -> None:
    """Puts the secret into the connector (unsaved); an empty one takes it away."""
    filled = {name: value for name, value in secret.items() if value not in (None, "")}
    if not filled:
        connector.sealed_secret = ""
        return
    payload = json.dumps({"endpoint": connector.endpoint, "secret": filled}).encode()
    connector.sealed_secret = _fernet().encrypt(payload).decode()


def unseal(connector: Connector) -> dict[str, Any]:
    """The secret. Raises AuthConfig where it cannot be read or was stored for another endpoint."""
    if not connector.sealed_secret:
        return {}
    try:
        payload = json.loads(_fernet().decrypt(connector.sealed_secret.encode()))
    except InvalidToken:
        raise AuthConfig(
            "the stored secret does not open with SECRETS_KEYS; enter it again"
        ) from None
    if payload["endpoint"] != connector.endpoint:
        raise AuthConfig(
            f"the secret was stored for {payload['endpoint']}, not {connector.endpoint};"
            " enter it again"
        )
    return dict(payload["secret"])


def secret_fields(connector: Connector) -> list[str]:
    """Names of the fields that hold a secret, for people; never the values."""
    try:
        return sorted(unseal(connector))
    except AuthConfig:
        return []


def reseal(connector: Connector) -> bool:
    """Encrypts with the newest key (unsaved); False where that is done. Raises AuthConfig where no key opens it."""
    if not connector.sealed_secret or _opens(connector.sealed_secret):
        return False
    try:
        connector.sealed_secret = _fernet().rotate(connector.sealed_secret.encode()).decode()
    except InvalidToken:
        raise AuthConfig("the stored secret does not open with SECRETS_KEYS") from None
    return True


def _opens(sealed: str) -> bool:
    """Whether the newest key alone opens it."""
    _fernet()
    try:
        Fernet(settings.SECRETS_KEYS[0]).decrypt(sealed.encode())
    except InvalidToken:
        return False
    return True


def _fernet() -> MultiFernet:
    if not settings.SECRETS_KEYS:
        raise ImproperlyConfigured(
            "SECRETS_KEYS is not set: give at least one Fernet key, or SECRETS_KEYS_FILE"
        )
    return MultiFernet([Fernet(key) for key in settings.SECRETS_KEYS])
