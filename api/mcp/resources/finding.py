"""What a URI names, in the caller's workspace. What is not there is answered in the same words, whatever the reason is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from api.mcp.call import Call
from api.mcp.errors import INVALID_PARAMS, LEGACY_NOT_FOUND, RpcError
from api.mcp.resources.uris import NoResourceUri, ResourceAddress, parse_uri
from datasets.models import Dataset, DatasetKind, Entry, Version
from datasets.reading import NoSuchVersion, find_arrival, find_entries, get_version
from workspaces.lookup import find_row
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class FoundResource:
    """What an address names: a version, and of it one file, or the manifest."""

    address: ResourceAddress
    version: Version
    entry: Entry | None = None


def file_datasets(workspace: Workspace) -> QuerySet[Dataset]:
    return Dataset.objects.filter(workspace=workspace, kind=DatasetKind.FILES)


def find_addressed(workspace: Workspace, uri: object) -> FoundResource | None:
    try:
        address = parse_uri(uri)
    except NoResourceUri:
        return None
    dataset = find_row(file_datasets(workspace), workspace, address.dataset)
    if dataset is None:
        return None
    try:
        version = get_version(dataset, address.number)
    except NoSuchVersion:
        return None
    if address.path is None:
        return FoundResource(address, version)
    entry = find_entries(dataset, version.number).filter(path=address.path).first()
    if entry is None or address.offset > entry.size_bytes:
        return None
    return FoundResource(address, version, entry)


def no_such_resource(call: Call) -> RpcError:
    return RpcError(INVALID_PARAMS if call.is_modern else LEGACY_NOT_FOUND, "Resource not found")


def tell_provenance(found: FoundResource) -> dict[str, Any]:
    """Where content came from: `record_id` published the version in which it came to this path, at `fetched_at`."""
    version, entry = found.version, found.entry
    since = version if entry is None else find_arrival(version, entry)
    return {
        "dataset": version.dataset.name,
        "version": version.number,
        "record_id": str(since.record_id) if since.record_id else None,
        "path": entry.path if entry else None,
        "sha256": bytes(entry.sha256).hex() if entry else None,
        "size_bytes": entry.size_bytes if entry else version.size_bytes,
        "fetched_at": since.created_at,
        "source": entry.source if entry else None,
        "untrusted": True,
    }
