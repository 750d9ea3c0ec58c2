"""A schedule as fields that a person fills in, to and from its written form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import TYPE_CHECKING, Any
from zoneinfo import available_timezones

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold import widgets

from console.admin.forms import NamesField
from console.admin.option_fields import OptionForm, declare, names_in
from syncjobs.order.job import OPTIONS
from syncjobs.order.option import Option
from syncjobs.order.timing import GROUP as SCHEDULE
from timing.schedules import (
    WEEKDAYS,
    Condition,
    CountedFrom,
    InvalidSchedule,
    parse_schedule,
)

FORMS = [
    ("manual", "by hand only"),
    ("every", "every so often"),
    ("hourly", "hourly"),
    ("daily", "daily"),
    ("weekly", "weekly"),
    ("cron", "cron expression"),
    ("after", "after other jobs"),
]
UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days"}
KIND = (
    "schedule_form",
    "every_count",
    "every_unit",
    "every_from",
    "cron",
    "minute",
    "weekday",
    "at",
    "timezone",
    "after_jobs",
    "after_condition",
)
RULES = tuple(names_in(SCHEDULE))
_CLOCKED = "['every', 'hourly', 'daily', 'weekly', 'cron'].includes(schedule_form)"
# In the words of the page's script: which fields belong to which form.
SHOWN = {
    "every_count": "schedule_form == 'every'",
    "every_unit": "schedule_form == 'every'",
    "every_from": "schedule_form == 'every'",
    "cron": "schedule_form == 'cron'",
    "minute": "schedule_form == 'hourly'",
    "weekday": "schedule_form == 'weekly'",
    "at": "['daily', 'weekly'].includes(schedule_form)",
    "timezone": "['hourly', 'daily', 'weekly', 'cron'].includes(schedule_form)",
    "after_jobs": "schedule_form == 'after'",
    "after_condition": "schedule_form == 'after'",
}


def _shown_with(option: Option) -> str:
    """The same of an option; empty: it is always shown."""
    other = "{} == '{}'".format(*option.about.only_with) if option.about.only_with else ""
    return " && ".join(filter(None, [other, _CLOCKED if option.about.clocked else ""]))


SHOWN |= {name: words for name, option in OPTIONS.items() if (words := _shown_with(option))}


class ZoneInput(widgets.UnfoldAdminTextInputWidget):  # type: ignore[misc]  # unfold has no types
    """A text field that offers the IANA zones as one types."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        field = super().render(name, value, {**(attrs or {}), "list": "zones"}, renderer)
        zones = format_html_join(
            "", '<option value="{}">', ((z,) for z in sorted(available_timezones()))
        )
        return format_html('{}<datalist id="zones">{}</datalist>', field, zones)


if TYPE_CHECKING:
    RuleFields = OptionForm
else:
    RuleFields = declare([SCHEDULE])


class ScheduleFields(RuleFields):
    """A mix-in for forms: `read_schedule` fills it, `write_schedule` gives the written form back."""

    schedule_form = forms.ChoiceField(
        label="Runs", choices=FORMS, widget=widgets.UnfoldAdminSelectWidget()
    )
    every_count = forms.IntegerField(
        label="Every", required=False, min_value=1, widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    every_unit = forms.TypedChoiceField(
        label="Unit",
        required=False,
        coerce=int,
        choices=list(UNITS.items()),
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    every_from = forms.ChoiceField(
        label="Counted from",
        required=False,
        choices=[
            (CountedFrom.START, "the last start: a fixed beat"),
            (CountedFrom.END, "the end of its last record: always the same rest"),
        ],
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    cron = forms.CharField(
        label="Cron expression",
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget({"class": "sp-code", "placeholder": "0 2 * * *"}),
        help_text="minute, hour, day of the month, month, day of the week",
    )
    minute = forms.IntegerField(
        label="At minute",
        required=False,
        min_value=0,
        max_value=59,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
    )
    weekday = forms.ChoiceField(
        label="On",
        required=False,
        choices=[(day, day.title()) for day in WEEKDAYS],
        widget=widgets.UnfoldAdminSelectWidget(),
    )
    at = forms.TimeField(
        label="At",
        required=False,
        widget=widgets.UnfoldAdminTextInputWidget({"type": "time"}),
        input_formats=["%H:%M", "%H:%M:%S"],
    )
    timezone = forms.CharField(
        label="Time zone",
        required=False,
        widget=ZoneInput(),
        help_text="such as Europe/Berlin; empty: UTC",
    )

    after_jobs = NamesField(label="After these jobs", help_text="Type a part of a name.")
    after_condition = forms.ChoiceField(
        label="When",
        required=False,
        choices=[
            (Condition.ALL_SUCCEEDED, "all have succeeded"),
            (Condition.ANY_FINISHED, "any of them has ended, however it did"),
        ],
        widget=widgets.UnfoldAdminSelectWidget(),
    )

    def write_schedule(self) -> dict[str, Any] | None:
        """Returns None if something is wrong; it then stands beside its field."""
        try:
            written = self._written(self.cleaned_data)
            parse_schedule(written)
        except InvalidSchedule as exc:
            text = str(exc)
            field = (
                "timezone" if "time zone" in text else _FAULTS.get(self._form(), "schedule_form")
            )
            self.add_error(field, capfirst(f"{text}."))
            return None
        return written

    def _form(self) -> str:
        return str(self.cleaned_data.get("schedule_form") or "manual")

    def _written(self, data: Mapping[str, Any]) -> dict[str, Any]:
        form = self._form()
        zone = {"timezone": data.get("timezone") or "UTC"}
        if form == "manual":
            return {}
        if form == "every":
            if not data.get("every_count"):
                raise InvalidSchedule("say every how many")
            written = {"every_s": data["every_count"] * int(data.get("every_unit") or 1)}
            from_end = data.get("every_from") == CountedFrom.END
            return written | ({"counted_from": str(CountedFrom.END)} if from_end else {})
        if form == "after":
            return _after(data)
        if form == "cron":
            if not data.get("cron"):
                raise InvalidSchedule("give the cron expression")
            return {"cron": data["cron"], **zone}
        if form == "hourly":
            return {"frequency": form, "time": f"00:{data.get('minute') or 0:02}", **zone}
        at = data.get("at") or time(2)
        written = {"frequency": form, "time": f"{at:%H:%M}", **zone}
        return (
            {**written, "weekday": data.get("weekday") or WEEKDAYS[0]}
            if form == "weekly"
            else written
        )


def _after(data: Mapping[str, Any]) -> dict[str, Any]:
    if not data.get("after_jobs"):
        raise InvalidSchedule("say which jobs")
    any_finished = data.get("after_condition") == Condition.ANY_FINISHED
    condition = {"condition": str(Condition.ANY_FINISHED)} if any_finished else {}
    return {"after": data["after_jobs"]} | condition


_FAULTS = {
    "after": "after_jobs",
    "every": "every_count",
    "cron": "cron",
    "daily": "at",
    "weekly": "at",
    "hourly": "minute",
}


def read_schedule(written: Mapping[str, Any]) -> dict[str, Any]:
    """The fields' first values."""
    values: dict[str, Any] = {
        "schedule_form": "manual",
        "every_count": 15,
        "every_unit": 60,
        "every_from": CountedFrom(written.get("counted_from", CountedFrom.START)).value,
        "after_jobs": [],
        "after_condition": Condition(written.get("condition", Condition.ALL_SUCCEEDED)).value,
        "minute": 0,
        "weekday": WEEKDAYS[0],
        "at": "02:00",
        "timezone": written.get("timezone", "UTC"),
    }
    if "every_s" in written:
        seconds = int(written["every_s"])
        unit = max(length for length in UNITS if seconds % length == 0)
        values |= {"schedule_form": "every", "every_count": seconds // unit, "every_unit": unit}
    elif "after" in written:
        values |= {"schedule_form": "after", "after_jobs": list(written["after"])}
    elif "cron" in written:
        values |= {"schedule_form": "cron", "cron": written["cron"]}
    elif "frequency" in written:
        at = str(written.get("time", "02:00"))
        values |= {
            "schedule_form": written["frequency"],
            "at": at,
            "minute": int(at[3:5] or 0),
            "weekday": str(written.get("weekday", "sunday")).lower(),
        }
    return values


def same_schedule(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both say the same, however they are written: the fires of an unchanged one stay."""
    try:
        return parse_schedule(one) == parse_schedule(other)
    except InvalidSchedule:
        return False
