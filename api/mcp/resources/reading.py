"""`resources/read`: a manifest, or a part of a file."""

from __future__ import annotations

import base64
from typing import Any

from api.mcp.call import UNTRUSTED, Call, Result, cache_fields, encode_json
from api.mcp.errors import INTERNAL_ERROR, RpcError
from api.mcp.resources.finding import (
    FoundResource,
    find_addressed,
    no_such_resource,
    tell_provenance,
)
from api.mcp.resources.listing import JSON, LIST_TTL_MS
from api.mcp.resources.parts import FileUnreadable, guess_type, read_part
from api.mcp.resources.uris import READ_MAX
from api.shapes.contents import tell_entry
from datasets.models import Entry
from datasets.reading import one_moment, page_of_entries

PROVENANCE = "syncproject/provenance"
NEXT = "syncproject/next"
MANIFEST_MAX = 1_000  # files a read


def read_resource(call: Call) -> Result:
    """Raises RpcError."""
    uri = call.message.params.get("uri")
    with one_moment():
        found = find_addressed(call.caller.workspace, uri)
        if found is None:
            raise no_such_resource(call)
        provenance = tell_provenance(found)
        shown = _page(found) if found.entry is None else []
    told, following = (
        _read_file(found, found.entry) if found.entry else _tell_manifest(found, shown)
    )
    meta = {PROVENANCE: provenance, **({} if following is None else {NEXT: following})}
    return Result(
        {
            "contents": [{"uri": uri, **told, "_meta": meta}],
            "_meta": {UNTRUSTED: True},
            **cache_fields(call, LIST_TTL_MS),
        }
    )


def _read_file(found: FoundResource, entry: Entry) -> tuple[dict[str, Any], str | None]:
    address = found.address
    try:
        part = read_part(found.version.dataset, entry, address.offset, address.length)
    except FileUnreadable as exc:
        raise RpcError(INTERNAL_ERROR, f"This file cannot be read: {exc}") from None
    following = None if part.next_offset is None else str(address.at(part.next_offset))
    told: dict[str, Any] = {"mimeType": guess_type(entry.path)}
    if part.text is not None:
        return {**told, "text": part.text}, following
    return {**told, "blob": base64.b64encode(part.blob or b"").decode()}, following


def _page(found: FoundResource) -> list[Entry]:
    return page_of_entries(found.version, last=found.address.after, limit=MANIFEST_MAX + 1)


def _tell_manifest(found: FoundResource, entries: list[Entry]) -> tuple[dict[str, Any], str | None]:
    """A read gives so many files, and so many bytes."""
    version, dataset = found.version, found.version.dataset
    files: list[dict[str, Any]] = []
    left = READ_MAX
    for entry in entries[:MANIFEST_MAX]:
        told = tell_entry(entry)
        files.append({name: told[name] for name in ("path", "size_bytes", "sha256", "modified_at")})
        left -= len(encode_json(files[-1]))
        if left <= 0:
            break
    following = None
    if len(files) < len(entries):
        following = str(found.address.behind(files[-1]["path"]))
    manifest = {
        "dataset": dataset.name,
        "dataset_id": str(dataset.pk),
        "version": version.number,
        "record_id": str(version.record_id) if version.record_id else None,
        "published_at": version.created_at,
        "file_count": version.file_count,
        "size_bytes": version.size_bytes,
        "files": files,
        "next": following,
    }
    return {"mimeType": JSON, "text": encode_json(manifest).decode()}, following
