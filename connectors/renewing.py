"""Stores what a host gives in the place of a connector's secret, such as a new refresh token.

Whoever gets the new one has used up the old one. So one process at a time asks, and asks with what is stored by
then; and nothing that came with the new one is used before it is committed.
"""

from __future__ import annotations

import psycopg
from django.db import OperationalError, connection, transaction

from connectors.models import Connector
from connectors.secrets import seal, unseal
from farends.contract import Renew
from farends.errors import ConnectionStage, TransientError

_WAIT = "SET LOCAL lock_timeout = '25s'"  # the statement's own limit is 30 s
_LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


def renew_secret(connector: Connector, renew: Renew) -> None:
    """See `farends.contract.Context`. No row is locked while the host is asked. Raises AuthConfig, TransientError
    where another process asks for long, and what `renew` raises."""
    with transaction.atomic():
        _take_turn(connector)
        row = Connector.objects.get(pk=connector.pk)
        stored = unseal(row)
        new = renew(stored)
        if new:
            row = Connector.objects.select_for_update(no_key=True).get(pk=connector.pk)
            # Whatever a person has stored meanwhile stays, but for what the host has just replaced.
            seal(row, {**unseal(row), **new})
            Connector.objects.filter(pk=row.pk).update(sealed_secret=row.sealed_secret)
    connector.sealed_secret = row.sealed_secret


def _take_turn(connector: Connector) -> None:
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WAIT)
            cursor.execute(_LOCK, [f"secret of connector {connector.pk}"])
    except OperationalError as exc:
        if isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
            raise TransientError(
                "another process asks for a token of this connector", stage=ConnectionStage.LOG_IN
            ) from exc
        raise
