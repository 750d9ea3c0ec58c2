"""A sync job as JSON: the words of the YAML, and what became of it. The shapes are made from the options of a job."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    create_model,
)

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.records import RecordOut
from syncjobs.models import SyncJob
from syncjobs.order.describing import describe, describe_default, describe_null
from syncjobs.order.job import OPTIONS
from syncjobs.order.option import CHARACTERS_MAX, ITEMS_MAX, Form, Option
from syncjobs.order.writing import write_order
from syncjobs.queries.fires import describe_schedule, find_fires
from syncjobs.queries.job_facts import JobFacts
from timing.schedules import Condition, CountedFrom

Text = Annotated[StrictStr, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Name = Annotated[
    StrictStr,
    Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9._-])?$"
    ),
]
# What an answer tells, where a body may have it too, without effect.
Fact = Annotated[
    StrictStr | StrictBool | StrictInt | StrictFloat | list[StrictStr] | None,
    Field(description="Without effect."),
]
Instant = Annotated[Text, Field(json_schema_extra={"format": "date-time"})]
Count = Annotated[int, Field(ge=1, le=9_223_372_036_854_775_807), EXACT]


class BodyShape(Told):
    """What a client sends: these fields, and nothing else is taken."""

    model_config = ConfigDict(extra="forbid")


class ScheduleIn(BodyShape):
    """One of `cron`, `every_s`, `frequency` and `after`; empty: by hand only."""

    cron: Text | None = Field(None, examples=["0 2 * * *"])
    timezone: Text | None = Field(None, description="An IANA zone; without: UTC.")
    every_s: Annotated[int, Field(ge=1, le=31_536_000), EXACT] | None = None
    counted_from: CountedFrom | None = None
    frequency: Literal["hourly", "daily", "weekly"] | None = None
    time: Text | None = Field(None, examples=["02:00"])
    weekday: Text | None = None
    after: Annotated[list[Name], Field(min_length=1, max_length=100)] | None = None
    condition: Condition | None = None


class WindowIn(BodyShape):
    """A stretch of each of these weekdays; `to` at or before `from` lies on the next day."""

    days: Annotated[list[Text], Field(min_length=1, max_length=7)] | None = Field(
        None, examples=[["mon", "tue"]]
    )
    from_: Text = Field(alias="from", examples=["22:00"])
    to: Text = Field(examples=["06:00"])
    timezone: Text | None = None


class PeriodIn(BodyShape):
    since: Instant
    until: Instant
    reason: Text | None = None


def _taken(option: Option) -> Any:
    """The type of an option in a body."""
    about = option.about
    text = _annotated(Text, Field(max_length=about.most or CHARACTERS_MAX))
    match option.form:
        case Form.TEXT:
            return Name if option.name == "name" else text
        case Form.TEXTS:
            return _annotated(_LIST[text], Field(max_length=ITEMS_MAX))
        case Form.WHOLE:
            return _annotated(int, Field(ge=about.least, le=about.most), EXACT)
        case form:
            return _TAKEN.get(form) or type(option.choices[0])


def _annotated(kind: Any, *more: Any) -> Any:
    made: Any = Annotated  # for the type checker, which knows no types that are made
    return made[(kind, *more)]


_LIST: Any = list
_TAKEN: dict[Form, Any] = {
    Form.FLAG: StrictBool,
    Form.SCHEDULE: ScheduleIn,
    Form.WINDOWS: list[WindowIn],
    Form.BLACKOUTS: list[WindowIn | PeriodIn],
}


def _answered(option: Option) -> Any:
    """The type of an option in an answer, where it was checked when it was saved."""
    kind = _ANSWERED.get(option.form) or type(option.choices[0])
    return kind | None if option.nullable else kind


_ANSWERED: dict[Form, Any] = {
    Form.TEXT: str,
    Form.WHOLE: int,
    Form.FLAG: bool,
    Form.TEXTS: list[str],
    Form.SCHEDULE: dict[str, Any],
    Form.WINDOWS: list[dict[str, Any]],
    Form.BLACKOUTS: list[dict[str, Any]],
}


def _explain(option: Option) -> str:
    """Explains a field of a body: also what null means, and the default of a new job."""
    told = [describe(option)]
    if default := describe_default(option):
        told.append(f"New: {default}.")
    if (null := describe_null(option)) not in ("", "the default"):
        told.append(f"null: {null}.")
    if alias := ALIASES.get(option.name):
        told.append(f"`{alias}` is another name of it.")
    return " ".join(told)


def _written_field(option: Option) -> Any:
    alias = ALIASES.get(option.name)
    names = AliasChoices(option.name, alias) if alias else None
    kind = _taken(option)
    field = Field(None, description=_explain(option), validation_alias=names)
    return (kind if option.required else kind | None, field)


def _shape(
    name: str, base: type[BaseModel], field_of: Callable[[Option], Any], *, required: bool
) -> Any:
    """A shape that has each option of a job where the written form has it."""
    places: dict[str, dict[str, Any]] = {}
    for option in OPTIONS.values():
        places.setdefault(option.about.within, {})[option.name] = field_of(option)
    fields = places.pop("")
    for within, inner in places.items():
        title = f"{within.title()}{name}"
        shape = create_model(title, __base__=base, __module__=__name__, **inner)
        fields[within] = (shape, ...) if required else (shape | None, None)
    return create_model(f"Options{name}", __base__=base, __module__=__name__, **fields)


# Bodies may have these names in place of ours: docs/rest.md.
ALIASES = {"connector": "dataSourceId", "sync_mode": "syncMode"}

if TYPE_CHECKING:
    OptionsIn = BodyShape
    OptionsOut = Told
else:
    OptionsIn = _shape("In", BodyShape, _written_field, required=False)
    OptionsOut = _shape(
        "Out",
        Told,
        lambda option: (_answered(option), Field(description=describe(option))),
        required=True,
    )


class JobChange(OptionsIn):
    """What is left out stays as it is; null gives the default back."""

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it."""
        given: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        for name in _WITHOUT_EFFECT:
            given.pop(name, None)
        if given.get("schedule"):
            given["schedule"] = _without_null(given["schedule"])
        write_calendar(given)
        return given


class JobNew(JobChange):
    name: Annotated[Name, Field(description=_explain(OPTIONS["name"]))]
    connector: Annotated[
        Text,
        Field(
            description=f"The connector's name or id. {_explain(OPTIONS['connector'])}",
            validation_alias=AliasChoices("connector", ALIASES["connector"]),
        ),
    ]
    destination_database_id: Text | None = Field(
        None,
        description="Accepted without effect: a sync job has a dataset of its own, which the answer names.",
        alias="destinationDatabaseId",
    )


class RunIn(BodyShape):
    full: StrictBool = Field(False, description="Trust no metadata: compare every content.")


class JobOut(OptionsOut):
    """A standing order."""

    id: uuid.UUID
    connector_id: uuid.UUID
    dataset: str
    dataset_id: uuid.UUID
    dataset_version: int | None
    schedule_words: str
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


JOB_FACTS = tuple(name for name in JobOut.model_fields if name not in OptionsOut.model_fields)
_WITHOUT_EFFECT = ("destination_database_id", *JOB_FACTS)

if TYPE_CHECKING:
    JobReplacement = JobNew
else:
    JobReplacement = create_model(
        "JobReplacement",
        __base__=JobNew,
        __module__=__name__,
        __doc__="What is left out gets its default. What else an answer tells is taken too, without effect: a program"
        " may send what it has read.",
        **dict.fromkeys(JOB_FACTS, (Fact, None)),
    )


class JobPage(Told):
    items: list[JobOut]
    next: str | None


class JobStatus(JobOut):
    running: bool
    current: RecordOut | None = Field(description="The record that runs, or else waits.")
    latest: RecordOut | None = Field(description="The one that was queued last.")


def write_calendar(given: dict[str, Any]) -> None:
    """Writes windows and blackouts as the YAML has them: `from`, which Python has for itself, and no null."""
    for item in [*(given.get("windows") or []), *(given.get("blackouts") or [])]:
        if "from_" in item:
            item["from"] = item.pop("from_")
        for name in [name for name, value in item.items() if value is None]:
            del item[name]


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


# What an answer tells beside the options, and a row has under the same name.
_STORED = [name for name in JOB_FACTS if hasattr(SyncJob, name) and name != "dataset"]


def tell_job_row(job: SyncJob, facts: JobFacts, now: datetime) -> dict[str, Any]:
    return {
        **{name: getattr(job, name) for name in _STORED},
        **write_order(job.order),
        "dataset": job.dataset.name,
        "dataset_version": facts.version,
        "schedule_words": describe_schedule(job),
        "next_fires": find_fires(job, now=now),
        "average_duration_s": facts.average_s,
    }
