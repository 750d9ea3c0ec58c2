"""What fields of many shapes share: times, whole numbers, names of operations."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

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


def _exact(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("give a whole number")  # noqa: TRY004 — what pydantic listens for
    return int(value) if isinstance(value, float) and value.is_integer() else value


# Beside a bound it comes last, so that the document shows the bound: Annotated[int, Field(ge=1), EXACT].
EXACT = BeforeValidator(_exact)
Whole = Annotated[int, EXACT]


# An id or a name. In a path any text is taken: what names nothing is not found.
Called = Annotated[str, Field(max_length=100, pattern=r"^[^\x00]*$")]
