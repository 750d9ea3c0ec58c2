"""localstripe: an API that behaves like Stripe's, in a process of its own."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from embedded.ports import find_free
from farends.rest.options import RestOptions, RestSecret
from farends.spec import Target
from tests.hosts.child import serving

KEY = "sk_test_12345"


def paged(path: str) -> dict[str, Any]:
    """What a connector's `entities` say of a list of Stripe's."""
    return {
        "path": path,
        "records": "data",
        "key": ["id"],
        "page": {"param": "limit", "size": 10},
        "next": {"cursor": "data[-1].id", "param": "starting_after", "more": "has_more"},
    }


ENTITIES = {
    "customers": paged("/customers"),
    "invoices": paged("/invoices"),
    "events": paged("/events"),
}


@dataclass(frozen=True)
class LocalStripe:
    port: int

    def target(self) -> Target:
        options = RestOptions(scheme="http", base="/v1", auth="bearer")
        return Target("127.0.0.1", self.port, options, RestSecret(token=KEY), ENTITIES)

    def create(self, path: str, **fields: Any) -> dict[str, Any]:
        log_in = base64.b64encode(f"{KEY}:".encode()).decode()
        connected = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connected):
            told = {
                "Authorization": f"Basic {log_in}",
                "Content-Type": "application/x-www-form-urlencoded",
            }
            connected.request("POST", f"/v1{path}", urlencode(fields), told)
            answer = connected.getresponse()
            said: dict[str, Any] = json.loads(answer.read())
        assert answer.status == 200, said
        return said


@contextlib.contextmanager
def running_localstripe(home: Path) -> Iterator[LocalStripe]:
    port = find_free()
    command = [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"]
    with serving(command, port, home / "localstripe.log"):
        yield LocalStripe(port)
