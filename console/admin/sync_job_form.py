"""The form of a sync job: patterns by line, the schedule in fields."""

from __future__ import annotations

from typing import Any

from django import forms
from unfold import widgets

from console.admin.forms import LinesField, WorkspaceForm
from console.admin.schedule_fields import ScheduleFields, read_schedule
from datasets.models import Dataset
from syncjobs.models import SyncJob

MIB = 1 << 20


class SyncJobForm(ScheduleFields, WorkspaceForm):
    include = LinesField(
        label="Include",
        help_text="One pattern on each line, such as **/*.csv. Empty: every file.",
    )
    exclude = LinesField(
        label="Exclude",
        help_text="One pattern on each line, such as **/drafts/**. Wins over include.",
    )
    max_file_size_mib = forms.FloatField(
        label="Largest file (MiB)",
        required=False,
        min_value=0,
        widget=widgets.UnfoldAdminDecimalFieldWidget(),
        help_text="Larger files are skipped. Empty: no limit.",
    )

    class Meta:
        model = SyncJob
        fields = [
            "workspace",
            "name",
            "connector",
            "include",
            "exclude",
            "sync_mode",
            "on_delete",
            "timeout_s",
            "max_attempts",
            "enabled",
        ]
        labels = {"timeout_s": "Time limit (s)", "max_attempts": "Tries"}
        help_texts = {
            "timeout_s": "Seconds for one attempt. Empty: by the number of files.",
            "max_attempts": "Tries before a record fails for good.",
            "sync_mode": "Incremental compares sizes and times; full fetches and compares content.",
            "on_delete": "Keep version: gone from the new version, held in the older ones."
            " Ignore: what the source removes stays.",
            "enabled": "A disabled job runs by hand only.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, value in read_schedule(self.instance.schedule or {}).items():
            self.initial.setdefault(name, value)
        if size := self.instance.max_file_size_bytes:
            self.initial.setdefault("max_file_size_mib", round(size / MIB, 6))

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        written = self.write_schedule()
        if written is not None:
            self.instance.schedule = written
        size = self.cleaned_data.get("max_file_size_mib")
        self.instance.max_file_size_bytes = round(size * MIB) if size else None
        workspace = self.cleaned_data.get("workspace") or self.instance.workspace_id
        connector = self.cleaned_data.get("connector")
        if (
            connector
            and workspace
            and connector.workspace_id != getattr(workspace, "pk", workspace)
        ):
            self.add_error("connector", "This connector belongs to another workspace.")
        self._clean_dataset_name(workspace)
        return self.cleaned_data

    def _clean_dataset_name(self, workspace: Any) -> None:
        """A new job makes a dataset of its own name; a deleted job has left its dataset behind."""
        name = self.cleaned_data.get("name")
        if not (self.instance._state.adding and name and workspace):
            return
        if Dataset.objects.filter(workspace=workspace, name=name).exists():
            self.add_error("name", "There is a dataset of this name already: choose another one.")
