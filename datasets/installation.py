"""Whose database this is: the database and the DATA_DIR of each host hold the installation's name.

A restored copy of a database knows schedules whose fires are due, and files that it may delete at their
sources. It must do neither before a person says so. Four signs tell of one, and each halts the host that
sees it:

- the database lies on another server, or is another one there, than the row says: a dump was restored;
- this host has seen a later state of the database: a backup was restored in its place;
- DATA_DIR holds another installation's name;
- DATA_DIR holds none, and the store that the database knows is not here.

A host without a name whose store is right is a new host of the fleet: it takes the name. So does one that
knows the name from before a resume. What no name can tell apart is a copy of everything (the disks of a
machine, cloned) that runs beside its original.
"""

from __future__ import annotations

import json
import os
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import structlog
from django.conf import settings
from django.db import connection, transaction

from database.rows import Cursor, fetch_row
from datasets.models import Installation
from datasets.seeing import see_store
from timing.clock import database_now
from workspaces.auditing import CHANGED, note

log = structlog.get_logger(__name__)

FILE = "installation.json"
NOTED_EVERY_S = 60
# A standby that took over may lack the last moments; a backup lacks more.
LAG_S = 60


class Halt(StrEnum):
    """Why this host neither dispatches nor touches files at sources."""

    MOVED = "moved"
    OLDER = "older"
    STRANGER = "stranger"
    UNJOINED = "unjoined"


HALT_WORDS = {
    Halt.MOVED: "the database was restored on another server, or under another name",
    Halt.OLDER: "the database is older than this host has seen it: a backup was restored",
    Halt.STRANGER: "DATA_DIR belongs to another installation than the database",
    Halt.UNJOINED: "DATA_DIR belongs to no installation, and the store is not here",
}


@dataclass(frozen=True, slots=True)
class Known:
    """What the database says of itself."""

    name: uuid.UUID
    former: uuid.UUID | None
    store_id: uuid.UUID | None
    place: str
    noted_at: datetime
    is_noted_lately: bool
    place_now: str


@dataclass(frozen=True, slots=True)
class Remembered:
    """What this host's DATA_DIR says."""

    name: uuid.UUID
    noted_at: datetime


PLACE = """
(SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid
   FROM pg_database WHERE datname = current_database())
"""
_READ = f"""
SELECT name, former, store_id, place, noted_at, noted_at > now() - make_interval(secs => %s) AS is_noted_lately,
       {PLACE} AS place_now
  FROM datasets_installation
"""  # noqa: S608 — the part above
_NOTE = """
UPDATE datasets_installation SET noted_at = greatest(noted_at, now()) WHERE name = %s RETURNING noted_at
"""


def read_known(cursor: Cursor) -> Known | None:
    """Returns None before the first start."""
    cursor.execute(_READ, [NOTED_EVERY_S])
    return fetch_row(cursor, Known)


def find_halt(known: Known | None) -> Halt | None:
    """Returns None if this host may do everything, as at a first start."""
    if known is None:
        return None
    if known.place != known.place_now:
        return Halt.MOVED
    remembered = recall()
    if remembered is None or remembered.name == known.former:
        if known.store_id is not None and see_store() == known.store_id:
            return None
        return Halt.UNJOINED if remembered is None else Halt.STRANGER
    if remembered.name != known.name:
        return Halt.STRANGER
    if known.noted_at < remembered.noted_at - timedelta(seconds=LAG_S):
        return Halt.OLDER
    return None


def settle_here(cursor: Cursor) -> Halt | None:
    """Like `find_halt`; a host that may do everything remembers the installation from now on, and every minute
    how far it has seen it. Not within a transaction."""
    known = read_known(cursor)
    halt = find_halt(known)
    if known is None or halt is not None:
        return halt
    noted_at = known.noted_at
    if not known.is_noted_lately:
        cursor.execute(_NOTE, [known.name])
        noted_at = max(noted_at, *(cursor.fetchone() or (noted_at,)))
    remembered = recall()
    if remembered is None or remembered.name != known.name or remembered.noted_at < noted_at:
        remember(Remembered(known.name, noted_at))
    return None


@dataclass(frozen=True, slots=True)
class Resumed:
    """`halt`: what had halted this host; None where nothing had, and nothing was changed."""

    name: uuid.UUID | None
    halt: Halt | None


def resume_after_restore() -> Resumed:
    """Accepts this database, as a person decided: it takes a new name, which hosts that know
    its present one follow, where their store is right. An original that still runs keeps the old name."""
    with transaction.atomic(), connection.cursor() as cursor:
        row = Installation.objects.select_for_update().first()
        known = read_known(cursor)
        halt = find_halt(known)
        if row is None or known is None or halt is None:
            return Resumed(row.name if row else None, None)
        row.former, row.name, row.place = row.name, uuid.uuid4(), known.place_now
        row.noted_at = database_now()
        row.save(update_fields=["former", "name", "place", "noted_at"])
        note(row, CHANGED, {"installation": [str(row.former), str(row.name)], "halt": [halt, None]})
    remember(Remembered(row.name, row.noted_at))
    log.warning("installation.resumed", halt=halt, name=str(row.name))
    return Resumed(row.name, halt)


def recall() -> Remembered | None:
    """Returns None if DATA_DIR has no file that can be understood."""
    try:
        told = json.loads(_path().read_text(encoding="utf-8"))
        return Remembered(uuid.UUID(told["installation"]), datetime.fromisoformat(told["noted_at"]))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return _UNKNOWN  # it was there and was damaged: no new host


def remember(what: Remembered) -> None:
    """A DATA_DIR that cannot be written to stays without a name: its host joins at each start."""
    path = _path()
    partial = path.with_name(f".{FILE}.{uuid.uuid4().hex}")
    told = {"installation": str(what.name), "noted_at": what.noted_at.isoformat()}
    try:
        with partial.open("w", encoding="utf-8") as file:
            json.dump(told, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as exc:
        log.warning("installation.not_remembered", error=exc.strerror)
        with suppress(OSError):
            partial.unlink()


def _path() -> Path:
    data_dir: Path = settings.SYNC.data_dir
    return data_dir / FILE


_UNKNOWN = Remembered(uuid.UUID(int=0), datetime.fromisoformat("2000-01-01T00:00:00+00:00"))
