"""Secrets at rest: MultiFernet tokens that carry the endpoint they were stored for.

A secret is refused for another kind, host or port than its own. So nobody can point a connector elsewhere and
have the old password sent to a new host (docs/promises.md, P13).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from connectors.models import Connector
from farends.errors import AuthConfig


class SealedRow(Protocol):
    """A row of any table that keeps a secret."""

    sealed_secret: str


def seal(connector: Connector, secret: dict[str, Any]) -> None:
    """Puts the secret into the connector (unsaved); an empty one takes it away."""
    connector.sealed_secret = seal_for(connector.endpoint, secret)


def seal_for(endpoint: str, secret: Mapping[str, Any]) -> str:
    """Encrypts a secret for the one place that it may be shown to; an empty one gives an empty text."""
    filled = {name: value for name, value in secret.items() if value not in (None, "")}
    if not filled:
        return ""
    payload = json.dumps({"endpoint": endpoint, "secret": filled}).encode()
    return _fernet().encrypt(payload).decode()


def unseal(connector: Connector) -> dict[str, Any]:
    """The secret. Raises AuthConfig where it cannot be read or was stored for another endpoint."""
    return unseal_for(connector.endpoint, connector.sealed_secret)


def unseal_for(endpoint: str, sealed: str) -> dict[str, Any]:
    """The secret, none for an empty text. Raises AuthConfig as `unseal` does."""
    if not sealed:
        return {}
    try:
        payload = json.loads(_fernet().decrypt(sealed.encode()))
    except InvalidToken:
        raise AuthConfig(
            "the stored secret does not open with SECRETS_KEYS; enter it again"
        ) from None
    if payload["endpoint"] != endpoint:
        raise AuthConfig(
            f"the secret was stored for {payload['endpoint']}, not {endpoint}; enter it again"
        )
    return dict(payload["secret"])


def secret_fields(connector: Connector) -> list[str]:
    """Names of the fields that hold a secret, for people; never the values."""
    try:
        return sorted(unseal(connector))
    except AuthConfig:
        return []


def reseal(row: SealedRow) -> bool:
    """Encrypts with the newest key (unsaved); False where that is done. Raises AuthConfig where no key opens it."""
    if not row.sealed_secret or _opens(row.sealed_secret):
        return False
    try:
        row.sealed_secret = _fernet().rotate(row.sealed_secret.encode()).decode()
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
