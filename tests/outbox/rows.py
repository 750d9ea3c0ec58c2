"""Streams for tests."""

from __future__ import annotations

from typing import Any

from django.db import connection

from connectors.models import Connector
from outbox.core.segments import unpack_lines
from outbox.models import Stream
from outbox.streams import save_stream
from tests.rows import make_workspace


def make_client(workspace: str = "acme", *, port: int = 9, **fields: Any) -> Connector:
    name = f"client-{Connector.objects.count()}"
    fields.setdefault("kind", "client")
    return Connector.objects.create(
        workspace=make_workspace(workspace), name=name, host="127.0.0.1", port=port, **fields
    )


def make_stream(client: Connector | None = None, **fields: Any) -> Stream:
    client = client or make_client()
    fields.setdefault("name", f"stream-{Stream.objects.count()}")
    return save_stream(Stream(workspace=client.workspace, client=client, **fields))


def readings(*numbers: int, prefix: str = "m") -> list[dict[str, Any]]:
    return [{"key": f"{prefix}-{number:07}", "payload": {"value": number}} for number in numbers]


def stored_lines(stream: Stream) -> list[tuple[int, bytes]]:
    """By number."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_from, seq_to, body FROM outbox_segment WHERE stream = %s ORDER BY seq_to", [stream.number]
        )  # fmt: skip
        rows = cursor.fetchall()
    found: list[tuple[int, bytes]] = []
    for first, last, body in rows:
        lines = unpack_lines(body)
        assert len(lines) == last - first + 1
        found += enumerate(lines, start=first)
    return found
