"""The Python example of docs/outbox.md, as it stands there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django import Settings

from outbox.client import NoSuchStream, from_env
from outbox.core.readings import ReadingsRefused
from outbox.figures import read_status
from outbox.first import ensure_first_stream
from outbox.models import StreamState
from outbox.rounds import send_round
from outbox.streams import start_stream
from tests.outbox.hosts import KEY, Receiver, running_receiver
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)
PAGE = (Path(__file__).parents[2] / "docs" / "outbox.md").read_text()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def test_the_documented_example_runs(receiver: Receiver, settings: Settings) -> None:
    with pytest.raises(NoSuchStream, match="CLIENT_API_URL"):
        from_env(workspace="nowhere")
    settings.SYNC = _with_client(settings.SYNC, receiver)
    stream = ensure_first_stream(make_workspace("default"))
    assert stream is not None
    [example] = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    said: dict[str, Any] = {}
    exec(example, said)  # noqa: S102 — our own page
    assert (said["status"]["queue_size"], said["status"]["is_running"]) == (1, True)
    assert said["connectivity"]["consecutive_failures"] == 0
    assert said["stats"]["hours"] == 24
    assert said["configuration"]["version"] == 1
    assert said["beat"]["status"] == 200
    stream.refresh_from_db()
    assert stream.state == StreamState.STOPPED
    with pytest.raises(ReadingsRefused):
        said["manager"].add([{"key": ""}])
    start_stream(stream)
    assert send_round(stream).has_moved
    assert receiver.keys == ["meter-1:2026-11-28T10:00Z"]
    assert read_status(stream).total_synced == 1


def _with_client(sync: Any, receiver: Receiver) -> Any:
    from dataclasses import replace

    return replace(
        sync,
        client_api_url=f"http://127.0.0.1:{receiver.port}",
        client_api_key=KEY,
        workspace="default",
    )
