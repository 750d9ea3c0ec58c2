"""Readings to the sample client system, which goes away in the middle: each comes once all the same."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cli.chores import DEMO
from connectors.models import Connector
from connectors.secrets import seal
from outbox.figures import read_status
from outbox.intake import take
from outbox.models import Delivery, Stream
from outbox.streams import save_stream, start_stream
from workspaces.lookup import find_by_name, find_workspace

CLIENT, STREAM = "client-system", "meter-readings"
READINGS, BULK = 3_000, 250
INTERVAL_S = 2  # also how long a stream waits for one that is away, at most
PATIENCE_S = 60.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Shown:
    sent: int
    received: int
    doubled: int


def make_shown(say: Callable[[str], object]) -> Shown:
    """A third is sent, the client system goes away, the rest is sent, it comes back. Raises TimeoutError."""
    stream = _ensure_stream()
    before = _ask("/taken")
    began = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S}"
    try:
        _send(stream, began, 0, READINGS // 3)
        _until(lambda: not read_status(stream).queue_size, "the first readings did not arrive")
        say(f"  {READINGS // 3} sent, all arrived; now the client system goes away")
        latest = Delivery.objects.filter(stream=stream).latest("pk").pk
        _ask("/control", {"down": True})
        _send(stream, began, READINGS // 3, READINGS)
        tries = Delivery.objects.filter(stream=stream, pk__gt=latest, outcome="offline")
        _until(tries.exists, "nobody noticed the outage")
        say(f"  {read_status(stream).queue_size} wait; it comes back")
    finally:
        _ask("/control", {})
    _until(lambda: not read_status(stream).queue_size, "the queue did not become empty")
    after = _ask("/taken")
    shown = Shown(
        READINGS, after["readings"] - before["readings"], after["doubles"] - before["doubles"]
    )
    say(
        f"  {DEMO}/{STREAM}: received {shown.received} = sent {shown.sent}, {shown.doubled} doubled"
        if shown.received == shown.sent
        else f"  {DEMO}/{STREAM}: received {shown.received}, sent {shown.sent}, {shown.doubled} doubled"
    )
    return shown


def _send(stream: Stream, began: str, first: int, last: int) -> None:
    for start in range(first, last, BULK):
        numbers = range(start, min(last, start + BULK))
        take(
            stream,
            [
                {
                    "key": f"meter-{n % 10}:{began}:{n:06}",
                    "payload": {"meter": n % 10, "kWh": n / 10},
                }
                for n in numbers
            ],
        )


def _ensure_stream() -> Stream:
    workspace = find_workspace(DEMO)
    if workspace is None:
        raise LookupError(f"there is no workspace {DEMO}")
    client = find_by_name(Connector.objects.all(), workspace, CLIENT) or Connector(
        workspace=workspace, name=CLIENT, kind="client"
    )
    client.host, client.port = "127.0.0.1", int(os.environ["DEMO_CLIENT_PORT"])
    client.options = {"tls": False}
    seal(client, {"token": Path(os.environ["DEMO_CLIENT_KEY_FILE"]).read_text(encoding="utf-8")})
    client.save()
    stream = find_by_name(Stream.objects.all(), workspace, STREAM) or save_stream(
        Stream(workspace=workspace, name=STREAM, client=client, sync_interval_s=INTERVAL_S)
    )
    start_stream(stream)
    return stream


def _ask(path: str, said: dict[str, Any] | None = None) -> Any:
    url = f"http://127.0.0.1:{os.environ['DEMO_CLIENT_PORT']}{path}"
    data = None if said is None else json.dumps(said).encode()
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        return json.loads(answer.read())


def _until(look: Callable[[], object], complaint: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not look():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{complaint} within {PATIENCE_S:.0f} s; the logs are in var/log")
        time.sleep(LOOK_S)
