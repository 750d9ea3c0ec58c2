"""A queued record becomes this worker's: lease and fencing token, in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F, Q
from django.db.models.functions import Greatest, Now

from connectors.budget import Obstacle
from syncjobs.core.states import Event, State
from syncjobs.lifecycle.limiting import find_obstacle
from syncjobs.lifecycle.transition import NEEDED, move_locked
from syncjobs.models import SyncRecord

_NEEDED = (
    "started_at", "waiting_for", "workspace_id", "job__dataset_id", "connector__host",
    "connector__port", "connector__max_running", "workspace__max_running",
    "workspace__one_sync_at_a_time",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on a record, until the lease ends or a higher token exists."""

    record_id: uuid.UUID
    dataset_id: uuid.UUID
    token: int
    owner: str

    @property
    def session_name(self) -> str:
        return session_name(self.record_id, self.token)

    @property
    def attempt_name(self) -> str:
        """Names this attempt's partial files, apart from every other attempt's."""
        return f"{self.record_id.hex}.{self.token}"


def session_name(record_id: uuid.UUID, token: int) -> str:
    """What the database calls an attempt's session, so that others can end it."""
    return f"sync {record_id.hex}.{token}"


def claim(record_id: uuid.UUID, owner: str) -> Claim | None:
    """The claim, or None where there is nothing to do: taken, finished, not due, or in the
    way of a limit; `waiting_for` says of which."""
    try:
        with transaction.atomic():
            return _claim(record_id, owner)
    except IntegrityError:  # record_one_running: another record of the job was claimed meanwhile
        return None


def _claim(record_id: uuid.UUID, owner: str) -> Claim | None:
    record = (
        SyncRecord.objects.select_for_update(skip_locked=True, of=("self",))
        .select_related("job", "connector", "workspace")
        .only(*NEEDED, *_NEEDED)
        .filter(Q(not_before=None) | Q(not_before__lte=Now()), pk=record_id, state=State.QUEUED)
        .first()
    )
    if record is None:
        return None
    obstacle = find_obstacle(record)
    if obstacle is not None:
        _wait_for(record, obstacle)
        return None
    dataset_id = record.job.dataset_id
    token = _take_token(dataset_id)
    move_locked(
        record,
        Event.CLAIMED,
        reason=f"claimed by {owner}",
        changes={
            "token": token,
            "lease_owner": owner,
            "lease_expires_at": Now() + timedelta(seconds=settings.SYNC.lease_s),
            "heartbeat_at": Now(),
            "progress_at": Now(),
            "deadline_s": None,
            "started_at": record.started_at or Now(),
            "attempt": Greatest(F("attempt"), 1),
            "address": record.connector.address,
            "not_before": None,
            "stage": "initializing",
            "error": "",
            "error_code": "",
        },
    )
    return Claim(record_id, dataset_id, token, owner)


def _take_token(dataset_id: uuid.UUID) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE datasets_dataset SET fencing_token = fencing_token + 1 WHERE id = %s"
            " RETURNING fencing_token",
            [dataset_id],
        )
        row: tuple[int] = cursor.fetchone()
    return row[0]


def _wait_for(record: SyncRecord, obstacle: Obstacle) -> None:
    """The record stays queued and says what for; with a time where one is known."""
    told = {"waiting_for": obstacle.reason[:200]}
    if obstacle.until is not None:
        told["waiting_for"] = f"{obstacle.reason}; until {obstacle.until:%Y-%m-%d %H:%M:%S} UTC"[
            :200
        ]
    if record.waiting_for != told["waiting_for"]:
        SyncRecord.objects.filter(pk=record.pk).update(**told, not_before=obstacle.until)
