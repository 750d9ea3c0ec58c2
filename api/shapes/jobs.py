"""A sync job as JSON: the words of the YAML, and what became of it. The shapes are made from the options of a job."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    Tag,
    WithJsonSchema,
    create_model,
    model_validator,
)

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.records import RecordOut
from farends.spec import FILES, ROWS
from syncjobs.models import SyncJob
from syncjobs.order.describing import describe, describe_default, describe_null, describe_owner
from syncjobs.order.job import OPTIONS, belongs_to
from syncjobs.order.option import CHARACTERS_MAX, ITEMS_MAX, Form, Option
from syncjobs.order.writing import write_order
from syncjobs.queries.fires import describe_schedule, find_fires
from syncjobs.queries.job_facts import JobFacts, load_facts
from timing.clock import database_now
from timing.schedules import Condition, CountedFrom
from timing.windows import WINDOWS_MAX

Text = Annotated[StrictStr, Field(max_length=1000, pattern=r"^[^\x00]*$")]
Name = Annotated[
    StrictStr,
    Field(
        min_length=1, max_length=100, pattern=r"^[A-Za-z0-9](?:[A-Za-z0-9 ._-]*[A-Za-z0-9._-])?$"
    ),
]
# What an answer tells, where a body may have it too, without effect.
_FACT_MAX = 9_000_000_000_000_000_000
_FactText = Annotated[StrictStr, Field(max_length=100_000)]
Fact = Annotated[
    _FactText
    | StrictBool
    | Annotated[StrictInt, Field(ge=-_FACT_MAX, le=_FACT_MAX)]
    | Annotated[StrictFloat, Field(ge=-_FACT_MAX, le=_FACT_MAX)]
    | Annotated[list[_FactText], Field(max_length=1_000)]
    | None,
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


WindowsIn = Annotated[list[WindowIn], Field(max_length=WINDOWS_MAX)]
BlackoutsIn = Annotated[list[WindowIn | PeriodIn], Field(max_length=WINDOWS_MAX)]


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
        case Form.NUMBER:
            return _annotated(float, Field(strict=True, ge=about.least, le=about.most))
        case Form.STRUCTURE:
            return _shown_as(option)
        case form:
            return _TAKEN.get(form) or type(option.choices[0])


def _shown_as(option: Option) -> Any:
    """A value that its structure describes in the document. What does not fit is refused by saving, which knows the
    place and better words."""
    structure = option.about.structure
    return _annotated(Any, WithJsonSchema(structure.schema if structure else {}))


def _annotated(kind: Any, *more: Any) -> Any:
    made: Any = Annotated  # for the type checker, which knows no types that are made
    return made[(kind, *more)]


_LIST: Any = list
_TAKEN: dict[Form, Any] = {
    Form.FLAG: StrictBool,
    Form.SCHEDULE: ScheduleIn,
    Form.WINDOWS: WindowsIn,
    Form.BLACKOUTS: BlackoutsIn,
}


def _answered(option: Option) -> Any:
    """The type of an option in an answer, where it was checked when it was saved."""
    if option.form is Form.STRUCTURE:
        shown = _shown_as(option)
        return shown | None if option.nullable else shown
    kind = _ANSWERED.get(option.form) or type(option.choices[0])
    return kind | None if option.nullable else kind


_ANSWERED: dict[Form, Any] = {
    Form.TEXT: str,
    Form.WHOLE: int,
    Form.NUMBER: float,
    Form.FLAG: bool,
    Form.TEXTS: list[str],
    Form.SCHEDULE: dict[str, Any],
    Form.WINDOWS: list[dict[str, Any]],
    Form.BLACKOUTS: list[dict[str, Any]],
}


def _explain(option: Option) -> str:
    """Explains a field of a body: also what null means, and the default of a new job."""
    told = [describe(option), describe_owner(option)]
    if default := describe_default(option):
        told.append(f"New: {default}.")
    if (null := describe_null(option)) not in ("", "the default"):
        told.append(f"null: {null}.")
    if alias := ALIASES.get(option.name):
        told.append(f"`{alias}` is another name of it.")
    return " ".join(filter(None, told))


def _written_field(option: Option) -> Any:
    alias = ALIASES.get(option.name)
    names = AliasChoices(option.name, alias) if alias else None
    kind = _taken(option)
    field = Field(None, description=_explain(option), validation_alias=names)
    return (kind if option.required else kind | None, field)


def _shape(
    name: str,
    base: type[BaseModel],
    field_of: Callable[[Option], Any],
    *,
    required: bool,
    options: Iterable[Option] = OPTIONS.values(),
) -> Any:
    """A shape that has each of these options of a job where the written form has it."""
    places: dict[str, dict[str, Any]] = {}
    for option in options:
        places.setdefault(option.about.within, {})[option.name] = field_of(option)
    fields = places.pop("")
    for within, inner in places.items():
        title = f"{within.title()}{name}"
        shape = create_model(title, __base__=base, __module__=__name__, **inner)
        fields[within] = (shape, ...) if required else (shape | None, None)
    return create_model(f"Options{name}", __base__=base, __module__=__name__, **fields)


# Bodies may have these names in place of ours: docs/rest.md.
ALIASES = {"connector": "dataSourceId", "sync_mode": "syncMode"}


def _answered_field(option: Option) -> Any:
    return (_answered(option), Field(description=describe(option)))


def _options_out(far_end: str) -> Any:
    """The options that a job has which syncs from such a far end."""
    return _shape(
        f"{far_end.title()}Out",
        Told,
        _answered_field,
        required=True,
        options=[option for option in OPTIONS.values() if belongs_to(option.name, far_end)],
    )


if TYPE_CHECKING:
    OptionsIn = BodyShape

    class FileOptionsOut(Told): ...

    class RowOptionsOut(Told): ...
else:
    OptionsIn = _shape("In", BodyShape, _written_field, required=False)
    FileOptionsOut, RowOptionsOut = _options_out(FILES), _options_out(ROWS)


class JobChange(OptionsIn):
    """What is left out stays as it is; null gives the default back."""

    destination_database_id: Text | None = Field(
        None,
        description="Another name of `destination.connector`: the name or id of a connector of kind sql that is"
        " writable. Without effect for a job of files, which has a dataset of its own.",
        alias="destinationDatabaseId",
    )
    entity_filter: Annotated[list[Text], Field(max_length=ITEMS_MAX)] | None = Field(
        None, description="Another name of `entities.include`.", alias="entityFilter"
    )

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it."""
        given: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        if given.get("connector", "") is None and isinstance(given.get("source_dataset"), str):
            given["connector"] = {"dataset": given["source_dataset"]}  # as an answer tells it
        for name in _WITHOUT_EFFECT:
            given.pop(name, None)
        if given.get("schedule"):
            given["schedule"] = _without_null(given["schedule"])
        write_calendar(given)
        if self.entity_filter is not None:
            given["entities"] = {"include": self.entity_filter}
        if self.destination_database_id is not None:
            given["destination"] = {"connector": self.destination_database_id}
        return given

    @property
    def passed_over(self) -> list[str]:
        """The options that a job of files may be given too, without effect: it has a dataset of its own, so that no
        database is its destination."""
        return ["destination"] if self.destination_database_id is not None else []

    @property
    def aliases(self) -> dict[str, str]:
        """By option, the seed's word by which it was given."""
        return {
            option: alias
            for name, (option, alias) in _SEED_WORDS.items()
            if getattr(self, name) is not None
        }

    @model_validator(mode="after")
    def _refuse_both(self) -> JobChange:
        for name, (option, alias) in _SEED_WORDS.items():
            if getattr(self, name) is not None and option in self.model_fields_set:
                raise ValueError(f"{alias} is another name of {option}: give one of them")
        return self


_SEED_WORDS = {
    "destination_database_id": ("destination", "destinationDatabaseId"),
    "entity_filter": ("entities", "entityFilter"),
}


def _need_source(value: Any) -> Any:
    """Raises ValueError, which is how a validator tells a body's fault."""
    if isinstance(value, str | dict):
        return value
    raise ValueError("a job syncs from a connector, given by name or id, or from {dataset: NAME}")


_SOURCE_FIELD: Any = Field(
    description=f"The connector's name or id. {_explain(OPTIONS['connector'])}",
    validation_alias=AliasChoices("connector", ALIASES["connector"]),
)
if TYPE_CHECKING:
    _Source = str | dict[str, Any]
else:
    _Source = _annotated(_taken(OPTIONS["connector"]), AfterValidator(_need_source))


class JobNew(JobChange):
    name: Annotated[Name, Field(description=_explain(OPTIONS["name"]))]
    connector: Annotated[_Source, _SOURCE_FIELD]


class RunIn(BodyShape):
    full: StrictBool = Field(False, description="Trust no metadata: compare every content.")


class ResyncIn(BodyShape):
    """Nothing is to be said."""


class JobFactsOut(Told):
    """What became of a job."""

    id: uuid.UUID
    connector_id: uuid.UUID | None
    dataset: str
    dataset_id: uuid.UUID
    dataset_version: int | None
    schedule_words: str
    is_default: bool = Field(description="Kept by the connector's auto_sync.")
    paused_at: datetime | None
    paused_reason: str
    next_run_at: datetime | None
    next_fires: list[datetime]
    last_run_at: datetime | None = Field(description="When a sync last ended, however it ended.")
    last_success_at: datetime | None = Field(description="When a sync last succeeded.")
    last_error: str = Field(description="Of the sync that ended last; empty: it succeeded.")
    average_duration_s: float | None
    tree_version: int | None = Field(
        description="What its current tree shows; null: it has none, or none that was ever whole."
    )
    tree_warning: str | None = Field(
        description="What its current tree lacks, or what a person had changed there; empty: nothing."
    )
    created_at: datetime
    updated_at: datetime


class FileJobOut(FileOptionsOut, JobFactsOut):
    """A standing order of a job of files."""

    connector: str = Field(description=_explain(OPTIONS["connector"]))


class RowJobOut(RowOptionsOut, JobFactsOut):
    """A standing order of a job of rows."""

    connector: str | None = Field(
        description=f"{_explain(OPTIONS['connector'])} null: it reads a dataset."
    )
    source_dataset: str | None = Field(description="The dataset of files that it reads, if any.")


class JobStatusFacts(Told):
    running: bool
    current: RecordOut | None = Field(description="The record that runs, or else waits.")
    latest: RecordOut | None = Field(description="The one that was queued last.")


class FileJobStatus(FileJobOut, JobStatusFacts):
    """A job of files, and what it does."""


class RowJobStatus(RowJobOut, JobStatusFacts):
    """A job of rows, and what it does."""


def _far_end_of(told: Any) -> str:
    is_of_rows = isinstance(told, RowJobOut) if isinstance(told, Told) else "source_dataset" in told
    return ROWS if is_of_rows else FILES


def _either(of_files: Any, of_rows: Any) -> Any:
    """An answer of one kind of job: which, its fields say."""
    made: Any = Annotated  # for the type checker, which knows no types that are made
    tagged = made[of_files, Tag(FILES)] | made[of_rows, Tag(ROWS)]
    return made[tagged, Discriminator(_far_end_of)]


if TYPE_CHECKING:
    JobOut = FileJobOut
    JobStatus = FileJobStatus
else:
    JobOut = _either(FileJobOut, RowJobOut)
    JobStatus = _either(FileJobStatus, RowJobStatus)

JOB_FACTS = (*JobFactsOut.model_fields, "source_dataset")
_WITHOUT_EFFECT = (*JOB_FACTS, "destination_database_id", "entity_filter")

if TYPE_CHECKING:
    JobReplacement = JobNew
else:
    JobReplacement = create_model(
        "JobReplacement",
        __base__=JobNew,
        __module__=__name__,
        __doc__="What is left out gets its default. What else an answer tells is taken too, without effect: a program"
        " may send what it has read.",
        connector=(
            _annotated(_Source | None, _SOURCE_FIELD),
            ...,
        ),  # null: `source_dataset` names it
        **dict.fromkeys(JOB_FACTS, (Fact, None)),
    )


class JobPage(Told):
    items: list[JobOut]
    next: str | None


def write_calendar(given: dict[str, Any]) -> None:
    """Writes windows and blackouts as the YAML has them: `from`, which Python has for itself, and no null."""
    for item in [*(given.get("windows") or []), *(given.get("blackouts") or [])]:
        if "from_" in item:
            item["from"] = item.pop("from_")
        for name in [name for name, value in item.items() if value is None]:
            del item[name]


def _without_null(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


EntityIn = _shown_as(OPTIONS["entity"])


# What an answer tells beside the options, and a row has under the same name.
_STORED = [
    name
    for name in JOB_FACTS
    if hasattr(SyncJob, name) and name not in ("dataset", "source_dataset")
]


def _tell_source(job: SyncJob) -> dict[str, Any]:
    dataset = job.source_dataset
    if dataset is None:
        return {"source_dataset": None}
    return {"source_dataset": dataset.name, "connector": None}


def tell_job(job: SyncJob) -> dict[str, Any]:
    """Fills `JobOut`."""
    return tell_jobs([job])[0]


def tell_jobs(jobs: Sequence[SyncJob]) -> list[dict[str, Any]]:
    """Fills `JobOut`; each job with its connector and dataset."""
    facts, now = load_facts(jobs, latest=False), database_now()
    return [_tell_job_row(job, facts.get(job.pk, JobFacts()), now) for job in jobs]


def _tell_job_row(job: SyncJob, facts: JobFacts, now: datetime) -> dict[str, Any]:
    far_end = job.far_end
    return {
        **{name: getattr(job, name) for name in _STORED},
        **write_order(job.order, keep=lambda option, value: belongs_to(option.name, far_end)),
        **(_tell_source(job) if far_end == ROWS else {}),
        "dataset": job.dataset.name,
        "dataset_version": facts.version,
        "schedule_words": describe_schedule(job),
        "next_fires": find_fires(job, now=now),
        "average_duration_s": facts.average_s,
        "tree_version": facts.tree_version,
        "tree_warning": facts.tree_warning,
    }
