"""System checks of the defaults that jobs get, and of the time in which lost work comes back."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Info, register

from timing.schedules import InvalidSchedule, parse_schedule


@register()
def check_default_schedule(**_: Any) -> list[CheckMessage]:
    try:
        parse_schedule(settings.SYNC.default_schedule)
    except InvalidSchedule as exc:
        hint = "SYNC_FREQUENCY is hourly, daily or weekly; SYNC_TIME is HH:MM"
        return [Error(f"SYNC_FREQUENCY, SYNC_TIME: {exc}", hint=hint, id="syncjobs.E001")]
    return []


PROMISED_S = 60


@register()
def check_recovery(**_: Any) -> list[CheckMessage]:
    """Says how long lost work stays lost, where the settings make it longer than what is promised for their defaults."""
    lease_s, sweep_s = settings.SYNC.lease_s, settings.SYNC.cleanup_interval_s
    longest_s = lease_s + sweep_s
    if longest_s <= PROMISED_S:
        return []
    words = f"The record of a worker that dies is queued again within {longest_s:g} s, not {PROMISED_S} s"
    hint = (
        f"a lease is {lease_s:g} s (SYNC_LEASE_SECONDS, SYNC_HEARTBEAT_INTERVAL_SECONDS), and leases are looked at"
        f" each {sweep_s:g} s (SYNC_CLEANUP_INTERVAL_SECONDS)"
    )
    return [Info(words, hint=hint, id="syncjobs.I001")]
