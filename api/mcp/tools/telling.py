"""Sync records as tools tell them."""

from __future__ import annotations

from typing import Any

from api.shapes.records import tell_line, tell_record
from syncjobs.models import SyncRecord


def tell_record_to_agent(record: SyncRecord) -> dict[str, Any]:
    """Fills `RecordOut`; `record` with its job and connector."""
    return _without_keys(tell_record(record))


def tell_line_to_agent(line: Any) -> dict[str, Any]:
    """Fills `RecordOut`; `line` of `lines_of`."""
    return _without_keys(tell_line(line))


def _without_keys(told: dict[str, Any]) -> dict[str, Any]:
    """Without the keys of rows that a guard quotes: tools tell values of rows in fields of their own, and mark them."""
    held, tables = told.get("held"), told.get("tables")
    if held is not None:
        told = {**told, "held": {**held, "sample_keys": []}}
    if tables is not None:
        told = {**told, "tables": [_without_keys(table) for table in tables]}
    return told
