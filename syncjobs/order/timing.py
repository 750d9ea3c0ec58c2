"""When a job runs: what its fires are, what becomes of those that nobody served, and when it may work."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from syncjobs.core.overlaps import Overlap
from syncjobs.order.option import Form, job_option
from timing.misfires import CATCH_UP_MAX, Misfire
from timing.schedules import parse_schedule
from timing.windows import parse_blackouts, parse_windows

GROUP = "Schedule"
SECONDS_MAX = 2_147_483_647


def _check_schedule(value: object) -> None:
    parse_schedule(value if isinstance(value, dict) else {"": value})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fires:
    """When the job is due. Where one of these changes, its next fire is planned again."""

    schedule: Mapping[str, Any] = job_option(
        "Schedule",
        "One of cron, every_s, frequency and after: docs/schedules.md.",
        default={},
        form=Form.SCHEDULE,
        group=GROUP,
        settings="SYNC_FREQUENCY, SYNC_TIME",
        null="by hand only",
        check=_check_schedule,
    )
    jitter_s: int = job_option(
        "Jitter",
        "Spreads jobs of the same time: each is late by its own share of this, always by the same.",
        default=0,
        unit="s",
        least=0,
        most=86_400,
        group=GROUP,
        clocked=True,
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What becomes of a fire that was missed, or that comes while a record is at work."""

    misfire: Misfire = job_option(
        "Missed fires",
        "Those over a minute late, because nothing ran that could have served them.",
        default=Misfire.RUN_ONCE,
        group=GROUP,
        clocked=True,
        words={
            Misfire.RUN_ONCE: "one record for all of them",
            Misfire.SKIP: "are skipped",
            Misfire.CATCH_UP: "are made up for, one by one",
        },
        advanced=True,
    )
    catch_up_max: int = job_option(
        "Made up for at most",
        "The latest so many; older ones are skipped.",
        default=5,
        unit="fires",
        least=1,
        most=CATCH_UP_MAX,
        group=GROUP,
        only_with=("misfire", "catch_up"),
        clocked=True,
        advanced=True,
    )
    max_lateness_s: int | None = job_option(
        "Latest start",
        "A fire that is later than this is skipped.",
        default=None,
        null="it is served however late it is",
        unit="s",
        least=1,
        most=SECONDS_MAX,
        group=GROUP,
        clocked=True,
        advanced=True,
    )
    overlap: Overlap = job_option(
        "While a record is at work",
        "What becomes of a fire then.",
        default=Overlap.QUEUE,
        group=GROUP,
        words={
            Overlap.QUEUE: "a new one waits behind it",
            Overlap.SKIP: "a new one is skipped",
            Overlap.CANCEL_OLDER: "the older one is cancelled",
        },
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Hours:
    """When the job may work. Where one of these changes, records that wait for a window look again."""

    windows: tuple[Mapping[str, Any], ...] = job_option(
        "Only within these windows",
        "What runs at the end of one goes on in the next. Empty: at any time.",
        default=(),
        form=Form.WINDOWS,
        group=GROUP,
        check=lambda value: parse_windows(_list(value)),
        advanced=True,
    )
    blackouts: tuple[Mapping[str, Any], ...] = job_option(
        "Never within these blackouts",
        "They win over windows.",
        default=(),
        form=Form.BLACKOUTS,
        group=GROUP,
        check=lambda value: parse_blackouts(_list(value)),
        advanced=True,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """When the job runs."""

    fires: Fires
    fate: Fate
    hours: Hours


def _list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
