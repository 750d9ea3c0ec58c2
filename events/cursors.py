"""Named cursors: each consumer reads the event log in order and sees every event exactly once.

A consumer reads in the transaction that notes how far it has read. Where its process dies before the commit,
neither its work nor the reading has happened, and the next reader of the same name begins there again. Two
readers of one name take turns.

An id says when an event was begun, not when it was committed: a lower one may become visible after a higher
one. So a cursor passes an id only when no lower one can appear any more. Whoever writes an event holds a lock on
the table from before it gets its id until its commit is visible. A cursor looks at the highest visible id first,
and at the holders of that lock afterwards: once each of these has ended, every id up to that one is visible or
never will be. Writers need no discipline for this, and wait for nobody; a transaction that is long, and has not
written an event yet, holds no cursor up.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import connection, transaction
from django.db.models import Max, QuerySet

from events.models import CursorPlace, SyncEvent

# One reader of a name at once; who comes second finds nothing to do.
_TAKE_TURN = "SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))"
# Of other sessions: what this one has written is visible here.
_WRITERS = """
SELECT virtualtransaction FROM pg_locks
 WHERE locktype = 'relation' AND relation = 'events_syncevent'::regclass
   AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND mode = 'RowExclusiveLock' AND granted AND pid IS DISTINCT FROM pg_backend_pid()
"""


@dataclass(frozen=True, slots=True)
class Span:
    """The events that are read at once: those whose ids are above `after`, up to `upto`."""

    after: int
    upto: int

    def events(self) -> QuerySet[SyncEvent]:
        """The events of the span, in order."""
        return SyncEvent.objects.filter(pk__gt=self.after, pk__lte=self.upto).order_by("pk")


@dataclass(frozen=True, slots=True)
class EventCursor:
    """The place of one consumer in the log. A new name begins with the first event that is kept."""

    name: str
    at_once: int = 20_000  # events in one transaction

    def read(self, take: Callable[[Span], object]) -> bool:
        """Gives the next events to `take`, in the transaction that passes them. False where none is there, none is
        settled, or another reader of the name reads now. What `take` raises undoes both."""
        with transaction.atomic():
            if not _take_turn(self.name):
                return False
            place, _ = CursorPlace.objects.get_or_create(name=self.name)
            span = Span(place.passed_id, _settle(place))
            if span.upto <= span.after:
                return False
            last = span.events().values_list("pk", flat=True)[self.at_once - 1 : self.at_once]
            span = replace(span, upto=next(iter(last), span.upto))
            take(span)
            CursorPlace.objects.filter(pk=place.pk).update(passed_id=span.upto)
            return True

    def read_all(self, take: Callable[[Span], object], *, most: int = 10) -> bool:
        """As `read`, for what is settled now, in up to `most` transactions."""
        for number in range(most):
            # The first call may only look; what it found to be under way has ended by the second, nearly always.
            if not (self.read(take) or self.read(take)):
                return number > 0
        return True


def _take_turn(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN, [f"events for {name}"])
        return bool(cursor.fetchone()[0])


def _settle(place: CursorPlace) -> int:
    """Finds the id up to which the log is settled. If somebody is writing, a later call looks again."""
    if place.seen_id > place.passed_id:
        return place.seen_id if _find_writers().isdisjoint(place.writers) else place.passed_id
    highest = SyncEvent.objects.aggregate(highest=Max("pk"))["highest"] or 0
    if highest <= place.passed_id:
        return place.passed_id
    writers = _find_writers()
    CursorPlace.objects.filter(pk=place.pk).update(seen_id=highest, writers=sorted(writers))
    return place.passed_id if writers else highest


def _find_writers() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute(_WRITERS)
        return {name for (name,) in cursor.fetchall()}
