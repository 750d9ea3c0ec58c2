"""The form of a sync job: patterns by line, the schedule in fields."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from unfold import widgets

from console.admin.forms import LinesField, ScopedForm, keep_calendar
from console.admin.schedule_fields import RULES, ScheduleFields, read_schedule, same_schedule
from datasets.models import Dataset
from syncjobs.configuration.jobs import default_schedule, hold_dependencies
from syncjobs.configuration.previewing import Preview, preview_selection
from syncjobs.core.comparing import Comparison
from syncjobs.models import AfterPublish, SyncJob
from syncjobs.queries.parents import find_parent_problems, parents_of
from workspaces.lookup import find_by_name

MIB = 1 << 20
CONFIRMED = "_confirmed"


class SyncJobForm(ScheduleFields, ScopedForm):
    preview: Preview | None = None  # of a selection that is to be confirmed

    include = LinesField(
        label="Include",
        help_text="One pattern on each line, such as **/*.csv. Empty: every file.",
    )
    exclude = LinesField(
        label="Exclude",
        help_text="One pattern on each line, such as **/drafts/**. Wins over include.",
    )
    filters = LinesField(
        label="Filters, in order",
        help_text="'+ pattern' takes, '- pattern' leaves out; the first that matches decides, before"
        " include and exclude.",
    )
    extensions = LinesField(label="Extensions", help_text="One on each line. Empty: every one.")
    settle_s = forms.IntegerField(
        label="Settling time (s)",
        required=False,
        min_value=0,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="Files that changed less long ago wait for a later record.",
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
            "filters",
            "extensions",
            "settle_s",
            "done_pattern",
            "max_age_s",
            "max_files",
            "max_bytes",
            "sync_mode",
            "comparison",
            "verify_every_s",
            "on_delete",
            "after_publish",
            "move_to",
            "timeout_s",
            "max_attempts",
            "enabled",
            *RULES,
        ]
        labels = {
            "timeout_s": "Time limit (s)",
            "after_publish": "At the source, once published",
            "move_to": "Move to",
            "max_attempts": "Tries",
            "verify_every_s": "Verify every (s)",
            "max_age_s": "Oldest file (s)",
            "done_pattern": "Done file",
            "max_files": "Files a record",
            "max_bytes": "Bytes a record",
        }
        help_texts = {
            "done_pattern": "Such as {name}.done, {stem}.ok, or _SUCCESS for a whole folder: a file is"
            " taken only when this one is there too. Done files themselves are not kept.",
            "max_age_s": "Older files are left out. Empty: no limit.",
            "max_files": "What one record fetches at most; the rest waits for the next.",
            "max_bytes": "What one record fetches at most; the rest waits for the next.",
            "timeout_s": "Seconds for one attempt. Empty: by the number of files.",
            "max_attempts": "Tries in a row that kept nothing, before a record fails for good.",
            "sync_mode": "Incremental compares sizes and times; full fetches and compares content.",
            "comparison": "What has to be equal: size and time (modified), SHA-256 as the host computes"
            " it or of the bytes that it sends (checksum), size alone, or a strong ETag.",
            "verify_every_s": "When every content was last looked at longer ago than this, the next"
            " scheduled record runs as full. Empty: never.",
            "on_delete": "Keep version: gone from the new version, held in the older ones."
            " Ignore: what the source removes stays.",
            "after_publish": "Keep leaves the source alone. Delete and move take away every selected file"
            " that a published version holds, those of earlier versions too; only with Ignore above.",
            "move_to": "A folder below the connector's folder, such as done. It is not listed.",
            "enabled": "A disabled job runs by hand only.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "comparison" in self.fields:
            self.fields["comparison"].required = False
        new = self.instance._state.adding
        schedule = default_schedule() if new else self.instance.schedule
        for name, value in read_schedule(schedule or {}).items():
            self.initial.setdefault(name, value)
        self._tell_defaults()
        if size := self.instance.max_file_size_bytes:
            self.initial.setdefault("max_file_size_mib", round(size / MIB, 6))

    def _tell_defaults(self) -> None:
        """What an empty field means where the installation has a word of its own."""
        if words := ", ".join(settings.SYNC.supported_extensions):
            self._help(
                "extensions",
                "One on each line. Empty, and no include or filters either: those of the installation"
                f" ({words}).",
            )
        if limit_mb := settings.SYNC.max_file_size_mb:
            self._help(
                "max_file_size_mib",
                f"Larger files are skipped. Empty: the installation's {limit_mb} MiB.",
            )

    def _help(self, name: str, words: str) -> None:
        if name in self.fields:  # who may only look has no fields
            self.fields[name].help_text = words

    def _post_clean(self) -> None:
        """Who changes what is selected sees first what that does to the dataset."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors or self.instance._state.adding:
            return
        preview = preview_selection(self.instance)
        if preview is not None and self.data.get(CONFIRMED) != preview.token:
            self.preview = preview
            self.add_error(None, "Not saved yet: the dataset would change. See above.")

    def clean_comparison(self) -> str:
        return self.cleaned_data["comparison"] or Comparison.MODIFIED

    def clean_settle_s(self) -> int:
        return self.cleaned_data["settle_s"] or 0

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        keep_calendar(self, self.instance)
        written = self.write_schedule()
        if written is not None and not same_schedule(written, self.instance.schedule):
            self.instance.schedule = written
        size = self.cleaned_data.get("max_file_size_mib")
        self.instance.max_file_size_bytes = round(size * MIB) if size else None
        if self.cleaned_data.get("after_publish") != AfterPublish.MOVE:
            self.cleaned_data["move_to"] = ""  # hidden, whatever it holds
        workspace = self.cleaned_data.get("workspace") or self.instance.workspace_id
        connector = self.cleaned_data.get("connector")
        if (
            connector
            and workspace
            and connector.workspace_id != getattr(workspace, "pk", workspace)
        ):
            self.add_error("connector", "This connector belongs to another workspace.")
        self._clean_dataset_name(workspace)
        if written is not None and workspace:
            self._clean_parents(getattr(workspace, "pk", workspace))
        return self.cleaned_data

    def _clean_parents(self, workspace_id: Any) -> None:
        name = self.cleaned_data.get("name") or self.instance.name
        parents = parents_of(self.instance.schedule)
        # Others may know it by the name that it had.
        wanted = {known: parents for known in (name, self.initial.get("name")) if known}
        if parents:
            hold_dependencies(workspace_id)  # what is found here is still so when the job is saved
        for problem in find_parent_problems(
            workspace_id, wanted, coming=[*wanted], instead_of=[self.instance.pk]
        ):
            self.add_error("after_jobs", problem.message)

    def _clean_dataset_name(self, workspace: Any) -> None:
        """A new job makes a dataset of its own name, or goes on with the one a deleted job left."""
        name = self.cleaned_data.get("name")
        if not (self.instance._state.adding and name and workspace):
            return
        kept = Dataset.objects.filter(job__isnull=False)
        if find_by_name(kept, getattr(workspace, "pk", workspace), name) is not None:
            self.add_error("name", "There is a dataset of this name already: choose another one.")
