"""The options of a job as fields of a form, made from their definition."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from django import forms
from unfold import widgets

from console.admin.forms import BlackoutsField, LinesField, WindowsField
from syncjobs.models import SyncJob
from syncjobs.order.job import GROUPS, IDENTITY, OPTIONS, belongs_to
from syncjobs.order.option import Form, Option
from syncjobs.order.structures import Misfit

_MIB = 1 << 20
_UNITS = {"s": " (s)", "bytes": " (MiB)"}  # others are said by the label


class OptionForm(forms.Form):
    """A mix-in for forms that have fields of options: a field that is left empty is as in a new job."""

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        for name, value in self.cleaned_data.items():
            if name in OPTIONS and not OPTIONS[name].nullable and value in (None, ""):
                self.cleaned_data[name] = getattr(SyncJob(), name)
        return self.cleaned_data


class MebibytesField(forms.FloatField):
    """A number of bytes, which people see and type in MiB. Powers of two lose nothing on the way."""

    def prepare_value(self, value: Any) -> Any:
        return f"{value / _MIB:.17g}" if isinstance(value, int) else value

    def clean(self, value: Any) -> int | None:
        mebibytes = super().clean(value)
        return None if mebibytes is None else round(mebibytes * _MIB)

    def has_changed(self, initial: object, data: object) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class StructureField(forms.CharField):
    """A value of several words, which people see and type as JSON. Empty: as in a new job."""

    def __init__(self, read: Callable[[Any], Any], default: Any, **kwargs: Any) -> None:
        """`read` raises Misfit, or another ValueError."""
        self._read, self._default = read, default
        widget = widgets.UnfoldAdminTextareaWidget(
            {"rows": 3, "class": "sp-code", "spellcheck": "false"}
        )
        super().__init__(widget=widget, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        if isinstance(value, str) and value.lstrip()[:1] in ("{", '"', ""):
            return value  # as it was typed
        return "" if value == self._default else json.dumps(value, ensure_ascii=False)

    def to_python(self, value: Any) -> Any:
        text = (super().to_python(value) or "").strip()
        if not text:
            return self._default
        try:
            read = json.loads(text) if text[0] in '{["' or text == "null" else text
            return self._read(read)
        except Misfit as exc:
            place = f"{'.'.join(exc.place)}: " if exc.place else ""
            raise forms.ValidationError(f"{place}{exc}") from None
        except ValueError as exc:
            raise forms.ValidationError(f"This is no JSON: {exc}") from None

    def validate(self, value: Any) -> None:
        """An empty field is no mistake."""

    def run_validators(self, value: Any) -> None:
        """They are for text."""

    def has_changed(self, initial: Any, data: Any) -> bool:
        return (self.prepare_value(initial) or "").strip() != (data or "").strip()


def names_in(group: str, far_end: str | None = None) -> list[str]:
    """The options of a group that are fields by themselves, the advanced ones last; those of jobs that sync from such a far
    end, or all. A schedule is several fields."""
    options = [option for option in OPTIONS.values() if option.about.group == group]
    if far_end is not None:
        options = [option for option in options if belongs_to(option.name, far_end)]
    shown = [option for option in options if option.form is not Form.SCHEDULE]
    return [option.name for option in sorted(shown, key=lambda option: option.about.advanced)]


def declare(groups: Iterable[str]) -> type[OptionForm]:
    """A form to be mixed into others, with a field for each option of these groups."""
    names = [name for group in groups for name in names_in(group) if name not in IDENTITY]
    fields = {name: _field_of(OPTIONS[name]) for name in names}
    return type("DeclaredOptions", (OptionForm,), fields)


def other_groups(group: str) -> list[str]:
    return [other for other in GROUPS if other != group]


def _field_of(option: Option) -> forms.Field:
    about = option.about
    empty = f" Empty: {about.null}." if option.nullable else ""
    needs = f" Only with “{_words(*about.only_with)}”." if about.only_with else ""
    kwargs: dict[str, Any] = {
        "label": about.label + _UNITS.get(about.unit, ""),
        "help_text": f"{about.help}{empty}{needs}",
        "required": False,
        "initial": lambda: getattr(SyncJob(), option.name),
    }
    match option.form:
        case Form.WHOLE if about.unit == "bytes":
            widget = widgets.UnfoldAdminDecimalFieldWidget({"step": "any"})
            return MebibytesField(min_value=0, widget=widget, **kwargs)
        case Form.WHOLE:
            kwargs |= {"min_value": about.least, "max_value": about.most}
            return forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget(), **kwargs)
        case Form.FLAG:
            return forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget(), **kwargs)
        case Form.CHOICE:
            choices = [(choice.value, _meaning(option, choice.value)) for choice in option.choices]
            widget = widgets.UnfoldAdminSelectWidget()
            return forms.ChoiceField(choices=choices, widget=widget, **kwargs)
        case Form.NUMBER:
            kwargs |= {"min_value": about.least, "max_value": about.most}
            widget = widgets.UnfoldAdminDecimalFieldWidget({"step": "any"})
            return forms.FloatField(widget=widget, **kwargs)
        case Form.STRUCTURE:
            return StructureField(option.read, option.default, **kwargs)
        case Form.TEXTS:
            return LinesField(**kwargs | {"help_text": f"One on each line. {about.help}"})
        case Form.WINDOWS:
            return WindowsField(**kwargs)
        case Form.BLACKOUTS:
            return BlackoutsField(**kwargs)
        case _:
            widget = widgets.UnfoldAdminTextInputWidget()
            return forms.CharField(max_length=about.most, widget=widget, **kwargs)


def _meaning(option: Option, value: str) -> str:
    return f"{value.replace('_', ' ')}: {option.about.words[value]}"


def _words(name: str, value: str) -> str:
    return f"{OPTIONS[name].about.label}: {value.replace('_', ' ')}"
