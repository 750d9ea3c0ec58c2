"""The installation's figures, as the values that the core's rules take."""

from __future__ import annotations

from django.conf import settings

from syncjobs.core.deadlines import DeadlineRule
from syncjobs.core.stuck import Limits, StallRule, SweepRule, plan_sweep


def stall_rule() -> StallRule:
    return StallRule(settings.SYNC.stall_s, settings.SYNC.publish_stall_s)


def deadline_rule() -> DeadlineRule:
    return DeadlineRule(
        base_s=settings.SYNC.base_timeout_s,
        per_file_s=settings.SYNC.per_file_timeout_s,
        min_s=settings.SYNC.min_timeout_s,
        max_s=settings.SYNC.max_timeout_s,
    )


def stuck_limits() -> Limits:
    return Limits(stall_rule(), clock_s=settings.SYNC.heartbeat_interval_s)


def sweep_rule() -> SweepRule:
    return plan_sweep(
        lease_s=settings.SYNC.lease_s,
        heartbeat_s=settings.SYNC.heartbeat_interval_s,
        interval_s=settings.SYNC.cleanup_interval_s,
    )
