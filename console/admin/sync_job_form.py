"""The form of a sync job: its options as they are defined, and its schedule in fields."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.conf import settings

from console.admin.forms import ScopedForm, keep_calendar
from console.admin.option_fields import OptionForm, declare, names_in, other_groups
from console.admin.schedule_fields import ScheduleFields, read_schedule, same_schedule
from datasets.models import Dataset
from syncjobs.configuration.asking import SourceAnswers, find_source_problems
from syncjobs.configuration.destinations import choose_destination
from syncjobs.configuration.jobs import default_schedule, hold_dependencies
from syncjobs.configuration.previewing import SelectionPreview, preview_selection
from syncjobs.models import AfterPublish, SyncJob
from syncjobs.order.job import GROUPS, OPTIONS, belongs_to, find_work_of
from syncjobs.order.structures import Misfit, Place
from syncjobs.order.timing import GROUP as SCHEDULE
from syncjobs.queries.parents import find_parent_problems, parents_of
from workspaces.lookup import find_by_name
from workspaces.models import Workspace

CONFIRMED = "_confirmed"


if TYPE_CHECKING:
    WorkFields = OptionForm
else:
    WorkFields = declare(other_groups(SCHEDULE))


def _ask_source(job: SyncJob) -> dict[Place, str]:
    answers = SourceAnswers()
    find_source_problems(job, answers)
    answers.ask()
    return find_source_problems(job, answers)


class SyncJobForm(ScheduleFields, WorkFields, ScopedForm):
    preview: SelectionPreview | None = None  # of a selection that a person must confirm

    class Meta:
        model = SyncJob
        fields = [
            "workspace", "source_dataset", *(name for group in GROUPS for name in names_in(group))
        ]  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        new = self.instance._state.adding
        schedule = default_schedule() if new else self.instance.schedule
        for name, value in read_schedule(schedule or {}).items():
            self.initial.setdefault(name, value)
        if not new:
            self.initial["destination"] = self.instance.written_destination
            for name in OPTIONS:
                if not belongs_to(name, self.instance.far_end):
                    self.fields.pop(name, None)
        self._tell_defaults()

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
                "max_file_size_bytes",
                f"Larger files are skipped. Empty: the installation's {limit_mb} MiB.",
            )

    def _help(self, name: str, words: str) -> None:
        if name in self.fields:  # who may only look has no fields
            self.fields[name].help_text = words

    def _post_clean(self) -> None:
        """Shows first what a changed selection does to the dataset."""
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        for place, words in _ask_source(self.instance).items():
            self.add_error(place[0], words)
        if self.errors or self.instance._state.adding:
            return
        preview = preview_selection(self.instance)
        if preview is not None and self.data.get(CONFIRMED) != preview.token:
            self.preview = preview
            self.add_error(None, "Not saved yet: the dataset would change. See above.")

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        keep_calendar(self, self.instance)
        written = self.write_schedule()
        if written is not None and not same_schedule(written, self.instance.schedule):
            self.instance.schedule = written
        if self.cleaned_data.get("after_publish") != AfterPublish.MOVE:
            self.cleaned_data["move_to"] = ""  # hidden, whatever it holds
        workspace = self.cleaned_data.get("workspace") or self.instance.workspace_id
        self._clean_source(getattr(workspace, "pk", workspace))
        self._clean_dataset_name(workspace)
        if written is not None and workspace:
            self._clean_parents(getattr(workspace, "pk", workspace))
        return self.cleaned_data

    def _clean_source(self, workspace_id: Any) -> None:
        """A job has a connector or a dataset to read, of its own workspace."""
        given = {
            name: source
            for name in ("connector", "source_dataset")
            if (source := self.cleaned_data.get(name)) is not None
        }
        if len(given) != 1:
            if not {"connector", "source_dataset"} & {*self.errors}:
                self.add_error(
                    "connector", "Choose a connector, or a dataset whose files are read."
                )
            return
        ((name, source),) = given.items()
        if workspace_id and source.workspace_id != workspace_id:
            self.add_error(name, f"This {name.split('_')[-1]} belongs to another workspace.")
        else:
            self._clean_work(SyncJob(**given).far_end, source.workspace)

    def _clean_work(self, far_end: str, workspace: Workspace) -> None:
        """What the other kind of job has is refused; a destination is stored with the connector's id."""
        for name in set(self.changed_data) & {*OPTIONS}:
            if name in self.data and not belongs_to(name, far_end):
                self.add_error(name, f"Only jobs of {find_work_of(name)} have it.")
        written = self.cleaned_data.get("destination")
        if written is not None:
            try:
                stored = choose_destination(workspace, written)
            except Misfit as exc:
                self.add_error("destination", f"{'.'.join(exc.place)}: {exc}")
            else:
                self.cleaned_data["destination"] = stored

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
        kept = Dataset.either.filter(job__isnull=False)
        if find_by_name(kept, getattr(workspace, "pk", workspace), name) is not None:
            self.add_error("name", "There is a dataset of this name already: choose another one.")
