"""Times as clients write them: ISO 8601, on any clock; without one, UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator

_EARLIEST, _LATEST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
_WRITTEN = re.compile(r"\d{4}-\d\d-\d\d")


def _is_written(value: Any) -> Any:
    """Refuses bare numbers, which pydantic takes for seconds or milliseconds since 1970."""
    if isinstance(value, str) and not _WRITTEN.match(value):
        raise ValueError("give an ISO 8601 time such as 2026-12-24T18:00:00Z")
    return value


def _in_utc(moment: datetime) -> datetime:
    """Converts to UTC. At the ends of the calendar, where UTC has no such year, returns the end itself."""
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        return _EARLIEST if moment.year == 1 else _LATEST


Moment = Annotated[datetime, BeforeValidator(_is_written), AfterValidator(_in_utc)]
