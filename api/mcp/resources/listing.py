"""`resources/list` and `resources/templates/list`: each dataset's manifest, then its current files by path."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.core import signing
from django.db.models import Prefetch

from api.mcp.call import Call, Result, cache_fields
from api.mcp.errors import invalid_params
from api.mcp.resources.finding import file_datasets
from api.mcp.resources.parts import guess_type
from api.mcp.resources.uris import ResourceAddress
from datasets.models import Entry, Version
from datasets.reading import one_moment, page_of_entries

PAGE = 200
LIST_TTL_MS = 5_000
JSON = "application/json"
CURSOR_MAX = 20_000
_SALT = "api.mcp.resources"
TEMPLATES = {
    "manifest": "sync://{dataset}/manifest",
    "file": "sync://{dataset}/files/{+path}",
    "manifest-of-version": "sync://{dataset}/versions/{number}/manifest",
    "file-of-version": "sync://{dataset}/versions/{number}/files/{+path}",
}
_WORDS = {
    "manifest": ("The current version of a dataset", "Its files: path, size, SHA-256, time."),
    "file": ("A current file", "Its content, a MiB a read; `?offset=` and `&length=` in bytes."),
    "manifest-of-version": ("A version of a dataset", "What it holds, as the current manifest."),
    "file-of-version": ("A file of a version", "Its content as that version holds it."),
}


def list_resources(call: Call) -> Result:
    """200 a page. Raises RpcError for a cursor that is none."""
    name, after = _read_cursor(call)
    items: list[dict[str, Any]] = []
    following, last = None, ("", "")
    with one_moment():
        for version, entry in _walk(call, name, after):
            if len(items) == PAGE:
                following = _make_cursor(call, last)
                break
            items.append(_tell(version, entry))
            last = (version.dataset.name, entry.path if entry else "")
    more = {} if following is None else {"nextCursor": following}
    return Result({"resources": items, **more, **cache_fields(call, LIST_TTL_MS)})


def list_templates(call: Call) -> Result:
    if call.message.params.get("cursor") is not None:
        raise invalid_params("This list has one page: leave `cursor` out")
    told = [
        {
            "uriTemplate": uri,
            "name": name,
            "title": _WORDS[name][0],
            "description": _WORDS[name][1],
            **({"mimeType": JSON} if name.startswith("manifest") else {}),
        }
        for name, uri in TEMPLATES.items()
    ]
    return Result({"resourceTemplates": told, **cache_fields(call)})


def _walk(call: Call, name: str, after: str | None) -> Iterator[tuple[Version, Entry | None]]:
    """From the cursor's place on; None stands for the manifest."""
    current = Prefetch("versions", Version.objects.filter(is_current=True), "current")
    rows = file_datasets(call.caller.workspace).filter(versions__is_current=True, name__gte=name)
    for dataset in rows.order_by("name").prefetch_related(current)[: PAGE + 1]:
        version = _version_of(dataset)
        begins_within = dataset.name == name and after is not None
        if not begins_within:
            yield version, None
        if not version.file_count:
            continue
        last = after if begins_within and after is not None else ""
        for entry in page_of_entries(version, last=last, limit=PAGE + 1):
            yield version, entry


def _version_of(dataset: Any) -> Version:
    version: Version = dataset.current[0]
    version.dataset = dataset
    return version


def _tell(version: Version, entry: Entry | None) -> dict[str, Any]:
    dataset = version.dataset
    address = ResourceAddress(dataset.name, path=entry.path if entry else None)
    name = entry.path if entry else "manifest"
    return {
        "uri": str(address),
        "name": name,
        "title": f"{dataset.name}: {name}",
        "mimeType": guess_type(entry.path) if entry else JSON,
        **({"size": entry.size_bytes} if entry else {}),
        "annotations": {"lastModified": tell_moment(version.created_at)},
    }


def tell_moment(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _make_cursor(call: Call, last: tuple[str, str]) -> str:
    return signing.dumps(list(last), salt=f"{_SALT} {call.caller.workspace.pk}")


def _read_cursor(call: Call) -> tuple[str, str | None]:
    """The dataset's name, and the path behind which the page begins; None: its manifest comes first."""
    cursor = call.message.params.get("cursor")
    if cursor is None:
        return "", None
    if not isinstance(cursor, str) or len(cursor) > CURSOR_MAX:
        raise invalid_params("Invalid cursor")
    try:
        name, path = signing.loads(cursor, salt=f"{_SALT} {call.caller.workspace.pk}")
    except signing.BadSignature:
        raise invalid_params("Invalid cursor") from None
    return str(name), str(path)
