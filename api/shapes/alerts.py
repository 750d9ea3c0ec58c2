"""Alerts as JSON: the rules that look for them, the channels that tell them, and how each stands."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, StrictBool, StrictStr, create_model

from alerts.configuration.channels import CHANNEL_FIELDS
from alerts.configuration.rules import CHANNELS_MAX, RULE_FIELDS, names_of_channels
from alerts.configuration.silences import REASON_MAX
from alerts.core.channel_urls import LENGTH_MAX, SCHEMES
from alerts.core.parameters import PARAMETERS, RuleParameter
from alerts.core.quiet_hours import QUIET_PATTERN
from alerts.core.words import AlertState, ChannelState, RuleKind, Severity, SubjectKind
from alerts.models import Alert, AlertChannel, AlertRule
from api.shapes.answers import Told
from api.shapes.fields import EXACT, Moment
from api.shapes.jobs import BodyShape, Fact, Name, Text

_Named = Annotated[Text, Field(min_length=1)]
_PARAMS = "params"


def _taken_number(parameter: RuleParameter) -> Any:
    made: Any = Annotated  # for the type checker, which knows no types that are made
    bounds = Field(ge=parameter.least, le=parameter.most, strict=not parameter.is_whole)
    kind = made[(int, bounds, EXACT)] if parameter.is_whole else made[(float, bounds)]
    return (kind | None, Field(None, description=parameter.about))


if TYPE_CHECKING:
    ParamsIn = BodyShape
else:
    ParamsIn = create_model(
        "ParamsIn",
        __base__=BodyShape,
        __module__=__name__,
        **{one.name: _taken_number(one) for one in PARAMETERS.values()},
    )


class RuleChange(BodyShape):
    """What is left out stays as it is; null stands for the default. A scope that is given takes the place of another."""

    name: Name | None = None
    kind: RuleKind | None = None
    severity: Severity | None = Field(None, description="New: warning.")
    enabled: StrictBool | None = None
    job: _Named | None = Field(None, description="A job's id or name.")
    connector: _Named | None = Field(None, description="A connector's id or name.")
    stream: _Named | None = Field(None, description="A stream's id or name.")
    tag: Annotated[_Named, Field(max_length=100)] | None = Field(
        None, description="Of the jobs that it looks at."
    )
    channels: Annotated[list[_Named], Field(max_length=CHANNELS_MAX)] | None = Field(
        None, description="Names or ids; empty: all channels whose `min_severity` admits it."
    )
    params: ParamsIn | None = Field(None, description="Those of the kind.")

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it: parameters stand beside the other fields."""
        given = self.model_dump(mode="json", exclude_unset=True)
        written = {name: given[name] for name in given if name in RULE_FIELDS}
        for name in ("name", "kind"):
            if written.get(name, "") is None:
                del written[name]
        if _PARAMS in given:
            written |= dict.fromkeys(PARAMETERS) if given[_PARAMS] is None else given[_PARAMS]
        return written


class RuleNew(RuleChange):
    """A rule needs a name and a kind."""

    name: Name
    kind: RuleKind


class RuleReplacement(RuleNew):
    """What else an answer tells is taken too, without effect: a program may send what it has read."""

    id: Fact = None
    firing: Fact = None
    created_at: Fact = None
    updated_at: Fact = None


class RuleOut(Told):
    id: uuid.UUID
    name: str
    kind: RuleKind
    severity: Severity
    enabled: bool
    job: str | None = Field(description="Its name.")
    connector: str | None = Field(description="Its name.")
    stream: str | None = Field(description="Its name.")
    tag: str | None
    channels: list[str] = Field(
        description="Names; empty: all channels whose `min_severity` admits it."
    )
    params: dict[str, int | float | None]
    firing: int = Field(description="How many of its alerts fire now.")
    created_at: datetime
    updated_at: datetime


class RulePage(Told):
    items: list[RuleOut]
    next: str | None


_Group = Annotated[int, Field(ge=0, le=3600), EXACT]
_Hourly = Annotated[int, Field(ge=1, le=1000), EXACT]
_Url = Annotated[StrictStr, Field(min_length=1, max_length=LENGTH_MAX, pattern=r"^[^\x00]*$")]
_Quiet = Annotated[StrictStr, Field(max_length=11, pattern=f"^$|{QUIET_PATTERN}")]


class ChannelChange(BodyShape):
    """What is left out stays as it is; null stands for the default."""

    name: Name | None = None
    url: _Url | None = Field(
        None, description=f"Never answered. Its scheme is one of {', '.join(SCHEMES)}."
    )
    min_severity: Severity | None = Field(None, description="Alerts below it are not told.")
    quiet_hours: _Quiet | None = Field(
        None, description='On the clock of `timezone`, such as "22:00-07:00"; empty: none.'
    )
    timezone: Annotated[Text, Field(max_length=60)] | None = Field(
        None, description="An IANA zone; new: UTC."
    )
    breaks_quiet: Severity | None = Field(
        None, description="Alerts from it on are told in quiet hours too."
    )
    group_s: _Group | None = Field(None, description="So long alerts wait for others.")
    most_per_hour: _Hourly | None = Field(None, description="Messages; the rest is a digest.")
    enabled: StrictBool | None = None

    def written(self) -> dict[str, Any]:
        """What was given, without what an answer tells beside it."""
        given = self.model_dump(mode="json", exclude_unset=True)
        return {
            name: given[name]
            for name in given
            if name in CHANNEL_FIELDS and (given[name] is not None or name not in ("name", "url"))
        }


class ChannelNew(ChannelChange):
    """A channel needs a name and a URL."""

    name: Name
    url: _Url


class ChannelReplacement(ChannelChange):
    """The URL stays where it is left out, because no answer has it. What else an answer tells is taken too, without
    effect."""

    name: Name
    id: Fact = None
    scheme: Fact = None
    shown_url: Fact = None
    state: Fact = None
    broken_since: Fact = None
    last_result: Fact = None
    last_delivery_at: Fact = None


class ChannelOut(Told):
    id: uuid.UUID
    name: str
    scheme: str
    shown_url: str = Field(description="Scheme and host: the rest of the URL is secret.")
    min_severity: Severity
    quiet_hours: str
    timezone: str
    breaks_quiet: Severity
    group_s: int
    most_per_hour: int
    enabled: bool
    state: ChannelState
    broken_since: datetime | None
    last_result: str
    last_delivery_at: datetime | None


class ChannelPage(Told):
    items: list[ChannelOut]
    next: str | None


class ChannelTestOut(Told):
    delivered: bool
    code: str = Field(description="What kind of failure it was; empty: it was delivered.")
    detail: str
    took_s: float
    delivery: uuid.UUID = Field(description="The key that the message carries.")


class SubjectOut(Told):
    kind: SubjectKind
    id: uuid.UUID
    name: str = Field(description="As it was when the alert last moved.")


class AlertOut(Told):
    id: uuid.UUID
    rule: str = Field(description="The rule's name.")
    rule_id: uuid.UUID
    kind: RuleKind
    severity: Severity
    state: AlertState
    subject: SubjectOut
    detail: str
    record_id: uuid.UUID | None
    error_code: str
    occurrences: int = Field(description="How often it was bad since it opened.")
    flapping: bool = Field(description="It changes often: messages wait until it is steady.")
    opened_at: datetime
    last_seen_at: datetime | None
    resolved_at: datetime | None
    silenced_until: datetime | None
    silenced_by: str
    url: str = Field(description="The console's page of what is wrong.")


class AlertPage(Told):
    items: list[AlertOut]
    next: str | None


class SilenceIn(BodyShape):
    until: Moment | None = Field(description="null: the silence ends now.")
    reason: Annotated[Text, Field(max_length=REASON_MAX)] = ""


_SCOPE_ROWS = ("job", "connector", "stream")


def tell_rule(rule: AlertRule) -> dict[str, Any]:
    """As `RuleOut` has it. The rule comes from `rules_of`."""
    told = {name: getattr(rule, name) for name in RuleOut.model_fields if name not in _SCOPE_ROWS}
    for name in _SCOPE_ROWS:
        row = getattr(rule, name)
        told[name] = None if row is None else row.name
    return told | {"tag": rule.tag or None, "channels": names_of_channels(rule)}


def tell_channel(channel: AlertChannel) -> dict[str, Any]:
    """As `ChannelOut` has it."""
    return {name: getattr(channel, name) for name in ChannelOut.model_fields}


def tell_alert(alert: Any, url: str) -> dict[str, Any]:
    """As `AlertOut` has it. The alert comes from `alerts_of`."""
    row: Alert = alert
    is_silent = bool(alert.is_silent)
    return {
        "id": row.pk,
        "rule": row.rule.name,
        "rule_id": row.rule_id,
        "kind": row.kind or row.rule.kind,
        "severity": row.severity,
        "state": alert.state_now,
        "subject": {"kind": row.subject_kind, "id": row.subject_id, "name": row.subject_name},
        "detail": row.detail,
        "record_id": row.record_id,
        "error_code": row.error_code,
        "occurrences": row.occurrences,
        "flapping": row.flapping,
        "opened_at": row.opened_at,
        "last_seen_at": row.last_seen_at,
        "resolved_at": row.resolved_at,
        "silenced_until": row.silenced_until if is_silent else None,
        "silenced_by": row.silenced_by if is_silent else "",
        "url": url,
    }
