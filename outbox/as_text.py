"""Streams in the configuration as text: `streams:` of a workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from outbox.models import Stream
from outbox.writing import FIELDS, InvalidStream, StreamNameTaken, write_stream
from syncjobs.configuration.sections import Section, SectionEntry, SectionRefused
from workspaces.lookup import find_by_name
from workspaces.models import Workspace


def _write(workspace: Workspace, name: str, fields: Mapping[str, Any]) -> SectionEntry:
    rows = Stream.objects.select_related("client", "workspace")
    found = find_by_name(rows, workspace, name)
    try:
        written = write_stream(found or Stream(workspace=workspace), {**fields, "name": name})
    except InvalidStream as exc:
        raise SectionRefused(exc.errors) from None
    except StreamNameTaken as exc:
        raise SectionRefused({"name": [str(exc)]}) from None
    return SectionEntry(found is None, written.changed)


def _tell(workspace: Workspace) -> list[dict[str, Any]]:
    rows = Stream.objects.filter(workspace=workspace).select_related("client").order_by("name")
    return [_tell_one(row) for row in rows]


def _tell_one(row: Stream) -> dict[str, Any]:
    """The name, the client, and what is not as in a new one."""
    plain = Stream()
    told = {"name": row.name, "client": row.client.name}
    for field in FIELDS:
        if field not in told and getattr(row, field) != getattr(plain, field):
            told[field] = getattr(row, field)
    return told


STREAMS = Section("streams", "stream", FIELDS, _write, _tell)
