"""Bounds of single settings, and of settings that bound each other. What breaks one ends the start with a line that
says what to set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedded.errors import WrongVariable

if TYPE_CHECKING:
    from syncproject.env import Environment

LEASE_S = 20.0
HEARTBEATS_A_LEASE = 3
PRESENCE_MOST_S = 10.0  # who was not seen for three of these is taken for dead


@dataclass(frozen=True, slots=True)
class Bound:
    """The least and the most that a setting can be."""

    variable: str
    field: str
    least: float
    most: float = float("inf")
    unit: float = 1.0  # of the variable, in units of the field


BOUNDS = (
    Bound("SYNC_CONCURRENCY", "sync_concurrency", 1, 1_000),
    Bound("BATCH_SIZE", "batch_size", 0),
    Bound("SYNC_MAX_LISTED_FILES", "max_listed", 0),
    Bound("SYNC_MAX_PER_HOST", "max_per_host", 0),
    Bound("SYNC_MIN_FREE_BYTES", "min_free_bytes", 0),
    Bound("MAX_FILE_SIZE_MB", "max_file_size_mb", 1),
    Bound("MAX_RETRIES", "max_retries", 0, 32_766),
    Bound("SYNC_BASE_TIMEOUT_SECONDS", "base_timeout_s", 0),
    Bound("SYNC_PER_FILE_TIMEOUT_SECONDS", "per_file_timeout_s", 0),
    Bound("SYNC_MIN_TIMEOUT_SECONDS", "min_timeout_s", 1),
    Bound("SYNC_MAX_TIMEOUT_SECONDS", "max_timeout_s", 1),
    Bound("SYNC_HEARTBEAT_INTERVAL_SECONDS", "heartbeat_interval_s", 0.1, 3_600),
    Bound("SYNC_LEASE_SECONDS", "lease_s", 1, 86_400),
    Bound("SYNC_CLEANUP_INTERVAL_SECONDS", "cleanup_interval_s", 0.5, 86_400),
    Bound("SYNC_STALL_SECONDS", "stall_s", 1),
    Bound("SYNC_PUBLISH_STALL_SECONDS", "publish_stall_s", 1),
    Bound("SYNC_HUNG_SECONDS", "hung_s", 1),
    Bound("SYNC_PRESENCE_SECONDS", "presence_s", 0.1, PRESENCE_MOST_S),
    Bound("SYNC_SILENT_SECONDS", "silent_s", 1),
    Bound("CONNECTIVITY_CHECK_INTERVAL_MS", "connectivity_check_s", 0.1, unit=1_000),
    Bound("API_TIMEOUT", "api_timeout_s", 0.1, unit=1_000),
    Bound("SYNC_INTERVAL_MINUTES", "sync_interval_minutes", 0.01),
    Bound("OUTBOX_BATCH_SIZE", "outbox_batch_size", 1, 10_000),
    Bound("OUTBOX_MAX_RETRIES", "outbox_max_retries", 0),
    Bound("API_REQUESTS_PER_MINUTE", "api_requests_per_minute", 0),
    Bound("MCP_STARTS_PER_HOUR", "mcp_starts_per_hour", 0),
    Bound("SSE_MAX_STREAMS", "sse_max_streams", 0),
    Bound("SSE_MAX_STREAMS_PER_WORKSPACE", "sse_max_streams_per_workspace", 0),
    Bound("SSE_MAX_STREAMS_PER_TOKEN", "sse_max_streams_per_token", 0),
    Bound("SSE_MAX_SECONDS", "sse_max_s", 1),
)


def default_lease_s(heartbeat_s: float) -> float:
    """So long that a worker can miss two heartbeats. The interval of seed 003, 30 s, gives its 90 s."""
    return max(LEASE_S, HEARTBEATS_A_LEASE * heartbeat_s)


def check_bounds(settings: Environment) -> None:
    """Raises WrongVariable with the first that does not hold."""
    for words in _broken(settings):
        raise WrongVariable(words)


def _broken(given: Environment) -> Iterator[str]:
    for bound in BOUNDS:
        value = getattr(given, bound.field)
        if value is not None and not bound.least <= value <= bound.most:
            yield _tell(bound, value)
    if given.min_timeout_s > given.max_timeout_s:
        yield (
            f"SYNC_MIN_TIMEOUT_SECONDS ({given.min_timeout_s}) is above SYNC_MAX_TIMEOUT_SECONDS"
            f" ({given.max_timeout_s}): set SYNC_MAX_TIMEOUT_SECONDS to {given.min_timeout_s} or more"
        )
    if given.lease_s < 2 * given.heartbeat_interval_s:
        yield (
            f"SYNC_LEASE_SECONDS ({given.lease_s:g}) is too short for a heartbeat each"
            f" {given.heartbeat_interval_s:g} s: set it to {default_lease_s(given.heartbeat_interval_s):g},"
            " or leave it out"
        )
    if given.silent_s < 3 * given.presence_s:
        yield (
            f"SYNC_SILENT_SECONDS ({given.silent_s:g}) is too short for SYNC_PRESENCE_SECONDS"
            f" ({given.presence_s:g}): set it to {3 * given.presence_s:g} or more"
        )
    if given.stall_s < 2 * given.heartbeat_interval_s:
        yield (
            f"SYNC_STALL_SECONDS ({given.stall_s:g}) is too short for a heartbeat each"
            f" {given.heartbeat_interval_s:g} s: set it to {2 * given.heartbeat_interval_s:g} or more"
        )


def _tell(bound: Bound, value: float) -> str:
    least, most = bound.least * bound.unit, bound.most * bound.unit
    allowed = f"from {least:g} to {most:g}" if most < float("inf") else f"{least:g} or more"
    return f"{bound.variable} must be {allowed}, and is {value * bound.unit:g}"
