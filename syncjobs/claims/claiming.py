"""Claims a queued record for this worker: lease and fencing token, in one transaction."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Greatest, Now

from connectors.models import WAY, name_address, name_dialled_address
from database.rows import fetch_split
from datasets.fencing import take_token
from datasets.installation import Known
from farends.budget import Obstacle
from store.errors import StoreError
from store.sentinel import read_store_id
from syncjobs.claims.limiting import Bounds, find_obstacle
from syncjobs.claims.windowing import CALENDARS, find_closed, wait_for_openings
from syncjobs.core.states import Event
from syncjobs.core.watching import RING_AGAIN_S, SEEN_WITHIN_S
from syncjobs.models import SyncRecord
from syncjobs.records.transition import NEEDED, list_columns, move_locked
from syncjobs.works.contract import Claim

TURNED_AWAY_S = 2

_COLUMNS = list_columns(NEEDED | {"started_at", "waiting_for"})
_LOOK = f"""
SELECT {", ".join(f"r.{name}" for name in _COLUMNS)},
       now() AS now, {CALENDARS} AS calendars,
       (SELECT store_id FROM datasets_installation) AS store_id,
       j.dataset_id, {WAY}, c.max_running AS of_connector, w.max_running AS of_workspace,
       w.one_sync_at_a_time,
       EXISTS (SELECT FROM syncjobs_syncrecord q WHERE q.state = 'queued' AND q.workspace_id < r.workspace_id)
       OR EXISTS (SELECT FROM syncjobs_syncrecord q WHERE q.state = 'queued' AND q.workspace_id > r.workspace_id)
       AS has_rivals
  FROM syncjobs_syncrecord r
  JOIN syncjobs_syncjob j ON j.id = r.job_id
  LEFT JOIN connectors_connector c ON c.id = r.connector_id
  JOIN workspaces_workspace w ON w.id = r.workspace_id
 WHERE r.id = %s AND r.state = 'queued' AND (r.not_before IS NULL OR r.not_before <= now())
   FOR UPDATE OF r SKIP LOCKED
"""  # noqa: S608 — names of columns
# While another worker has the store, the bell comes back after 2 s, and that one may answer it then.
_LEAVE = """
WITH others AS (
    SELECT EXISTS (SELECT FROM syncjobs_processsign
                    WHERE part = 'worker' AND store_id = %(known)s AND NOT draining
                      AND seen_at > now() - make_interval(secs => %(seen_s)s)) AS there)
UPDATE syncjobs_syncrecord r
   SET waiting_for = CASE WHEN there THEN 'a worker' ELSE %(words)s END,
       rung_at = CASE WHEN there THEN now() - make_interval(secs => %(ago_s)s) ELSE rung_at END
  FROM others
 WHERE r.id = %(record)s AND r.state = 'queued' AND (there OR r.waiting_for <> %(words)s)
"""


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms under which a record may be claimed."""

    now: datetime
    calendars: str | None
    store_id: uuid.UUID | None
    dataset_id: uuid.UUID
    kind: str  # this and the next three: of its connector
    host: str
    port: int
    options: str  # as JSON
    of_connector: int | None  # records at once
    of_workspace: int | None
    one_sync_at_a_time: bool
    has_rivals: bool

    @property
    def bounds(self) -> Bounds:
        return Bounds(
            address=name_address(self.host, self.port),
            dialled=name_dialled_address(self.kind, self.host, self.port, self.options),
            in_workspace=1 if self.one_sync_at_a_time else self.of_workspace,
            of_connector=self.of_connector,
            has_rivals=self.has_rivals,
        )


def claim(record_id: uuid.UUID, owner: str) -> Claim | None:
    """The claim, or None where there is nothing to do: taken, finished, not due, or in the
    way of a limit; `waiting_for` says of which. None also where this process does not see the store."""
    try:
        with transaction.atomic():
            return _claim(record_id, owner)
    except IntegrityError:  # record_one_running: another record of the job was claimed meanwhile
        return None


def find_obstacle_of(record_id: uuid.UUID) -> Obstacle | None:
    """What a claim would be turned away by; None also where the record is claimed just now, or is not due. In the
    caller's transaction."""
    if (found := _look(record_id)) is None:
        return None
    record, terms = found
    return find_closed(terms.calendars, terms.now) or find_obstacle(record, terms.bounds)


def _look(record_id: uuid.UUID) -> tuple[SyncRecord, _Terms] | None:
    with connection.cursor() as cursor:
        cursor.execute(_LOOK, [record_id])
        found = fetch_split(cursor, len(_COLUMNS), _Terms)
    if found is None:
        return None
    columns, terms = found
    return SyncRecord.from_db(connection.alias, _COLUMNS, columns), terms


def _claim(record_id: uuid.UUID, owner: str) -> Claim | None:
    if (found := _look(record_id)) is None:
        return None
    record, terms = found
    if not _has_store(record_id, terms.store_id):
        return None
    bounds = terms.bounds
    if (closed := find_closed(terms.calendars, terms.now)) is not None:
        _wait_for(record, closed)
        wait_for_openings(record.workspace_id, terms.now)
        return None
    if (obstacle := find_obstacle(record, bounds)) is not None:
        _wait_for(record, obstacle)
        return None
    with connection.cursor() as cursor:
        token = take_token(cursor, terms.dataset_id)
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
            "claimed_at": Now(),
            "attempt": Greatest(F("attempt"), 1),
            "address": bounds.address,
            "dialled": bounds.dialled,
            "not_before": None,
            "stage": "initializing",
            "error": "",
            "error_code": "",
        },
    )
    return Claim(record_id, terms.dataset_id, token, owner)


def leave_without_store(record_id: uuid.UUID, known: Known | None) -> bool:
    """Whether this process leaves the record to others, because it does not see the installation's store."""
    return not _has_store(record_id, known.store_id if known else None)


def _has_store(record_id: uuid.UUID, known: uuid.UUID | None) -> bool:
    try:
        seen = read_store_id(settings.STORE_ROOT)
    except StoreError:
        seen = None
    if seen is not None and seen == known:
        return True
    there = "has no store" if seen is None else "has another store"
    words = {
        "record": record_id,
        "known": known,
        "words": f"a worker that sees the store: this one {there}",
        "seen_s": SEEN_WITHIN_S,
        "ago_s": RING_AGAIN_S - TURNED_AWAY_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LEAVE, words)
    return False


def _wait_for(record: SyncRecord, obstacle: Obstacle) -> None:
    """The record stays queued and says what for; with a time where one is known."""
    words = obstacle.words[:200]
    if record.waiting_for != words:
        SyncRecord.either.filter(pk=record.pk).update(waiting_for=words, not_before=obstacle.until)
