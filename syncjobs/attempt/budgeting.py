"""Tells all workers what an attempt's failure says about its host, before the record is queued again."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import Error as DatabaseError
from django.db import connection
from django.db.models import Q

from connectors.learning import learn, learn_answer, learn_answer_at
from connectors.reachability import note_failure
from farends.budget import Budget, after_complaint, after_silence
from farends.errors import (
    AuthConfig,
    ConnectionLost,
    NameNotResolved,
    NetworkForbidden,
    ProxyRefused,
    Stalled,
    Throttled,
    TransportError,
    Unreachable,
)
from syncjobs.core.states import State
from syncjobs.engine.progress import Progress
from syncjobs.models import SyncRecord

log = structlog.get_logger(__name__)

_AWAY = (Unreachable, NameNotResolved)
_CUT = (ConnectionLost, Stalled)  # the host was away only where nothing had come of it
_NOT_CALLED = (AuthConfig, NetworkForbidden, ProxyRefused)


def learn_of_host(record: SyncRecord, error: TransportError, progress: Progress) -> None:
    """Opens or closes the host's circuit, or lowers what it is asked to bear. Where the database is away the
    hint is lost, and never the attempt's own end."""
    try:
        _learn(record, error, progress)
    except DatabaseError as exc:
        log.warning("budget.not_kept", error=str(exc).partition("\n")[0])
        connection.close()


def _learn(record: SyncRecord, error: TransportError, progress: Progress) -> None:
    connector = record.connector
    if connector is None:  # it reads what we hold
        return
    address = connector.dialled if error.of_way else connector.address
    words = str(error)
    if address != connector.dialled and not isinstance(error, _NOT_CALLED):
        learn_answer_at(connector.workspace_id, connector.dialled)
    if isinstance(error, Throttled):
        _learn_complaint(record, address, error, words)
    elif isinstance(error, _AWAY) or (isinstance(error, _CUT) and not progress.snapshot.has_moved):
        learn(
            connector.workspace_id,
            address,
            lambda budget, now: after_silence(budget, now, words),
        )
        if not error.of_way:
            note_failure(connector, words)
    elif not isinstance(error, _NOT_CALLED):
        learn_answer(connector)


def _learn_complaint(record: SyncRecord, address: str, error: Throttled, words: str) -> None:
    running = SyncRecord.either.filter(
        Q(address=address) | Q(dialled=address),
        workspace_id=record.workspace_id,
        state=State.RUNNING,
    ).count()

    def complain(budget: Budget, now: datetime) -> Budget:
        return after_complaint(
            budget, now, words, retry_after_s=error.retry_after_s, running=running
        )

    learn(record.workspace_id, address, complain)
