"""When a channel is to hear of something: its group, and its quiet hours by the clock of its zone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from alerts.core.quiet_hours import parse_quiet_hours
from alerts.core.words import Severity, Tell
from timing.zones import find_zone, first_instant

# What makes whoever hears it believe that the alert fires, or that it is over.
OPENINGS = frozenset({Tell.OPENED, Tell.FLAPPING, Tell.STILL_FIRING})
_BELIEVED = (*OPENINGS, Tell.SETTLED)


@dataclass(frozen=True, slots=True)
class ChannelTerms:
    """`quiet_hours` is empty or `HH:MM-HH:MM` on the clock of `timezone`; it may run over midnight."""

    group_s: int
    quiet_hours: str
    timezone: str
    breaks_quiet: Severity


@dataclass(frozen=True, slots=True)
class DueTime:
    """`is_held`: quiet hours hold it back; else its group is whole then, or a group that is sent earlier takes it along."""

    at: datetime
    is_held: bool = False


def plan_due(terms: ChannelTerms, severity: Severity, now: datetime) -> DueTime:
    """Critical alerts wait for no group. Raises UnknownZone."""
    if severity.rank < terms.breaks_quiet.rank and (ends_at := find_quiet_end(terms, now)):
        return DueTime(ends_at, is_held=True)
    wait_s = 0 if severity is Severity.CRITICAL else terms.group_s
    return DueTime(now + timedelta(seconds=wait_s))


def find_quiet_end(terms: ChannelTerms, now: datetime) -> datetime | None:
    """When the quiet hours end that `now` lies in, None outside of them. The bounds are read on the zone's clock: a
    night in which clocks change is an hour longer or shorter. Raises UnknownZone."""
    hours = parse_quiet_hours(terms.quiet_hours)
    if hours is None:
        return None
    begins, ends = hours.begin, hours.end
    zone = find_zone(terms.timezone)
    local = now.astimezone(zone)
    shown = local.time().replace(tzinfo=None)
    is_overnight = ends < begins
    if begins < ends and not begins <= shown < ends:
        return None
    if is_overnight and ends <= shown < begins:
        return None
    day = local.date() + timedelta(days=int(is_overnight and shown >= begins))
    return first_instant(datetime.combine(day, ends), zone)


def believes_firing(tell: Tell, state: str) -> bool:
    """Whether a channel whose last news of an alert was this one takes it to be firing. `state` is the alert's then."""
    return tell in _BELIEVED and (tell is not Tell.SETTLED or state == "firing")
