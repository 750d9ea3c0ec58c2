"""The sample client system as a test's far end."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from connectors.secrets import seal
from embedded.samples.client_system import TakenLog, make_server
from outbox.models import Stream
from tests.outbox.rows import make_client, make_stream

KEY = "client-key-0123456789"


@dataclass
class Receiver:
    port: int
    log: Path
    stop: Callable[[], None]  # as if its machine was switched off; harmless twice
    kept: TakenLog  # what it has, for tests that make it older or other

    def control(self, **mood: Any) -> None:
        self.ask("/control", mood)

    def ask(self, path: str, said: dict[str, Any] | None = None) -> Any:
        data = None if said is None else json.dumps(said).encode()
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 — our own
            return json.loads(answer.read())

    def lose(self, *lost: str) -> None:
        """As a disk that was restored from an old copy."""
        self.ask("/lose", {"keys": list(lost)})

    def age(self, hours: int) -> None:
        """As if all that it has had been taken so much earlier."""
        with self.kept.lock:
            for told in (self.kept.hours, self.kept.hour_keys):
                aged = {_earlier(hour, hours): value for hour, value in told.items()}
                told.clear()
                told.update(aged)  # type: ignore[arg-type]  # each gets its own back

    @property
    def batches(self) -> list[dict[str, Any]]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [json.loads(line) for line in lines]

    @property
    def keys(self) -> list[str]:
        return [key for batch in self.batches for key in batch["keys"]]

    @property
    def taken(self) -> dict[str, Any]:
        taken: dict[str, Any] = self.ask("/taken")
        return taken

    @property
    def seen(self) -> list[dict[str, str]]:
        seen: list[dict[str, str]] = self.taken["seen"]
        return seen


def _earlier(hour: str, hours: int) -> str:
    return (datetime.fromisoformat(hour) - timedelta(hours=hours)).strftime("%Y-%m-%dT%H:00:00Z")


@contextmanager
def running_receiver(log: Path, port: int = 0) -> Iterator[Receiver]:
    server = make_server(port, log, KEY)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def stop() -> None:
        if thread.is_alive():
            server.shutdown()
            server.server_close()
            thread.join()

    try:
        handler: Any = server.RequestHandlerClass
        yield Receiver(server.server_address[1], log, stop, handler.taken)
    finally:
        stop()


def stream_to(receiver: Receiver, options: dict[str, Any] | None = None, **fields: Any) -> Stream:
    client = make_client(
        port=receiver.port, options={"tls": False, "timeout_s": 5, **(options or {})}
    )
    seal(client, {"token": KEY})
    client.save()
    fields.setdefault("batch_size", 10)
    fields.setdefault(
        "configuration_interval_s", 0
    )  # the sample's would change the size of batches
    return make_stream(client, **fields)


def keys(*numbers: int) -> list[str]:
    return [f"m-{number:07}" for number in numbers]
