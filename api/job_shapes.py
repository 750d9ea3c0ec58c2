"""A sync job as JSON: the words of the YAML, and what became of it. Bodies in camelCase are understood
too."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AliasChoices, ConfigDict, Field, StrictBool, StrictStr

from api.answers import Told
from api.numbers import Whole
from api.records import RecordOut
from syncjobs.core.comparing import Comparison
from syncjobs.core.overlaps import Overlap
from syncjobs.models import AfterPublish, OnDelete, SyncMode
from timing.misfires import Misfire
from timing.schedules import Condition, CountedFrom

Text = Annotated[StrictStr, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Name = Annotated[
    StrictStr,
    Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9._-])?$"
    ),
]
Patterns = Annotated[list[Text], Field(max_length=1000)]
Seconds = Annotated[Whole, Field(ge=0, le=2_147_483_647)]
Count = Annotated[Whole, Field(ge=1, le=9_223_372_036_854_775_807)]


_NULLABLE = ("verify_every_s", "max_lateness_s", "pause_after_failures")


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(part.title() for part in others)


class Written(Schema):
    """Fields that a client sends, in snake_case or camelCase; nothing else is taken."""

    model_config = ConfigDict(extra="forbid", alias_generator=_camel, populate_by_name=True)


class ScheduleIn(Written):
    """One of `cron`, `every_s`, `frequency` and `after`; empty: by hand only."""

    cron: Text | None = Field(None, examples=["0 2 * * *"])
    timezone: Text | None = Field(None, description="An IANA zone; without: UTC.")
    every_s: Annotated[Whole, Field(ge=1, le=31_536_000)] | None = None
    counted_from: CountedFrom | None = None
    frequency: Literal["hourly", "daily", "weekly"] | None = None
    time: Text | None = Field(None, examples=["02:00"])
    weekday: Text | None = None
    after: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = None
    condition: Condition | None = None


class LimitsIn(Written):
    max_file_size_bytes: Count | None = None
    max_age_s: Seconds | None = None
    max_files: Count | None = None
    max_bytes: Count | None = None
    timeout_s: Annotated[Whole, Field(ge=1, le=2_147_483_647)] | None = None


class WindowIn(Written):
    """A stretch of each of these weekdays; `to` at or before `from` lies on the next day."""

    days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] | None = None
    from_: Text = Field(alias="from", examples=["22:00"])
    to: Text = Field(examples=["06:00"])
    timezone: Text | None = None


class PeriodIn(Written):
    since: datetime
    until: datetime
    reason: Text | None = None


class JobChange(Written):
    """What is left out stays as it is."""

    name: Name | None = None
    connector: Annotated[
        Text | None,
        Field(
            description="The connector's name or id.",
            validation_alias=AliasChoices("connector", "dataSourceId", "data_source_id"),
        ),
    ] = None
    include: Patterns | None = None
    exclude: Patterns | None = None
    filters: Patterns | None = None
    extensions: Patterns | None = None
    settle_s: Seconds | None = None
    done_pattern: Text | None = None
    sync_mode: SyncMode | None = None
    comparison: Comparison | None = None
    verify_every_s: Seconds | None = None
    schedule: ScheduleIn | None = None
    jitter_s: Annotated[Whole, Field(ge=0, le=86_400)] | None = None
    misfire: Misfire | None = None
    catch_up_max: Annotated[Whole, Field(ge=1, le=1_000)] | None = None
    max_lateness_s: Annotated[Whole, Field(ge=1, le=2_147_483_647)] | None = None
    overlap: Overlap | None = None
    windows: list[WindowIn] | None = None
    blackouts: list[WindowIn | PeriodIn] | None = None
    on_delete: OnDelete | None = None
    after_publish: AfterPublish | None = None
    move_to: Text | None = None
    limits: LimitsIn | None = None
    max_attempts: Annotated[Whole, Field(ge=1, le=32_767)] | None = None
    pause_after_failures: Annotated[Whole, Field(ge=1, le=32_767)] | None = None
    enabled: StrictBool | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        dumped: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        dumped.pop("destination_database_id", None)
        given = {
            name: value for name, value in dumped.items() if value is not None or name in _NULLABLE
        }
        if given.get("schedule"):
            given["schedule"] = _without_null(given["schedule"])
        write_calendar(given)
        return given


class JobNew(JobChange):
    name: Name
    destination_database_id: Text | None = Field(
        None,
        description="Accepted without effect: a sync job has a dataset of its own, which the answer names.",
    )
    connector: Annotated[
        Text,
        Field(
            description="The connector's name or id.",
            validation_alias=AliasChoices("connector", "dataSourceId", "data_source_id"),
        ),
    ]


class RunIn(Written):
    full: StrictBool = Field(False, description="Trust no metadata: compare every content.")


class LimitsOut(Told):
    max_file_size_bytes: int | None
    max_age_s: int | None
    max_files: int | None
    max_bytes: int | None
    timeout_s: int | None


class JobOut(Told):
    """A standing order."""

    id: uuid.UUID
    name: str
    connector: str = Field(description="The connector's name.")
    connector_id: uuid.UUID
    dataset: str
    dataset_id: uuid.UUID
    dataset_version: int | None
    include: list[str]
    exclude: list[str]
    filters: list[str]
    extensions: list[str]
    settle_s: int
    done_pattern: str
    sync_mode: SyncMode
    comparison: Comparison
    verify_every_s: int | None
    schedule: dict[str, Any]
    schedule_words: str
    jitter_s: int
    misfire: Misfire
    catch_up_max: int
    max_lateness_s: int | None
    overlap: Overlap
    windows: list[dict[str, Any]]
    blackouts: list[dict[str, Any]]
    on_delete: OnDelete
    after_publish: AfterPublish
    move_to: str
    limits: LimitsOut
    max_attempts: int
    pause_after_failures: int | None
    enabled: bool
    is_default: bool = Field(description="Kept by the connector's auto_sync.")
    paused_at: datetime | None
    paused_reason: str
    next_run_at: datetime | None
    next_fires: list[datetime]
    last_run_at: datetime | None
    last_error: str
    average_duration_s: float | None
    created_at: datetime
    updated_at: datetime


class JobPage(Told):
    items: list[JobOut]
    next: str | None


class JobStatus(JobOut):
    running: bool
    current: RecordOut | None = Field(description="The record that runs, or else waits.")
    latest: RecordOut | None = Field(description="The one that was queued last.")


def write_calendar(given: dict[str, Any]) -> None:
    """Its windows and blackouts as the YAML has them: `from`, which Python has for itself, and no null."""
    for item in [*(given.get("windows") or []), *(given.get("blackouts") or [])]:
        if "from_" in item:
            item["from"] = item.pop("from_")
        for name in [name for name, value in item.items() if value is None]:
            del item[name]


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}
