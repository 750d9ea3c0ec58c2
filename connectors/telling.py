"""What surfaces tell of a far end's connectivity."""

from __future__ import annotations

from typing import Any

from connectors.models import Connector
from connectors.reachability import find_connectivity
from connectors.watching import Reachability
from timing.clock import database_now


def tell_connectivity(connector: Connector) -> dict[str, Any]:
    """`uptime` and `downtime` are seconds since the state last changed; one of them is 0. `is_connected` is None
    where nothing was heard yet."""
    row = find_connectivity(connector)
    known = row.state != Reachability.UNKNOWN
    is_connected = row.state == Reachability.ONLINE
    since_s = (database_now() - row.since).total_seconds() if row.since else 0.0
    return {
        "is_connected": is_connected if known else None,
        "last_check_time": row.last_check_at,
        "last_successful_connection": row.last_success_at,
        "last_failed_connection": row.last_failure_at,
        "consecutive_failures": row.failures,
        "uptime": round(since_s) if is_connected else 0,
        "downtime": round(since_s) if known and not is_connected else 0,
    }
