"""Describes for people when a job runs: the schedule in words, and its next fires."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from console.labels import clock, moment
from syncjobs.models import SyncJob
from syncjobs.queries.fires import (
    describe_fire,
    describe_rules,
    describe_schedule,
    find_opening,
    may_begin,
)

FIRES_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Fire:
    at: datetime
    local: str
    opens_at: datetime | None  # when the windows let it begin; None: at once, or never
    never: bool


@dataclass(frozen=True, slots=True)
class SchedulePreview:
    words: str
    rules: list[str]
    fires: list[Fire]
    note: str = ""

    def markup(self) -> SafeString:
        return format_html(
            '<div class="sp-plan"><b>{}</b>{}{}{}</div>',
            self.words,
            _listed("sp-rules", "ul", [format_html("{}", rule) for rule in self.rules]),
            format_html("<p>{}</p>", self.note) if self.note else "",
            _listed("sp-fires", "ol", [_fire(fire) for fire in self.fires]),
        )


def plan_of(job: SyncJob, fires: list[datetime], note: str = "") -> SchedulePreview:
    return SchedulePreview(
        describe_schedule(job), describe_rules(job), [_look_at(job, at) for at in fires], note
    )


def _look_at(job: SyncJob, at: datetime) -> Fire:
    opens_at = find_opening(job, at)
    never = opens_at is None and not may_begin(job, at)
    return Fire(at, describe_fire(job, at), opens_at, never)


def _fire(fire: Fire) -> SafeString:
    waits: SafeString | str = ""
    if fire.opens_at is not None:
        words = clock(fire.opens_at)
        waits = format_html(' <em class="sp-reason">waits for its window, {}</em>', words)
    elif fire.never:
        waits = format_html(' <em class="sp-late">{}</em>', "no window for it within a year")
    return format_html("{} <i>{}</i>{}", fire.local, moment(fire.at), waits)


def _listed(kind: str, tag: str, items: list[SafeString]) -> SafeString | str:
    if not items:
        return ""
    return format_html(
        "<{0} class='{1}'>{2}</{0}>",
        tag,
        kind,
        format_html_join("", "<li>{}</li>", ((i,) for i in items)),
    )
