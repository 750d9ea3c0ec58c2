"""The options of a job as fields of a form, made from their definition."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from unfold import widgets

from console.admin.forms import BlackoutsField, LinesField, WindowsField
from syncjobs.models import SyncJob
from syncjobs.order.job import GROUPS, IDENTITY, OPTIONS, belongs_to
from syncjobs.order.option import Form, Option
from syncjobs.order.structures import Misfit

_MIB, _GIB = 1 << 20, 1 << 30
# What people count in, and what a bare number is where a form names no unit.
_UNITS: dict[str, dict[str, int]] = {
    "s": {"seconds": 1, "minutes": 60, "hours": 3_600, "days": 86_400},
    "bytes": {"MiB": _MIB, "GiB": _GIB, "kiB": 1 << 10, "bytes": 1},
}
_OFFERED = {"s": "minutes", "bytes": "MiB"}  # beside an empty field


class OptionForm(forms.Form):
    """A mix-in for forms that have fields of options: a field that is left empty is as in a new job."""

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        for name, value in self.cleaned_data.items():
            if name in OPTIONS and not OPTIONS[name].nullable and value in (None, ""):
                self.cleaned_data[name] = getattr(SyncJob(), name)
        return self.cleaned_data


class AmountWidget(forms.MultiWidget):
    """A number, and the unit that it is in: the largest that says it exactly."""

    template_name = "console/amount.html"

    def __init__(self, units: dict[str, int], offered: str) -> None:
        self._units, self._offered = units, offered
        number = forms.NumberInput({"class": "sp-field", "step": "any", "min": "0"})
        choices = [(word, word) for word in units]
        unit = forms.Select({"class": "sp-field", "aria-label": "Unit"}, choices)
        super().__init__(widgets={"": number, "unit": unit})

    def get_context(self, name: str, value: Any, attrs: Any) -> dict[str, Any]:
        # Unfold binds every field to one value of its script, which would overwrite the unit with the number.
        for key in [key for key in self.attrs if key.startswith("x-")]:
            del self.attrs[key]
        return super().get_context(name, value, attrs)

    def id_for_label(self, id_: str) -> str:
        return f"{id_}_0" if id_ else id_

    def decompress(self, value: Any) -> list[Any]:
        if not isinstance(value, int):
            return [value, self._offered]
        for word, size in sorted(self._units.items(), key=lambda unit: -unit[1]):
            if value and value % size == 0:
                return [value // size, word]
        return [value, self._offered]


class AmountField(forms.Field):
    """A whole number of a unit, which people see and type in a larger one. A bare number is in the first of the units."""

    def __init__(self, unit: str, least: int | None, most: int | None, **kwargs: Any) -> None:
        self._units = _UNITS[unit]
        self._least, self._most = least, most
        super().__init__(widget=AmountWidget(self._units, _OFFERED[unit]), **kwargs)

    def clean(self, value: Any) -> int | None:
        number, unit = value if isinstance(value, list | tuple) else (value, None)
        text = str(number if number is not None else "").strip()
        if not text:
            return None
        size = self._units.get(unit or next(iter(self._units)))
        try:
            amount = int((Decimal(text) * (size or 0)).to_integral_value())
        except (InvalidOperation, ValueError, OverflowError):
            raise forms.ValidationError("Enter a number.") from None
        if size is None:
            raise forms.ValidationError(f"Choose a unit: {', '.join(self._units)}.")
        if self._least is not None and amount < self._least:
            raise forms.ValidationError(f"Must be {self._tell(self._least)} or more.")
        if self._most is not None and amount > self._most:
            raise forms.ValidationError(f"Must be {self._tell(self._most)} or less.")
        return amount

    def has_changed(self, initial: Any, data: Any) -> bool:
        try:
            return bool(self.clean(data) != initial)
        except forms.ValidationError:
            return True

    def _tell(self, amount: int) -> str:
        size = next(iter(self._units.items()))
        return f"{amount // size[1]} {size[0]}" if amount % size[1] == 0 else f"{amount} bytes"


class PercentField(forms.FloatField):
    """A share from 0 to 1, which people see and type in per cent."""

    def prepare_value(self, value: Any) -> Any:
        return f"{value * 100:.12g}" if isinstance(value, float) else value

    def clean(self, value: Any) -> float | None:
        percent = super().clean(value)
        return None if percent is None else percent / 100

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


def is_advanced(name: str) -> bool:
    """Whether few need the option, so that a form folds it."""
    return name in OPTIONS and OPTIONS[name].about.advanced


def count_changed(names: Iterable[str], job: SyncJob) -> int:
    """How many of these options a job has otherwise than a new one has."""
    new = SyncJob()
    return sum(getattr(job, name) != getattr(new, name) for name in names)


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
        "label": about.label,
        "help_text": f"{about.help}{empty}{needs}",
        "required": False,
        "initial": lambda: getattr(SyncJob(), option.name),
    }
    match option.form:
        case Form.WHOLE | Form.NUMBER:
            return _number_field_of(option, kwargs)
        case Form.FLAG:
            return forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget(), **kwargs)
        case Form.CHOICE:
            choices = [(choice.value, _meaning(option, choice.value)) for choice in option.choices]
            widget = widgets.UnfoldAdminSelectWidget()
            return forms.ChoiceField(choices=choices, widget=widget, **kwargs)
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


def _number_field_of(option: Option, kwargs: dict[str, Any]) -> forms.Field:
    about = option.about
    if about.unit in _UNITS:
        return AmountField(about.unit, about.least, about.most, **kwargs)
    if option.form is Form.WHOLE:
        kwargs |= {"min_value": about.least, "max_value": about.most}
        return forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget(), **kwargs)
    widget = widgets.UnfoldAdminDecimalFieldWidget({"step": "any"})
    if (about.least, about.most) == (0, 1):
        kwargs |= {"label": f"{about.label} (%)", "min_value": 0, "max_value": 100}
        return PercentField(widget=widget, **kwargs)
    kwargs |= {"min_value": about.least, "max_value": about.most}
    return forms.FloatField(widget=widget, **kwargs)


def _meaning(option: Option, value: str) -> str:
    return f"{value.replace('_', ' ')}: {option.about.words[value]}"


def _words(name: str, value: str) -> str:
    return f"{OPTIONS[name].about.label}: {value.replace('_', ' ')}"
