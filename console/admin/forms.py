"""Form parts that more than one noun needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from unfold import widgets

from console.window_lines import (
    PERIOD_EXAMPLE,
    WINDOW_EXAMPLE,
    InvalidLine,
    read_blackouts,
    read_windows,
    write_lines,
)
from timing.windows import InvalidWindow

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
else:
    AnyModelForm = forms.ModelForm


class ScopedForm(AnyModelForm):
    """Checks the names that are unique in a workspace also where the workspace is only shown."""

    def _get_validation_exclusions(self) -> set[str]:
        excluded: set[str] = super()._get_validation_exclusions()  # type: ignore[misc]
        return excluded - {"workspace"} if self.instance.workspace_id else excluded


class LinesField(forms.CharField):
    """A list of texts, one on each line; spaces around them and empty lines are dropped."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs.setdefault(
            "widget", widgets.UnfoldAdminTextareaWidget({"rows": 4, "class": "sp-code"})
        )
        kwargs.setdefault("required", False)
        super().__init__(strip=False, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "\n".join(value) if isinstance(value, list | tuple) else value

    def to_python(self, value: Any) -> Any:
        lines = (super().to_python(value) or "").splitlines()
        return [line.strip() for line in lines if line.strip()]

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(list(initial or []) != self.to_python(data))


class NamesWidget(widgets.UnfoldAdminMultipleAutocompleteWidget):  # type: ignore[misc]  # no types
    """Shows what is chosen alone; the page's script offers the others as one types."""

    class Media:
        # After what it calls: Django keeps the order of one list only.
        js = (*widgets.AutocompleteWidgetMixin.Media.js, "console/schedule.js")

    def __init__(self) -> None:
        super().__init__()
        self.attrs["class"] = "sp-names-input admin-autocomplete"
        self.attrs["data-placeholder"] = "Type a part of a name"

    def optgroups(self, name: str, value: list[str], attrs: Any = None) -> Any:
        self.choices = [(chosen, chosen) for chosen in value]
        return super().optgroups(name, value, attrs)


class NamesField(forms.MultipleChoiceField):
    """Names of rows, many to choose from; whoever uses it checks that they are there."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(required=False, widget=NamesWidget(), **kwargs)

    def valid_value(self, value: str) -> bool:
        return True


class WindowsField(forms.CharField):
    """Windows as lines; the value is their written form. An unreadable one is shown as it is stored."""

    lines = "One on each line: days, times, zone."
    example = WINDOW_EXAMPLE

    def __init__(self, *, help_text: str, **kwargs: Any) -> None:
        super().__init__(
            **{"required": False, **kwargs},
            help_text=f"{self.lines} {help_text}",
            widget=widgets.UnfoldAdminTextareaWidget(
                {"rows": 3, "class": "sp-code", "placeholder": self.example, "spellcheck": "false"}
            ),
        )

    def prepare_value(self, value: Any) -> Any:
        if not isinstance(value, list):
            return value
        try:
            return write_lines(value)
        except InvalidWindow:
            return str(value)

    def to_python(self, value: Any) -> Any:
        try:
            return self.read(super().to_python(value) or "")
        except InvalidLine as exc:
            raise forms.ValidationError(str(exc)) from None

    def read(self, text: str) -> list[dict[str, Any]]:
        return read_windows(text)

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool((self.prepare_value(initial) or "").split() != (data or "").split())


class BlackoutsField(WindowsField):
    lines = "One on each line: as above, or two dates with times, a zone and a reason."
    example = PERIOD_EXAMPLE

    def read(self, text: str) -> list[dict[str, Any]]:
        return read_blackouts(text)


def keep_calendar(form: forms.ModelForm[Any], stored: Any) -> None:
    """What says the same is left as it is written, so that nothing counts as changed."""
    for name in ("windows", "blackouts"):
        if name in form.cleaned_data and not form.fields[name].has_changed(
            getattr(stored, name), form.data.get(form.add_prefix(name))
        ):
            form.cleaned_data[name] = getattr(stored, name)


class SecretText(widgets.UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """A field for keys of several lines; the text never comes back in a page."""

    def format_value(self, value: Any) -> None:
        return None


def secret_line() -> forms.Widget:
    # `render_value` is False by default, so a rejected form comes back empty.
    widget: forms.Widget = widgets.UnfoldAdminPasswordWidget({"autocomplete": "new-password"})
    return widget


def secret_text() -> forms.Widget:
    widget: forms.Widget = SecretText({"rows": 6, "class": "sp-code", "autocomplete": "off"})
    return widget
