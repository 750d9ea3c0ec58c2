"""An API of a shop on loopback, with customers, page by page: `python -m embedded.samples.shop_api PORT KEY_FILE`.

`GET /v1/customers?limit=100&starting_after=ID&updated_since=EPOCH` answers with
`{"data": [...], "has_more": true}` for whoever shows the key as `Authorization: Bearer`. `GET /health` needs no key.
"""

from __future__ import annotations

import json
import random
import signal
import sys
from collections.abc import Iterator
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

CUSTOMERS = 500
PAGE_MAX = 100
_EPOCH = 1_704_067_200  # 2024-01-01T00:00:00Z
_CITIES = ["Bergen", "Köln", "São Paulo", "Kraków", "大阪", "Montréal"]


def make_customers() -> list[dict[str, Any]]:
    """The same customers whenever they are made."""
    source = random.Random("customers")  # noqa: S311 — sample data
    return list(_iter_customers(source))


def _iter_customers(source: random.Random) -> Iterator[dict[str, Any]]:
    for number in range(1, CUSTOMERS + 1):
        yield {
            "id": f"cus_{number:05}",
            "name": f"Customer {number}",
            "balance": source.randrange(-10_000, 1_000_000),
            "address": {"city": source.choice(_CITIES), "floor": source.randrange(9)},
            "updated": _EPOCH + number * 3600,
        }


class ShopApi(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, key: str, customers: list[dict[str, Any]]) -> None:
        self._key = key
        self._customers = customers
        super().__init__(*args)

    def do_GET(self) -> None:
        asked = urlsplit(self.path)
        if asked.path == "/health":
            self._answer(HTTPStatus.OK, {})
        elif self.headers.get("Authorization") != f"Bearer {self._key}":
            self._answer(HTTPStatus.UNAUTHORIZED, {"error": "show the key"})
        elif asked.path != "/v1/customers":
            self._answer(HTTPStatus.NOT_FOUND, {"error": "there are /v1/customers"})
        else:
            self._answer(
                HTTPStatus.OK, self._list({k: v[-1] for k, v in parse_qs(asked.query).items()})
            )

    def _list(self, asked: dict[str, str]) -> dict[str, Any]:
        size = min(PAGE_MAX, max(1, int(asked.get("limit", PAGE_MAX))))
        after, since = asked.get("starting_after", ""), int(asked.get("updated_since", 0))
        found = [one for one in self._customers if one["id"] > after and one["updated"] >= since]
        return {"data": found[:size], "has_more": len(found) > size}

    def _answer(self, status: HTTPStatus, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the handler's name
        """Silent: the records tell what was fetched."""


def serve_shop(port: int, key: str) -> None:
    """Serves until SIGTERM or SIGINT."""
    handler = partial(ShopApi, key=key, customers=make_customers())
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        for number in (signal.SIGTERM, signal.SIGINT):
            # In a thread: shutdown waits for the loop that the signal has interrupted.
            signal.signal(number, lambda *_: Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    serve_shop(int(sys.argv[1]), Path(sys.argv[2]).read_text(encoding="utf-8"))
