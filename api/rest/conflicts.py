"""409: what was asked for does not go beside what is at work, and that is told with its progress."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from api.rest.answers import Refused
from api.shapes.conflicts import tell_in_the_way
from syncjobs.models import SyncRecord
from syncjobs.queries.records import reread


def conflict(detail: str, record: SyncRecord | None = None, **more: Any) -> Refused:
    """`record` with its job and connector."""
    return Refused(HTTPStatus.CONFLICT, detail, more={**tell_in_the_way(record), **more})


def conflict_with(words: str, record: SyncRecord) -> Refused:
    """Says what to do about the record that is at work."""
    detail = f"{words}: wait for record {record.pk}, or cancel it."
    return conflict(detail, reread(record))
