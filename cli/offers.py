"""What commands share that look at the tables of a far end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.core.management.base import CommandError

from cli.bars import busy
from connectors.models import Connector
from connectors.offers import OffersNoRows
from farends.errors import RootMissing, TransportError
from farends.registry import UnknownKind


@contextmanager
def asking(connector: Connector) -> Iterator[None]:
    """Raises CommandError where the far end does not answer, or has no such table."""
    try:
        with busy(f"asking {connector.name}"):
            yield
    except RootMissing as exc:
        raise CommandError(f"{exc}; `entities {connector.name}` lists what there is") from None
    except (TransportError, OffersNoRows, UnknownKind) as exc:
        raise CommandError(str(exc)) from None
