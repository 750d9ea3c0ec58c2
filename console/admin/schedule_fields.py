"""A schedule as fields that a person fills in, to and from its written form."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import time
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold import widgets

from syncjobs.core.schedules import WEEKDAYS, InvalidSchedule, parse_schedule

FORMS = [
    ("manual", "by hand only"),
    ("every", "every so often"),
    ("hourly", "hourly"),
    ("daily", "daily"),
    ("weekly", "weekly"),
    ("cron", "cron expression"),
]
UNITS = {1: "seconds", 60: "minutes", 3_600: "hours", 86_400: "days"}
NAMES = (
    "schedule_form",
    "every_count",
    "every_unit",
    "cron",
    "minute",
    "weekday",
    "at",
    "timezone",
)
# In the words of the page's script: which fields belong to which form.
SHOWN = {
    "every_count": "schedule_form == 'every'",
    "every_unit": "schedule_form == 'every'",
    "cron": "schedule_form == 'cron'",
    "minute": "schedule_form == 'hourly'",
    "weekday": "schedule_form == 'weekly'",
    "at": "['daily', 'weekly'].includes(schedule_form)",
    "timezone": "['hourly', 'daily', 'weekly', 'cron'].includes(schedule_form)",
}


class ZoneInput(widgets.UnfoldAdminTextInputWidget):  # type: ignore[misc]  # unfold has no types
    """A text field that offers the IANA zones as one types."""

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        field = super().render(name, value, {**(attrs or {}), "list": "zones"}, renderer)
        zones = format_html_join(
            "", '<option value="{}">', ((z,) for z in sorted(available_timezones()))
        )
        return format_html('{}<datalist id="zones">{}</datalist>', field, zones)


class ScheduleFields(forms.Form):
    """Mixed into a form; `read_schedule` fills it, `write_schedule` gives the written form back."""

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

    def write_schedule(self) -> dict[str, Any] | None:
        """None where something is wrong; it then stands beside its field."""
        try:
            written = self._written(self.cleaned_data)
            parse_schedule(written)
        except InvalidSchedule as exc:
            text = str(exc)
            field = (
                "timezone" if "time zone" in text else _FAULTS.get(self._form(), "schedule_form")
            )
            self.add_error(field, f"{text[:1].upper()}{text[1:]}.")
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
            return {"every_s": data["every_count"] * int(data.get("every_unit") or 1)}
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


_FAULTS = {
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
        "minute": 0,
        "weekday": WEEKDAYS[0],
        "at": "02:00",
        "timezone": written.get("timezone", "UTC"),
    }
    if "every_s" in written:
        seconds = int(written["every_s"])
        unit = max(length for length in UNITS if seconds % length == 0)
        values |= {"schedule_form": "every", "every_count": seconds // unit, "every_unit": unit}
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
