"""A connector as JSON: the words of the YAML, with a secret that only goes in. `autoSync` and
`syncInterval` are understood too."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from ninja import Schema
from pydantic import AliasChoices, ConfigDict, Field, StrictBool, StrictStr

from api.job_shapes import Name, Text, Written
from api.numbers import Whole
from connectors.models import ConnectorStatus
from farends.errors import ConnectionStage
from farends.probe import StageOutcome
from farends.registry import SPECS

if TYPE_CHECKING:
    Kind = str
    TestStage = str
else:
    Kind = Literal[tuple(SPECS)]  # the registry is the list
    # Records have stages too, and in the document two enums of one name are one.
    TestStage = Literal[tuple(stage.value for stage in ConnectionStage)]
Host = Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x20\x7f/@?#]+$")]
_LIMIT = 1_000_000_000_000_000
Option = (
    Text
    | StrictBool
    | Annotated[Whole, Field(ge=-_LIMIT, le=_LIMIT)]
    | Annotated[float, Field(strict=True, ge=-_LIMIT, le=_LIMIT)]
    | Annotated[list[Text], Field(max_length=10_000)]
    | None
)
Word = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[a-z_][a-z0-9_]*$")]
Secret = Annotated[StrictStr, Field(max_length=100_000, pattern=r"^[^\x00]*$")]
Options = Annotated[
    dict[Word, Option],
    Field(max_length=100, description="Of its kind: docs/protocols.md. null takes one away."),
]
Secrets = Annotated[
    dict[Word, Secret | None],
    Field(max_length=20, description="Never shown. null forgets one; for all of it, forgets it."),
]


class ConnectorChange(Written):
    """What is left out stays as it is; so do options and secrets that are not named."""

    name: Name | None = None
    kind: Kind | None = None
    host: Host | None = None
    port: Annotated[Whole, Field(ge=1, le=65_535)] | None = None
    options: Options | None = None
    secret: Secrets | None = None
    status: ConnectorStatus | None = None
    auto_sync: StrictBool | None = None
    sync_interval_s: Annotated[
        Annotated[Whole, Field(ge=1, le=31_536_000)] | None,
        Field(
            validation_alias=AliasChoices(
                "sync_interval_s", "syncIntervalS", "syncInterval", "sync_interval"
            )
        ),
    ] = None
    max_running: Annotated[Whole, Field(ge=1, le=32_767)] | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        given: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        nullable = ("secret", "max_running")
        return {
            name: value for name, value in given.items() if value is not None or name in nullable
        }


class ConnectorNew(ConnectorChange):
    name: Name
    kind: Kind
    host: Host


class ConnectorOut(Schema):
    """The stored description of one far end."""

    id: uuid.UUID
    name: str
    kind: str
    host: str
    port: int
    options: dict[str, Any]
    has_secret: bool
    secret_fields: list[str] = Field(description="Names of what is stored; never the values.")
    status: ConnectorStatus
    auto_sync: bool
    sync_interval_s: int
    max_running: int | None
    last_sync_at: datetime | None = Field(description="When a sync last succeeded.")
    last_sync_status: str
    last_sync_error: str
    last_test_at: datetime | None
    created_at: datetime
    updated_at: datetime


class ConnectorPage(Schema):
    items: list[ConnectorOut]
    next: str | None


class StageOut(Schema):
    stage: TestStage
    outcome: StageOutcome
    detail: str
    advice: str = Field(description="What to do where it failed.")
    code: str
    offered: str = Field(description="A host key that a person may approve.")
    option: str = Field(description="Where it is then kept.")


class TestOut(Schema):
    passed: bool = Field(description="No stage failed.")
    tested_at: datetime
    stages: list[StageOut]


class PathOut(Schema):
    name: str
    path: str = Field(description="From the connector's root.")
    type: Literal["file", "folder"]
    size_bytes: int | None
    modified_at: datetime | None
    skipped: str = Field(description="Why a sync would leave it out; empty: it would not.")


class FolderOut(Schema):
    path: str
    items: list[PathOut]
    complete: bool = Field(description="False where there is more than a look shows.")


class CircuitOut(Schema):
    state: Literal["closed", "open", "half_open"]
    until: datetime | None


class ConnectivityOut(Schema):
    """As far as the work of late tells; null is what is not known."""

    connector: str
    address: str
    online: bool | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    consecutive_failures: int
    circuit: CircuitOut
    paused_until: datetime | None = Field(description="The host asked for that.")
    max_running: int | None = Field(description="Records at once that the host bears, as learned.")
    running: int = Field(description="The workspace's records that are at it now.")
    last_test_at: datetime | None
    last_test_passed: bool | None
    checked_at: datetime | None
    uptime_s: float | None
    downtime_s: float | None


class HostKeyIn(Schema):
    model_config = ConfigDict(extra="forbid")

    fingerprint: Annotated[Text, Field(min_length=1)] = Field(
        description="The key that the last test was offered, as it stands there.",
        examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
    )
