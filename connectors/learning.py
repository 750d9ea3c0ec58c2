"""Keeps what workers learn of a host, for all workers. The rules stand in `farends.budget`."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime

from django.db import transaction

from connectors.models import Connector, HostBudget
from connectors.reachability import note_success
from farends.budget import Budget, after_answer
from timing.clock import database_now

_FIELDS = [field.name for field in fields(Budget)]


def find_budget(workspace_id: uuid.UUID, address: str) -> Budget | None:
    """Returns None if nothing was learned of the host."""
    row = HostBudget.objects.filter(workspace_id=workspace_id, address=address).first()
    return _budget_of(row) if row else None


def _budget_of(row: HostBudget) -> Budget:
    return Budget(**{name: getattr(row, name) for name in _FIELDS})


def learn(
    workspace_id: uuid.UUID, address: str, change: Callable[[Budget, datetime], Budget]
) -> Budget:
    """Applies a rule to what is known; what is known afterwards."""
    with transaction.atomic():
        row, _ = HostBudget.objects.select_for_update(no_key=True).get_or_create(
            workspace_id=workspace_id, address=address
        )
        budget = change(_budget_of(row), database_now())
        for name, value in asdict(budget).items():
            setattr(row, name, value)
        row.save()
    return budget


def learn_answer(connector: Connector) -> None:
    """The host worked with us, and whoever stands before it."""
    note_success(connector)
    for address in {connector.address, connector.dialled}:
        learn_answer_at(connector.workspace_id, address)


def learn_answer_at(workspace_id: uuid.UUID, address: str) -> None:
    """Writes only where there was something to forget."""
    known = find_budget(workspace_id, address)
    if known is not None and known != after_answer(known, database_now()):
        learn(workspace_id, address, after_answer)
