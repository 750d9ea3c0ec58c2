"""The outbox from Python, in the process that has readings.

    from outbox.client import from_env

    manager = from_env()                 # the stream `readings`, or another by its name
    manager.start()
    manager.add([{"key": "meter-1:2026-11-28T10:00Z", "payload": {"kWh": 12.5}}])
    print(manager.get_status(), manager.get_connectivity_status(), manager.get_sync_stats(24))
    manager.trigger_sync()
    manager.download_configuration()
    manager.send_heartbeat()
    manager.stop()

It speaks to the database that the environment, or a stack that runs here, names. Workers send the readings.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import django
from django.apps import apps

if TYPE_CHECKING:
    from outbox.intake import BulkResult
    from outbox.models import Stream

WORKSPACE, STREAM = "default", "readings"


class NoSuchStream(LookupError):
    """The workspace has no stream of this name."""


def from_env(stream: str = STREAM, workspace: str | None = None) -> SyncManager:
    """Raises NoSuchStream. The workspace: as given, else SYNC_WORKSPACE, else `default`."""
    if not apps.ready:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
        django.setup()
    from django.conf import settings

    from outbox.models import Stream
    from workspaces.lookup import find_row, find_workspace

    name = workspace or settings.SYNC.workspace or WORKSPACE
    owner = find_workspace(name)
    rows = Stream.objects.select_related("client")
    found = None if owner is None else find_row(rows, owner, stream)
    if found is None:
        raise NoSuchStream(
            f"workspace {name} has no stream {stream}: make one, or set CLIENT_API_URL and start the stack"
        )
    return SyncManager(found)


class SyncManager:
    """One stream. Each call is done when it returns."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def add(self, readings: Sequence[dict[str, Any]]) -> BulkResult:
        """Adds all readings, or none: returns when they are on disk. Raises ReadingsRefused, QueueFull."""
        from outbox.intake import take

        return take(self.stream, readings)

    def start(self) -> None:
        from outbox.streams import start_stream

        start_stream(self.stream)

    def stop(self) -> None:
        from outbox.streams import stop_stream

        stop_stream(self.stream)

    def trigger_sync(self) -> None:
        """The next batch goes out at once. Raises StreamPaused."""
        from outbox.streams import hurry_stream

        hurry_stream(self.stream)

    def get_status(self) -> dict[str, Any]:
        from outbox.telling import tell_status

        return tell_status(self.stream)

    def get_connectivity_status(self) -> dict[str, Any]:
        from connectors.telling import tell_connectivity

        return tell_connectivity(self.stream.client)

    def get_sync_stats(self, hours: int = 24) -> dict[str, Any]:
        from outbox.telling import tell_stats

        return tell_stats(self.stream, hours)

    def download_configuration(self) -> dict[str, Any]:
        from outbox.contacts import download_configuration
        from outbox.telling import tell_client_configuration

        download_configuration(self.stream)
        return tell_client_configuration(self.stream)

    def send_heartbeat(self) -> dict[str, Any]:
        from outbox.contacts import send_heartbeat
        from outbox.telling import tell_beat

        return tell_beat(send_heartbeat(self.stream))
