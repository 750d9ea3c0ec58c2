"""Forms of rules and channels. What they hold is judged and written as REST and YAML do it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from django import forms
from django.db import transaction
from unfold import widgets

from alerts.configuration.channels import CHANNEL_FIELDS, write_channel
from alerts.configuration.refusals import AlertNameTaken, InvalidAlerting
from alerts.configuration.rules import RULE_FIELDS, write_rule
from alerts.configuration.silences import REASON_MAX
from alerts.core.parameters import FORMS, PARAMETERS, RuleScope
from alerts.core.words import RuleKind
from alerts.models import AlertChannel, AlertRule
from console.admin.forms import ScopedForm, secret_line

_SCOPES = (RuleScope.JOB, RuleScope.CONNECTOR, RuleScope.STREAM)
_HELP = {
    "tag": "The jobs that have it. A rule is limited to one of job, connector, stream and tag, or to none.",
    "channels": "None: all channels whose least severity admits the rule's.",
    "quiet_hours": "On the clock of the zone, such as 22:00-07:00. Empty: none.",
    "breaks_quiet": "Alerts from this severity on are told in quiet hours too.",
    "min_severity": "Alerts below it are not told here.",
    "group_s": "So long an alert waits for others, to be one message with them.",
    "most_per_hour": "Messages. What is more comes as one digest with counts.",
}


_LABELS = {
    "min_severity": "Least severity",
    "breaks_quiet": "Breaks quiet hours",
    "timezone": "Time zone",
    "group_s": "Group (s)",
    "most_per_hour": "Messages per hour, at most",
}


def _shown_with(name: str) -> str:
    kinds = ", ".join(f"'{kind}'" for kind in RuleKind if name in FORMS[kind].defaults)
    return f"[{kinds}].includes(kind)"


# In the words of Unfold's script: a figure is shown with the kinds of rules that have it.
FIGURES_SHOWN = {name: _shown_with(name) for name in PARAMETERS}


class WrittenForm(ScopedForm):
    """`given` is what the form says, in the words of the written form, once it is valid."""

    given: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, words in _HELP.items():
            if name in self.fields:  # a viewer has none
                self.fields[name].help_text = words
        for name, label in _LABELS.items():
            if name in self.fields:
                self.fields[name].label = label

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        workspace = self.cleaned_data.get("workspace") or getattr(self.instance, "workspace", None)
        if workspace is None or self.errors:
            return self.cleaned_data
        self.given = self.write_given()
        try:
            with transaction.atomic():  # as a trial: what is wrong stands beside its field
                self.write(self._make_row(workspace), self.given)
                transaction.set_rollback(True)
        except InvalidAlerting as exc:
            for name, words in exc.errors.items():
                if self.is_in_sight(name):
                    self.add_error(name, words)
                else:
                    self.add_error(None, [f"{name}: {word}" for word in words])
        except AlertNameTaken as exc:
            self.add_error("name", f"{exc}.")
        return self.cleaned_data

    def _make_row(self, workspace: Any) -> Any:
        kind = type(self.instance)
        return (
            kind(workspace=workspace) if self.instance._state.adding else kind(pk=self.instance.pk)
        )

    def is_in_sight(self, name: str) -> bool:
        """Whether a person sees what stands beside this field."""
        return name in self.fields

    def write_given(self) -> dict[str, Any]:
        raise NotImplementedError

    def write(self, row: Any, given: dict[str, Any]) -> object:
        raise NotImplementedError


class AlertRuleForm(WrittenForm):
    count = forms.IntegerField(required=False, widget=widgets.UnfoldAdminIntegerFieldWidget())
    factor = forms.FloatField(required=False, widget=widgets.UnfoldAdminDecimalFieldWidget())
    after_s = forms.IntegerField(
        required=False, label="After (s)", widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    percent = forms.FloatField(required=False, widget=widgets.UnfoldAdminDecimalFieldWidget())
    window_s = forms.IntegerField(
        required=False, label="Window (s)", widget=widgets.UnfoldAdminIntegerFieldWidget()
    )
    free_percent = forms.FloatField(required=False, widget=widgets.UnfoldAdminDecimalFieldWidget())

    class Meta:
        model = AlertRule
        fields = [
            "workspace", "name", "kind", "severity", "enabled", "job", "connector", "stream", "tag", "channels",
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, parameter in PARAMETERS.items():
            if name in self.fields:
                self.fields[name].help_text = parameter.about
                self.fields[name].initial = self.instance.params.get(name)

    def write_given(self) -> dict[str, Any]:
        given = {name: self.cleaned_data[name] for name in RULE_FIELDS if name in self.cleaned_data}
        for scope in _SCOPES:
            row = given.get(scope)
            given[scope] = None if row is None else str(row.pk)
        given["channels"] = [str(one.pk) for one in given.get("channels") or ()]
        # Figures of the kind that the rule had are passed over; others that do not fit are told.
        known = FORMS[RuleKind(given["kind"])].defaults
        return {
            name: value
            for name, value in given.items()
            if name not in PARAMETERS or name in known or name in self.changed_data
        }

    def is_in_sight(self, name: str) -> bool:
        known = FORMS[RuleKind(self.cleaned_data["kind"])].defaults
        return super().is_in_sight(name) and (name not in PARAMETERS or name in known)

    def write(self, row: AlertRule, given: dict[str, Any]) -> object:
        return write_rule(row, given)


_UNTIL = "until"
_SPANS = {"4h": timedelta(hours=4), "1d": timedelta(days=1), "3d": timedelta(days=3), "7d": timedelta(days=7)}  # fmt: skip


class SilenceForm(forms.Form):
    """`zone` is the one of the person's clock, which only the browser knows; without a script it is UTC."""

    until = forms.ChoiceField(
        choices=[
            ("4h", "4 hours"), ("1d", "a day"), ("3d", "three days"), ("7d", "a week"),
            (_UNTIL, "until a day and a time"),
        ],
        label="For",
        widget=forms.Select({"class": "sp-field"}),
    )  # fmt: skip
    at = forms.DateTimeField(
        label="Until",
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput({"class": "sp-field", "type": "datetime-local"}),
    )
    zone = forms.CharField(
        required=False, max_length=64, widget=forms.HiddenInput({"data-zone": "", "value": "UTC"})
    )
    reason = forms.CharField(
        label="Why",
        required=False,
        max_length=REASON_MAX,
        widget=forms.TextInput({"class": "sp-field", "placeholder": "Password change is ordered"}),
    )

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("until") == _UNTIL and not given.get("at"):
            self.add_error("at", "Give the day and the time.")
        if given.get("zone", "") not in available_timezones():
            given["zone"] = "UTC"
        return given

    def find_end(self, now: datetime) -> datetime:
        given = self.cleaned_data
        if given["until"] != _UNTIL:
            return now + _SPANS[given["until"]]
        at: datetime = given["at"]  # Django has read it as UTC
        return at.replace(tzinfo=ZoneInfo(given["zone"]))


class AlertChannelForm(WrittenForm):
    url = forms.CharField(
        label="URL", required=False, widget=secret_line(), help_text=(
            "Who is told, such as jsons://alerts.example.com/hook, slack://… or mailtos://…: docs/alerts.md. It is never"
            " shown again; leave it empty to keep the stored one."
        ),
    )  # fmt: skip

    class Meta:
        model = AlertChannel
        fields = [
            "workspace", "name", "min_severity", "quiet_hours", "timezone", "breaks_quiet", "group_s", "most_per_hour",
            "enabled",
        ]  # fmt: skip

    def write_given(self) -> dict[str, Any]:
        given = {
            name: self.cleaned_data[name] for name in CHANNEL_FIELDS if name in self.cleaned_data
        }
        if not given.get("url"):
            given.pop("url", None)
        return given

    def write(self, row: AlertChannel, given: dict[str, Any]) -> object:
        return write_channel(row, given)
