"""What the transport makes of a broker that goes away."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from syncproject.celery import app
from tests.servers import servers

pytestmark = pytest.mark.process


def _receive(name: str) -> Any:
    """A connection that holds a message which it has not acknowledged."""
    connection: Any = app.connection_for_write(servers().redis_url)
    queue = connection.SimpleQueue(name)
    queue.put("ring")
    assert queue.get(timeout=30).payload == "ring"
    return connection


@pytest.fixture
def name() -> str:
    return f"test-{uuid.uuid4().hex}"


def test_a_channel_closes_after_its_connection_was_let_go_of(name: str) -> None:
    """As after a broker went away before a message was acknowledged: whatever this raises ends a worker."""
    connection = _receive(name)
    channel, transport = connection.default_channel, connection.transport
    transport.client = None  # what `collect` of kombu's Connection leaves behind
    channel.close()
    transport.client = connection
    connection.close()


def test_what_was_not_acknowledged_is_given_back_at_once(name: str) -> None:
    _receive(name).close()
    other: Any = app.connection_for_write(servers().redis_url)
    assert other.SimpleQueue(name).get(timeout=30).payload == "ring"
    other.close()
