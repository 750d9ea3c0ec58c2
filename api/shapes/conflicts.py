"""What is in the way of a request, as JSON."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from api.shapes.answers import Problem
from api.shapes.records import RecordOut, tell_record
from syncjobs.models import SyncRecord


class Conflict(Problem):
    """Why nothing was begun, with the record that is in the way where one is."""

    record: RecordOut | None = Field(None, description="What is at work, and how far it is.")


def tell_in_the_way(record: SyncRecord | None) -> dict[str, Any]:
    """Fills `Conflict`; `record` with its job and connector."""
    told = None if record is None else RecordOut(**tell_record(record)).model_dump()
    return {"record": told}
