"""What is known of reaching a far end, as JSON: its tests stage by stage, and what checks and work have shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import ConfigDict, Field, StrictBool

from api.shapes.answers import Told
from api.shapes.jobs import Text
from connectors.models import Connector
from connectors.reachability import find_connectivity
from connectors.telling import tell_connectivity
from farends.errors import ConnectionStage
from farends.stages import StageOutcome, StageResult
from syncjobs.queries.connectivity import has_passed, judge_connectivity

if TYPE_CHECKING:
    TestStage = str
else:
    # Records have stages too, and in the document two enums of one name are one.
    TestStage = Literal[tuple(stage.value for stage in ConnectionStage)]


class StageOut(Told):
    stage: TestStage
    outcome: StageOutcome
    detail: str
    advice: str = Field(description="What to do where it failed.")
    code: str
    offered: str = Field(description="A host key that a person may approve.")
    option: str = Field(description="Where it is then kept.")


class TestOut(Told):
    passed: bool = Field(description="No stage failed.")
    tested_at: datetime
    stages: list[StageOut]


class CircuitOut(Told):
    state: Literal["closed", "open", "half_open"]
    until: datetime | None


class WatchedOut(Told):
    """What checks and work have shown."""

    is_connected: bool | None = Field(description="null: nothing was heard yet.")
    last_check_time: datetime | None
    last_successful_connection: datetime | None
    last_failed_connection: datetime | None
    consecutive_failures: int
    uptime: int = Field(description="Seconds since it is connected; 0 where it is not.")
    downtime: int = Field(description="Seconds since it is not connected; 0 where it is.")


class ConnectivityOut(WatchedOut):
    """What checks and recent work have shown; null is unknown."""

    watch: bool = Field(description="Whether it is checked each minute.")
    connector: str
    address: str
    online: bool | None
    last_success_at: datetime | None
    last_failure_at: datetime | None
    last_error: str
    circuit: CircuitOut
    paused_until: datetime | None = Field(description="The host asked for that.")
    max_running: int | None = Field(description="Records at once that the host bears, as learned.")
    running: int = Field(description="The workspace's records that are at it now.")
    last_test_at: datetime | None
    last_test_passed: bool | None
    checked_at: datetime | None
    uptime_s: float | None
    downtime_s: float | None


class WatchIn(Told):
    model_config = ConfigDict(extra="forbid")

    watch: StrictBool = Field(description="false: it is not checked until it is switched on again.")


class HostKeyIn(Told):
    model_config = ConfigDict(extra="forbid")

    fingerprint: Annotated[Text, Field(min_length=1)] = Field(
        description="The key that the last test was offered, as it stands there.",
        examples=["SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"],
    )


def tell_test(connector: Connector, results: Sequence[StageResult]) -> dict[str, Any]:
    """Fills `TestOut` with what a test of just now has shown."""
    return {
        "passed": bool(has_passed(connector)),
        "tested_at": connector.last_test_at,
        "stages": [asdict(result) for result in results],
    }


def tell_connectivity_of(connector: Connector) -> dict[str, Any]:
    """Fills `ConnectivityOut`, in a few queries. The host is not called for this."""
    judged, watch = asdict(judge_connectivity(connector)), find_connectivity(connector)
    watched = tell_connectivity(connector)
    known = watched["is_connected"] is not None
    if watched["last_check_time"] is None:
        del watched["consecutive_failures"]  # what records met is all that is known
    beside = {
        "connector": connector.name,
        "watch": watch.watch,
        "checked_at": watch.last_check_at,
        "uptime_s": watched["uptime"] if known else None,
        "downtime_s": watched["downtime"] if known else None,
    }
    return judged | watched | beside
