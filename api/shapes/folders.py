"""What stands in a folder of a far end, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from pydantic import Field

from api.shapes.answers import Told
from connectors.folders import BrowsedRow


class PathOut(Told):
    name: str
    path: str = Field(description="From the connector's root.")
    type: Literal["file", "folder"]
    size_bytes: int | None
    modified_at: datetime | None
    skipped: str = Field(description="Why a sync would leave it out; empty: it would not.")


class FolderOut(Told):
    path: str
    items: list[PathOut]
    complete: bool = Field(description="False where there is more than a look shows.")


def tell_browsed(row: BrowsedRow) -> dict[str, Any]:
    return {
        "name": row.name,
        "path": row.path,
        "type": "folder" if row.is_folder else "file",
        "size_bytes": row.size_bytes,
        "modified_at": _moment(row.modified_ns),
        "skipped": row.skipped,
    }


def _moment(since_1970_ns: int | None) -> datetime | None:
    """Returns None also for what no calendar holds."""
    if since_1970_ns is None:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=since_1970_ns // 1_000)
    except OverflowError:
        return None
