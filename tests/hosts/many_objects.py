"""An API in a process of its own; see `many_objects_server`."""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedded.ports import find_free
from farends.rest.options import RestOptions, RestSecret
from farends.spec import Target
from tests.hosts.child import serving

# By the way of paging: what a job's `entity` says.
PAGED: dict[str, dict[str, Any]] = {
    "cursor": {
        "path": "/items",
        "records": "data",
        "next": {"cursor": "data[-1].id", "param": "starting_after", "more": "has_more"},
    },
    "offset": {
        "path": "/offset",
        "records": "data",
        "next": {"offset": "offset", "total": "total"},
    },
    "page": {"path": "/page", "records": "data", "next": {"page": "page", "pages": "pages"}},
    "link": {"path": "/link", "next": {"link": "next"}},
    "url": {"path": "/url", "records": "data", "next": {"url": "next"}},
}


@dataclass(frozen=True)
class ManyObjects:
    port: int

    def target(self, **options: Any) -> Target:
        made = RestOptions(scheme="http", base="/v1", **options)
        return Target("127.0.0.1", self.port, made, RestSecret())

    def count_asked(self) -> int:
        connected = http.client.HTTPConnection("127.0.0.1", self.port)
        with contextlib.closing(connected):
            connected.request("GET", "/asked")
            return int(connected.getresponse().read())


def sized(way: str, size: int) -> dict[str, Any]:
    return {**PAGED[way], "page": {"param": "limit", "size": size}}


@contextlib.contextmanager
def many_objects(count: int, folder: Path, *, latency_s: float = 0.0) -> Iterator[ManyObjects]:
    port = find_free()
    module = "tests.hosts.many_objects_server"
    command = [sys.executable, "-m", module, str(port), str(count), str(latency_s)]
    with serving(command, port, folder / "many_objects.log"):
        yield ManyObjects(port)
