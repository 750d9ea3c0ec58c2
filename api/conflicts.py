"""409: what was asked for does not go beside what is at work, and that is told with its progress."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from pydantic import Field

from api.answers import Problem, Refused
from api.records import RecordOut, tell_record
from syncjobs.models import SyncRecord


class Conflict(Problem):
    """Why nothing was begun, with the record that is in the way where one is."""

    record: RecordOut | None = Field(None, description="What is at work, and how far it is.")


def conflict(detail: str, record: SyncRecord | None = None, **more: Any) -> Refused:
    """`record` with its job and connector."""
    told: Mapping[str, Any] | None = tell_record(record) if record is not None else None
    return Refused(HTTPStatus.CONFLICT, detail, more={"record": told, **more})
