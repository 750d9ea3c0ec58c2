"""Looks at every part of the installation at once, for `/health`, the console and whoever explains a wait.

Each part is looked at with a time limit, so that what hangs is told and holds up no answer.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import closing

import psycopg
import redis
import structlog
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

from database.sessions import open_session
from datasets.seeing import StoreState, judge_store
from store.looking import Look
from store.room import measure_room
from syncjobs.core.watching import Level, PartHealth
from syncjobs.queries.installation import judge_installation, read_signs

log = structlog.get_logger(__name__)

WITHIN_S = 3.0
REDIS_TIMEOUT_S = 1.0
PROBE = "sync:health"
WEB = ("database", "store")  # what a web process needs


def look_around(sources: Iterable[str] | None = None) -> list[PartHealth]:
    """Starts all looks at once; each answers within its time."""
    begun = [(name, _LOOKS[name], _LOOKS[name].begin()) for name in sources or _LOOKS]
    return [finding for name, look, future in begun for finding in _collect(name, look, future)]


def look_for(part: str) -> list[PartHealth]:
    """What is said of the part, or why nothing can be said; of `web`: of what a web process needs."""
    if part == "web":
        return [one for one in look_around(WEB) if one.part in WEB]
    source = {"redis": "redis", "store": "store", "disk": "store"}.get(part, "database")
    findings = look_around((source,))
    return [one for one in findings if one.part == part] or [
        one for one in findings if one.part == source and one.level is Level.DOWN
    ]


def _collect(
    name: str, look: Look[list[PartHealth]], future: Future[list[PartHealth]]
) -> list[PartHealth]:
    """The error's own words stay in the log, which has the kind alone: they may hold addresses."""
    try:
        return look.wait(future)
    except TimeoutError:
        word, error = "no answer", "TimeoutError"
    except psycopg.errors.UndefinedTable as exc:
        word, error = "not prepared", type(exc).__name__
    except (psycopg.Error, redis.RedisError, OSError, ValueError) as exc:
        word, error = "unreachable", type(exc).__name__
    log.warning("health.failed", part=name, error=error)
    return [PartHealth(name, word, Level.DOWN)]


def _look_at_database() -> list[PartHealth]:
    with closing(open_session(statement_timeout_s=WITHIN_S, name="health")) as session:
        signs = read_signs(session.cursor())
    return [PartHealth("database"), *judge_installation(signs)]


def _look_at_redis() -> list[PartHealth]:
    client = redis.Redis.from_url(
        settings.CELERY_BROKER_URL,
        socket_timeout=REDIS_TIMEOUT_S,
        socket_connect_timeout=REDIS_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
    )
    with client:
        try:
            # A ping is answered also by a server that takes no bells.
            client.set(PROBE, "1", ex=60)
        except redis.exceptions.ReadOnlyError:
            return [PartHealth("redis", "read-only", Level.DOWN)]
        except redis.exceptions.OutOfMemoryError:
            return [PartHealth("redis", "full", Level.DOWN)]
    return [PartHealth("redis")]


def _look_at_store() -> list[PartHealth]:
    """Whether this process could hand out held files."""
    state = judge_store(_read_known_store())
    if state is not StoreState.RIGHT:
        return [PartHealth("store", state.value, Level.DOWN)]
    root = settings.STORE_ROOT
    if not os.access(root, os.W_OK):
        return [PartHealth("store", "read-only", Level.DOWN)]
    room = measure_room(root, min_free_bytes=settings.SYNC.min_free_bytes)
    disk = (
        PartHealth("disk", "low: new work waits", Level.WARNING)
        if room.is_short
        else PartHealth("disk")
    )
    return [PartHealth("store"), disk]


def _read_known_store() -> uuid.UUID | None:
    with closing(open_session(statement_timeout_s=WITHIN_S, name="health")) as session:
        row = session.execute("SELECT store_id FROM datasets_installation").fetchone()
    return row[0] if row else None


def _bounded(name: str, look: Callable[[], list[PartHealth]]) -> Look[list[PartHealth]]:
    return Look(name, look, within_s=WITHIN_S)


_LOOKS = {
    "database": _bounded("database", _look_at_database),
    "redis": _bounded("redis", _look_at_redis),
    "store": _bounded("store", _look_at_store),
}
