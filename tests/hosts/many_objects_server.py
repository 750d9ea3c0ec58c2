"""An API on loopback with so many objects, in each of the five ways of paging: `python -m tests.hosts.many_objects_server
PORT COUNT LATENCY_S`.

`/v1/items` by cursor, `/v1/offset`, `/v1/page`, `/v1/link`, `/v1/url`; `/asked` says how many pages were asked for.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from urllib.parse import parse_qs, urlsplit

BIG = 9_007_199_254_740_993  # 2^53 + 1
DIGITS = "1234567890123456789012345"


def make_object(number: int) -> dict[str, object]:
    """What an object is; `amount` is written apart, because Python would round it."""
    return {
        "id": f"cus_{number:08d}",
        "created": 1_760_000_000 + number,
        "email": f"user{number}@example.com",
        "name": f'Größe "{number}"',
        "serial": BIG + number,
        "delinquent": None if number % 3 else True,
        "metadata": {"k": str(number), "tier": "gold"},
        "address": {"city": "Köln", "lines": [f"Street {number}", "", "50667"]},
        "updated": f"2026-01-{1 + number % 28:02d}T00:00:{number % 60:02d}Z",
    }


def write_object(number: int) -> bytes:
    text = json.dumps(make_object(number), ensure_ascii=False)
    return f'{text[:-1]}, "amount": {DIGITS}.{number % 100:02d}}}'.encode()


class Api:
    def __init__(self, count: int, latency_s: float) -> None:
        self.objects = [write_object(number) for number in range(count)]
        self.asked = 0
        self._latency_s = latency_s

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                fields, body = self.answer(head.split(b" ", 2)[1].decode())
                if self._latency_s:
                    await asyncio.sleep(self._latency_s)
                lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *fields, "", ""]
                writer.write("\r\n".join(lines).encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def answer(self, target: str) -> tuple[list[str], bytes]:
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if parts.path == "/asked":
            return [], str(self.asked).encode()
        self.asked += 1
        limit = min(int(query.get("limit", 100)), 5_000)
        start = self._find_start(parts.path, query, limit)
        page = b"[" + b",".join(self.objects[start : start + limit]) + b"]"
        behind, total = start + limit, len(self.objects)
        following = f"{parts.path}?limit={limit}&from={behind}"
        match parts.path:
            case "/v1/items":
                more = b"true" if behind < total else b"false"
                return [], b'{"data": %b, "has_more": %b}' % (page, more)
            case "/v1/offset":
                return [], b'{"data": %b, "total": %d}' % (page, total)
            case "/v1/page":
                return [], b'{"data": %b, "pages": %d}' % (page, -(-total // limit))
            case "/v1/link":
                field = [f'Link: <{following}>; rel="next"'] if behind < total else []
                return field, page
            case _:
                url = f'"{following}"' if behind < total else "null"
                return [], b'{"data": %b, "next": %b}' % (page, url.encode())

    def _find_start(self, path: str, query: Mapping[str, str], limit: int) -> int:
        if path == "/v1/items":
            after = query.get("starting_after")
            return int(after.removeprefix("cus_")) + 1 if after else 0
        if path == "/v1/page":
            return (int(query.get("page", 1)) - 1) * limit
        return int(query.get("from", query.get("offset", 0)))


async def main(port: int, count: int, latency_s: float) -> None:
    api = Api(count, latency_s)
    async with await asyncio.start_server(api.serve, "127.0.0.1", port) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
