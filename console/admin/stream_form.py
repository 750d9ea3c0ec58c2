"""The form of a stream: its client system is a connector of its own workspace."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold import widgets

from console.admin.forms import ScopedForm
from outbox.core.configuration import check_schema
from outbox.models import Stream

_WORDS = {
    "client": ("Client system", "A connector of kind client, of the same workspace."),
    "batch_size": ("Batch size", "Readings that are sent at once, at most."),
    "sync_interval_s": (
        "Sync interval (s)",
        "From the end of a round whose tries all failed until the next round.",
    ),
    "max_queued": (
        "Readings in the queue, at most",
        "Further ones are refused until some were sent.",
    ),
    "heartbeat_interval_s": ("Heartbeat (s)", "Between two heartbeats; 0: never."),
    "configuration_interval_s": (
        "Configuration (s)",
        "Between two looks for a new configuration; 0: never.",
    ),
    "configuration_schema": (
        "Schema of the configuration",
        "A JSON Schema that a downloaded configuration must follow. Empty: any object.",
    ),
}


class StreamForm(ScopedForm):
    configuration_schema = forms.JSONField(
        required=False, widget=widgets.UnfoldAdminTextareaWidget({"rows": 6, "class": "sp-code"})
    )

    class Meta:
        model = Stream
        fields = [
            "workspace",
            "name",
            "client",
            "batch_size",
            "sync_interval_s",
            "max_queued",
            "heartbeat_interval_s",
            "configuration_interval_s",
            "configuration_schema",
        ]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, (label, words) in _WORDS.items():
            if name in self.fields:  # a viewer has none
                self.fields[name].label = label
                self.fields[name].help_text = words

    def clean_configuration_schema(self) -> Any:
        schema = self.cleaned_data["configuration_schema"]
        if schema is not None and (wrong := check_schema(schema)):
            raise forms.ValidationError(wrong)
        return schema

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        workspace = self.cleaned_data.get("workspace") or getattr(self.instance, "workspace", None)
        client = self.cleaned_data.get("client")
        if client is not None and workspace is not None and client.workspace_id != workspace.pk:
            self.add_error("client", f"{client} belongs to another workspace than {workspace}.")
        return self.cleaned_data
