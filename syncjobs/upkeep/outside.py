"""Tells a watcher outside that this installation dispatches: one that is down cannot say so itself.

The watcher's URL (HEARTBEAT_URL) is fetched in a thread of its own, so that a watcher that hangs delays no fire.
"""

from __future__ import annotations

import threading
from typing import Any

import structlog
from django.conf import settings
from django.db import connection

from farends.contract import Context, Patience
from farends.dialing import Dialer, Policy
from farends.errors import TransportError
from farends.web.auth import Credentials
from farends.web.url import Origin, Url, resolve
from farends.wire.tls import trusting_system
from syncjobs.claims.pulsing import BEAT

log = structlog.get_logger(__name__)

EVERY_S = 60.0
_SPARE_S = 5.0  # beats are not exact
_WITHIN_S = 10.0
_FRESH_S = 30.0  # a dispatch that was longer ago is none
_BODY_BYTES_MAX = 1 << 20
PULSE = "heartbeat"

# One of several beats, and only where some beat has dispatched lately.
_TAKE_TURN = """
INSERT INTO syncjobs_pulse AS p (part, at, holder)
SELECT %(part)s, now(), %(holder)s
 WHERE EXISTS (SELECT FROM syncjobs_pulse b WHERE b.part = %(beat)s
                  AND b.at > now() - make_interval(secs => %(fresh_s)s))
ON CONFLICT (part) DO UPDATE SET at = excluded.at, holder = excluded.holder
 WHERE p.at < now() - make_interval(secs => %(every_s)s)
RETURNING part
"""

_lock = threading.Lock()


def tell_outside(holder: str) -> bool:
    """Whether the watcher is being told: not where there is none, another beat has just done so, nothing is dispatched,
    or the last fetch still runs. Does not wait for the answer."""
    url = settings.SYNC.heartbeat_url
    if not url or not _lock.acquire(blocking=False):
        return False
    try:
        is_turn = _take_turn(holder)
        if is_turn:
            threading.Thread(
                target=_fetch_and_free, args=(url,), name="heartbeat", daemon=True
            ).start()
    except BaseException:
        _lock.release()
        raise
    if not is_turn:
        _lock.release()
    return is_turn


def _take_turn(holder: str) -> bool:
    asked: dict[str, Any] = {
        "part": PULSE,
        "beat": BEAT,
        "holder": holder[:100],
        "fresh_s": _FRESH_S,
        "every_s": EVERY_S - _SPARE_S,
    }
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN, asked)
        return cursor.fetchone() is not None


def _fetch_and_free(url: str) -> None:
    try:
        status = fetch_heartbeat(url)
        if not 200 <= status < 300:
            log.warning("heartbeat.refused", status=status)
    except TransportError as exc:
        log.warning(
            "heartbeat.failed", code=exc.code
        )  # the text may hold the URL, which is a secret
    finally:
        _lock.release()


def fetch_heartbeat(url: str) -> int:
    """The status of the answer; redirects are not followed. Raises TransportError's children."""
    from farends.conversation import Conversation, ConversationLimits  # 8 MB that few beats need

    place = resolve(Url(Origin("https", "localhost", 443), "/"), url)
    dialer = Dialer(Policy.parse(settings.ALLOWED_NETWORKS, settings.OWN_LISTENERS))
    context = Context(dialer, patience=Patience(_WITHIN_S, _WITHIN_S, _WITHIN_S))
    nobody = Credentials("none", username="", password="", token="", header_name="")
    tls = trusting_system()
    limits = ConversationLimits(total_s=_WITHIN_S, progress_bytes=1, body_bytes_max=_BODY_BYTES_MAX)
    with (
        Conversation(place.origin, nobody, tls, tls, context, limits) as conversation,
        conversation.ask("GET", place.target) as answer,
    ):
        return answer.status
