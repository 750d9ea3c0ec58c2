"""What beat itself does, each duty declared once: how often it comes, and what it does.

Any number of beats may do so at once. A duty that fails is logged, and its next turn comes: time does not
stop because a database does.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import connection, transaction

from alerts.sending.office import is_anything_due
from alerts.watching.watch import tidy_alerts, watch_alerts, watch_state
from connectors.monitoring import is_any_check_due
from connectors.reachability import take_came_back
from outbox.leases import TAILS
from outbox.waking import wake_streams
from search.vectors.tending import wake_outdated
from syncjobs.claims.pulsing import BEAT, note_pulse
from syncjobs.claims.reaping import reap, reap_cancelled
from syncjobs.claims.telling import tell_what_they_wait_for
from syncjobs.queries.halts import find_halt_here
from syncjobs.queueing.backfilling import advance_backfills
from syncjobs.queueing.dispatching import BATCH, dispatch_due
from syncjobs.queueing.giving_up import give_up
from syncjobs.queueing.waking import wake_records
from syncjobs.upkeep.outside import EVERY_S, tell_outside
from tasks.ages import read_ages
from tasks.bells import (
    ring_alerts,
    ring_canaries,
    ring_due_contacts,
    ring_due_indexes,
    ring_due_streams,
    ring_waiting,
    ring_watch,
)

log = structlog.get_logger(__name__)

TICK_S = 1.0
SPELL_S = 2.0  # of dispatching a backlog, before the other duties have their turn
CANARY_EVERY_S = 30.0
MODELS_EVERY_S = 30.0
TELL_EVERY_S = 2.0
STATE_EVERY_S = 5.0
TIDY_EVERY_S = 15.0
AGES_EVERY_S = 60.0


@dataclass(frozen=True, slots=True)
class Duty:
    """`run` takes the name of the beat, and says whether it is to come again at once."""

    name: str
    every_s: Callable[[], float]
    run: Callable[[str], bool]


def dispatch(holder: str) -> bool:
    """Serves what is due, says so, and sends messages for what waits; whether more is due that this spell
    had no time for.

    Each batch is a transaction of its own: other beats take theirs beside it.
    """
    ends_at = time.monotonic() + SPELL_S
    if ended := give_up():
        log.info("records.gave_up", count=ended)
    if find_halt_here() is not None:
        ring_waiting()  # for what people ask for
        return False
    while True:
        served = dispatch_due(BATCH)
        backfilled = advance_backfills()
        # Before the ringing, which a broker may hold up: that is told by the queues' canaries.
        note_pulse(BEAT, holder=holder, at_most_every_s=TICK_S / 2)
        ring_waiting()  # each time, because a stream of due jobs must not keep the waiting ones waiting
        if served.jobs:
            log.info("fires.dispatched", **dataclasses.asdict(served))
        if backfilled:
            log.info("fires.backfilled", queued=backfilled)
        if served.jobs < BATCH:
            return False
        if time.monotonic() > ends_at:
            return True


def take_back_stuck(_holder: str) -> bool:
    """Takes back stuck records and streams in beat too: the chore that does so needs a living worker."""
    return _tell(reap((TAILS,)))


def take_back_cancelled(_holder: str) -> bool:
    """Records whose worker does not answer a cancel."""
    return _tell(reap_cancelled())


def _tell(count: int) -> bool:
    if count:
        log.warning("records.reaped", count=count)
    return False


def ask_queues(holder: str) -> bool:
    ring_canaries(holder)
    return False


def send_streams(_holder: str) -> bool:
    """Streams whose readings, heartbeat or configuration are due."""
    if find_halt_here() is None:
        ring_due_streams()
        ring_due_contacts()
    return False


def index_datasets(_holder: str) -> bool:
    """Datasets whose index is behind."""
    if find_halt_here() is None:
        ring_due_indexes()
    return False


def look_at_models(_holder: str) -> bool:
    """Vectors that are by other settings than those of now, which may have come with this start."""
    if count := wake_outdated():
        log.info("vectors.outdated", workspaces=count)
    return False


def tell_waits(_holder: str) -> bool:
    """Records that no bell is rung for say why."""
    if find_halt_here() is None:
        tell_what_they_wait_for()
    return False


def watch_hosts(_holder: str) -> bool:
    """Asks for the checks that are due, and wakes what waited for hosts that are back."""
    if is_any_check_due():
        ring_watch()
    with transaction.atomic():
        if back := take_came_back():
            woken = wake_records(back) + wake_streams(back)
            log.info("connectivity.woken", connectors=len(back), woken=woken)
    return False


def look_for_alerts(_holder: str) -> bool:
    """What has happened since the last look opens and closes alerts."""
    watch_alerts()
    return False


def send_alerts(_holder: str) -> bool:
    """Messages of alerts that are due."""
    if is_anything_due():
        ring_alerts()
    return False


def tell_watcher(holder: str) -> bool:
    """Somebody outside hears that beat dispatches."""
    if tell_outside(holder):
        log.debug("heartbeat.told")
    return False


def look_for_trouble(_holder: str) -> bool:
    """What is wrong by how things stand, and not by an event, does so too."""
    watch_state()
    return False


def look_after_alerts(_holder: str) -> bool:
    """Jobs and rules that are new are taken up."""
    tidy_alerts()
    return False


DUTIES = (
    Duty("dispatch", lambda: TICK_S, dispatch),
    Duty("send streams", lambda: TICK_S, send_streams),
    Duty("index datasets", lambda: TICK_S, index_datasets),
    Duty("look at models", lambda: MODELS_EVERY_S, look_at_models),
    Duty("watch hosts", lambda: TICK_S, watch_hosts),
    Duty("watch alerts", lambda: TICK_S, look_for_alerts),
    Duty("send alerts", lambda: TICK_S, send_alerts),
    Duty("tell watcher", lambda: EVERY_S, tell_watcher),
    Duty("watch state", lambda: STATE_EVERY_S, look_for_trouble),
    Duty("tidy alerts", lambda: TIDY_EVERY_S, look_after_alerts),
    Duty("tell waits", lambda: TELL_EVERY_S, tell_waits),
    Duty("take back cancelled", lambda: TICK_S, take_back_cancelled),
    Duty("take back stuck", lambda: settings.SYNC.cleanup_interval_s, take_back_stuck),
    Duty("ask queues", lambda: CANARY_EVERY_S, ask_queues),
)


class Rota:
    """Does each duty when its turn has come."""

    def __init__(self, holder: str, duties: tuple[Duty, ...] = DUTIES) -> None:
        self._holder = holder
        tell_ages = Duty("tell ages", lambda: AGES_EVERY_S, self._tell_ages)
        self._next_at = dict.fromkeys((*duties, tell_ages), 0.0)
        self._done_at: dict[str, float] = {}

    def turn(self) -> float:
        """Seconds until the next duty."""
        for duty, next_at in self._next_at.items():
            now = time.monotonic()
            if now >= next_at:
                again = self._do(duty)
                self._next_at[duty] = now if again else now + duty.every_s()
        return max(0.0, min(self._next_at.values()) - time.monotonic())

    def _do(self, duty: Duty) -> bool:
        try:
            again = duty.run(self._holder)
        except DatabaseError as exc:
            log.warning("beat.duty_failed", duty=duty.name, error=str(exc).splitlines()[0])
            connection.close()
            return False
        except Exception:
            # An error of ours in one duty must not keep the others from their turns.
            log.exception("beat.duty_crashed", duty=duty.name)
            return False
        self._done_at[duty.name] = time.monotonic()
        return again

    def _tell_ages(self, holder: str) -> bool:
        """One line: how long ago each duty of this beat was done, and each part and chore of the platform was seen at
        work. A duty that fails grows old here."""
        now = time.monotonic()
        ages: dict[str, float | str] = {
            duty.name: round(now - self._done_at[duty.name], 1)
            if duty.name in self._done_at
            else "never"
            for duty in self._next_at
            if duty.run != self._tell_ages
        }
        try:
            ages |= read_ages()
        except DatabaseError as exc:
            connection.close()
            ages["database"] = str(exc).splitlines()[0]
        log.info("beat.background_tasks", holder=holder, **ages)
        return False
