"""`GET /health`: is the machine beneath us there? Open to all, so it names parts and nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable

import redis
import structlog
from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from redis.backoff import NoBackoff
from redis.retry import Retry

from datasets.blobs import SENTINEL

log = structlog.get_logger(__name__)

REDIS_TIMEOUT_S = 1.0
PROBE = "sync:health"
OK = "ok"


@never_cache
def health(request: HttpRequest) -> JsonResponse:
    checks = {part: _try(part, check) for part, check in _CHECKS.items()}
    well = all(answer == OK for answer in checks.values())
    return JsonResponse(
        {"status": OK if well else "unavailable", "checks": checks}, status=200 if well else 503
    )


def _try(part: str, check: Callable[[], str]) -> str:
    """The error's own words stay in the log: they may hold addresses."""
    try:
        return check()
    except (DatabaseError, InterfaceError, redis.RedisError, OSError, ValueError) as exc:
        log.warning("health.failed", part=part, error=type(exc).__name__)
        return "unreachable"


def _check_database() -> str:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return OK


def _check_redis() -> str:
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
            return "read-only"
        except redis.exceptions.OutOfMemoryError:
            return "full"
    return OK


def _check_store() -> str:
    if not (settings.STORE_ROOT / SENTINEL).is_file():
        return "not mounted"
    return OK if os.access(settings.STORE_ROOT, os.W_OK) else "read-only"


_CHECKS: dict[str, Callable[[], str]] = {
    "database": _check_database,
    "redis": _check_redis,
    "store": _check_store,
}
