"""Streams of readings as JSON: their settings, what they do, and what became of their batches."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StrictBool

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape, Count, Fact, Name, Text
from api.shapes.reaching import WatchedOut
from outbox.core.readings import BULK_MAX, KEY_MAX
from outbox.core.reconciling import HourDigest
from outbox.models import Delivery, Stream, StreamState

_BATCH_SIZE = Annotated[int, Field(ge=1, le=10_000), EXACT]
_INTERVAL = Annotated[int, Field(ge=1, le=86_400), EXACT]
_HEARTBEAT = Annotated[int, Field(ge=0, le=86_400), EXACT]
_DOWNLOAD = Annotated[int, Field(ge=0, le=2_592_000), EXACT]
_QUEUE = Annotated[int, Field(ge=1, le=9_000_000_000_000_000_000), EXACT]
_CLIENT = Annotated[Text, Field(min_length=1)]
_SCHEMA = "JSON Schema of the configuration; null: any object."


class StreamChange(BodyShape):
    """What is left out stays as it is; null stands for the default."""

    name: Name | None = None
    client: _CLIENT | None = Field(None, description="A connector of kind `client`: id or name.")
    batch_size: _BATCH_SIZE | None = Field(None, description="Readings of a batch, at most.")
    sync_interval_s: _INTERVAL | None = Field(None, description="The next round after the tries.")
    max_queued: _QUEUE | None = Field(None, description="Readings beyond are refused with 429.")
    heartbeat_interval_s: _HEARTBEAT | None = Field(None, description="0: never.")
    configuration_interval_s: _DOWNLOAD | None = Field(None, description="0: never.")
    configuration_schema: dict[str, Any] | None = Field(None, description=_SCHEMA)

    def written(self) -> dict[str, Any]:
        """What was given, without what an answer tells beside it."""
        given = self.model_dump(mode="json", exclude_unset=True)
        written = {name: given[name] for name in given if name in StreamChange.model_fields}
        return {
            name: value
            for name, value in written.items()
            if value is not None or name not in ("name", "client")
        }


class StreamNew(StreamChange):
    """A stream needs a name and a client system."""

    name: Name
    client: _CLIENT = Field(description="A connector of kind `client`: id or name.")


class StreamReplacement(StreamNew):
    """What else an answer tells is taken too, without effect: a program may send what it has read."""

    id: Fact = None
    state: Fact = None
    reason: Fact = None
    created_at: Fact = None


class StreamOut(Told):
    id: uuid.UUID
    name: str
    client: str = Field(description="The connector's name.")
    batch_size: int
    sync_interval_s: int
    max_queued: int
    heartbeat_interval_s: int
    configuration_interval_s: int
    configuration_schema: dict[str, Any] | None
    state: StreamState
    reason: str = Field(description="Why it is paused, and what to see to.")
    created_at: datetime


class StreamPage(Told):
    items: list[StreamOut]
    next: str | None


class TakenOut(Told):
    accepted: int
    duplicates: int = Field(description="Readings whose key the stream has already.")
    conflicts: int = Field(description="Of these, those with another payload than the first.")


class StreamStatusOut(Told):
    is_running: bool
    state: StreamState
    reason: str
    last_sync_time: datetime | None
    last_sync_success: bool | None
    last_sync_error: str | None
    queue_size: int
    queue_bytes: int
    oldest_reading_age_s: float | None
    total_synced: int
    total_failed: int = Field(description="Readings that became dead letters.")
    dead_letters: int = Field(description="Of these, those that wait here.")
    is_client_connected: bool | None
    next_try_at: datetime | None
    waiting_for: str
    connectivity: WatchedOut


class StatsOut(Told):
    hours: int
    total_syncs: int
    successful_syncs: int
    failed_syncs: int
    total_readings_synced: int
    success_rate: float = Field(description="From 0 to 1; 1 where nothing was tried.")


class HeartbeatOut(Told):
    sent_at: datetime
    status: int | None = Field(description="HTTP's; null: no answer came.")
    error: str | None


class ClientConfigurationOut(Told):
    version: int | None = Field(description="null: none was downloaded yet.")
    etag: str | None
    downloaded_at: datetime | None
    checked_at: datetime | None
    error: str | None = Field(description="Why the last look came to nothing.")
    configuration: dict[str, Any] | None


class DeliveryOut(Told):
    batch: uuid.UUID
    sequence_from: int
    sequence_to: int
    count: int
    at: datetime
    took_ms: int
    status: int | None = Field(description="HTTP's; null: no answer came.")
    outcome: str
    reason: str


class DeliveryPage(Told):
    items: list[DeliveryOut]
    next: str | None


class DeadLetterOut(Told):
    id: int
    sequence: int
    key: str
    payload: dict[str, Any]
    code: str
    reason: str
    maybe_delivered: bool = Field(description="A try of it had no answer.")
    batch: uuid.UUID
    at: datetime


class DeadLetterPage(Told):
    items: list[DeadLetterOut]
    next: str | None


class LetterIn(BodyShape):
    id: Count
    payload: dict[str, Any] | None = Field(None, description="In place of the refused one.")


class RedriveIn(BodyShape):
    """One of `all` and `items`."""

    all: StrictBool = False
    items: Annotated[list[LetterIn], Field(min_length=1, max_length=BULK_MAX)] | None = None


class RedrivenOut(Told):
    redriven: int


class HourOut(Told):
    hour: datetime
    count: int
    keys_sum: str = Field(
        description="Of the first 8 bytes of each key's SHA-256, as numbers, modulo 2^64."
    )


class DigestOut(Told):
    items: list[HourOut]


class ReconciledOut(Told):
    hours: int = Field(description="That were compared.")
    differing: int
    resent: int = Field(description="Readings that go again, in new batches.")


# Readings are read without pydantic, for their number. The document tells their shape all the same.
BULK_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["readings"],
                    "additionalProperties": False,
                    "properties": {
                        "readings": {
                            "type": "array",
                            "minItems": 1,
                            "maxItems": BULK_MAX,
                            "items": {
                                "type": "object",
                                "required": ["key", "payload"],
                                "additionalProperties": False,
                                "properties": {
                                    "key": {
                                        "type": "string",
                                        "minLength": 1,
                                        "maxLength": KEY_MAX,
                                        "description": "The reading's own; a second one of it is a duplicate.",
                                    },
                                    "payload": {"type": "object"},
                                },
                            },
                        }
                    },
                }
            }
        },
    }
}


def tell_stream(stream: Stream) -> dict[str, Any]:
    """As `StreamOut` has it."""
    told = {name: getattr(stream, name) for name in StreamOut.model_fields}
    return told | {"client": stream.client.name}


def tell_delivery(row: Delivery) -> dict[str, Any]:
    return {
        "batch": row.batch_id,
        "sequence_from": row.seq_from,
        "sequence_to": row.seq_to,
        "count": row.count,
        "at": row.at,
        "took_ms": row.took_ms,
        "status": row.status,
        "outcome": row.outcome,
        "reason": row.reason,
    }


def tell_hour(digest: HourDigest) -> dict[str, Any]:
    return {"hour": digest.hour, "count": digest.count, "keys_sum": str(digest.keys_sum)}
