"""The files of a version, and what differs between two, as JSON."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from datasets.diffs import Difference, EntryChange, Side
from datasets.models import Entry

PATH = "Below the root. A byte 0xNN that is no UTF-8 stands as the character U+F00NN."


class EntryOut(Told):
    """A file of a version."""

    path: str = Field(description=PATH)
    size_bytes: int
    modified_at: datetime | None = Field(description="As the source told it.")
    sha256: str = Field(description="In hexadecimal.")
    since: int = Field(description="The version in which it came to be as it is.")
    source: str | None = Field(
        description="What the source calls it, where that is no path: the URI of kind mcp. Else null."
    )


class EntryPage(Told):
    items: list[EntryOut]
    next: str | None


class SideOut(Told):
    size_bytes: int
    modified_at: datetime | None
    sha256: str


class DifferenceOut(Told):
    path: str = Field(description=PATH)
    change: EntryChange
    before: SideOut | None = Field(description="As the version `from` holds it.")
    after: SideOut | None = Field(description="As the version `to` holds it.")


class DifferencePage(Told):
    items: list[DifferenceOut]
    next: str | None


def tell_entry(entry: Entry) -> dict[str, Any]:
    return {
        "path": entry.path,
        "size_bytes": entry.size_bytes,
        "modified_at": tell_modified(entry.modified_ns),
        "sha256": bytes(entry.sha256).hex(),
        "since": entry.since,
        "source": entry.source,
    }


def tell_difference(each: Difference) -> dict[str, Any]:
    return {
        "path": each.path,
        "change": each.change,
        "before": _tell_side(each.before),
        "after": _tell_side(each.after),
    }


def _tell_side(side: Side | None) -> dict[str, Any] | None:
    if side is None:
        return None
    return {
        "size_bytes": side.size_bytes,
        "modified_at": tell_modified(side.modified_ns),
        "sha256": side.sha256.hex(),
    }


def tell_modified(modified_ns: int | None) -> datetime | None:
    """Returns None also for times that no calendar holds: a far end may claim anything."""
    if modified_ns is None:
        return None
    try:
        return datetime.fromtimestamp(modified_ns / 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
