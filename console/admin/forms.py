"""Form parts that more than one noun needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from unfold import widgets

if TYPE_CHECKING:
    AnyModelForm = forms.ModelForm[Any]
else:
    AnyModelForm = forms.ModelForm


class WorkspaceForm(AnyModelForm):
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


class SecretText(widgets.UnfoldAdminTextareaWidget):  # type: ignore[misc]  # unfold has no types
    """For keys of several lines; what was typed never comes back in a page."""

    def format_value(self, value: Any) -> None:
        return None


def secret_line() -> forms.Widget:
    # `render_value` is False by default, so a rejected form comes back empty.
    widget: forms.Widget = widgets.UnfoldAdminPasswordWidget({"autocomplete": "new-password"})
    return widget


def secret_text() -> forms.Widget:
    widget: forms.Widget = SecretText({"rows": 6, "class": "sp-code", "autocomplete": "off"})
    return widget
