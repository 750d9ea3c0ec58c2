"""System checks of the defaults that jobs get."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register

from timing.schedules import InvalidSchedule, parse_schedule


@register()
def check_default_schedule(**_: Any) -> list[CheckMessage]:
    try:
        parse_schedule(settings.SYNC.default_schedule)
    except InvalidSchedule as exc:
        hint = "SYNC_FREQUENCY is hourly, daily or weekly; SYNC_TIME is HH:MM"
        return [Error(f"SYNC_FREQUENCY, SYNC_TIME: {exc}", hint=hint, id="syncjobs.E001")]
    return []
