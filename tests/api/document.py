"""The OpenAPI document, and the resources that it tells of."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from syncproject.urls import service

DOCUMENT: dict[str, Any] = service.get_openapi_schema()
TREE = "/api/workspaces/{workspace}"


@dataclass(frozen=True, slots=True)
class Resource:
    """A thing that programs read and change. Each operation by its id; None where there is none. `key` is the path
    parameter that names one of several, empty where there is but one."""

    name: str
    key: str
    read: str
    listing: str | None = None
    create: str | None = None
    replace: str | None = None
    change: str | None = None
    remove: str | None = None


def resources() -> list[Resource]:
    """What can be made or changed: each path that takes PUT, PATCH or DELETE, or lies in a list that takes POST."""
    return sorted(_find(), key=lambda resource: resource.name)


def _find() -> Iterator[Resource]:
    paths = DOCUMENT["paths"]
    for path, own in paths.items():
        inner = path.removeprefix(f"{TREE}/")
        if path == inner or "get" not in own:
            continue
        one_of = re.fullmatch(r"([a-z-]+)/\{(\w+)\}", inner)
        listed = paths.get(f"{TREE}/{one_of[1]}", {}) if one_of else {}
        ids = {method: operation["operationId"] for method, operation in own.items()}
        if not {"put", "patch", "delete"} & set(ids) and "post" not in listed:
            continue
        keys = re.findall(r"\{(\w+)\}", inner)
        yield Resource(
            name=one_of[1] if one_of else inner.rpartition("/")[2],
            key=keys[-1] if keys else "",
            read=ids["get"],
            listing=listed.get("get", {}).get("operationId"),
            create=listed.get("post", {}).get("operationId"),
            replace=ids.get("put"),
            change=ids.get("patch"),
            remove=ids.get("delete"),
        )
