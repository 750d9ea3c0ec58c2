"""The sync jobs of a document: each is read over what is stored, and saved once all of its workspace are known."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from connectors.models import Connector
from datasets.models import Dataset, DatasetKind
from syncjobs.configuration.asking import SourceAnswers, find_source_problems
from syncjobs.configuration.connectors import tell_errors
from syncjobs.configuration.destinations import choose_destination
from syncjobs.configuration.findings import Findings, Mistake, Path, list_changed, own_fields_of
from syncjobs.configuration.fixed import FixedByVersions
from syncjobs.configuration.jobs import default_schedule, save_job
from syncjobs.configuration.previewing import preview_selection
from syncjobs.models import SyncJob
from syncjobs.order.job import IDENTITY, OPTIONS, belongs_to, find_work_of
from syncjobs.order.structures import Misfit
from syncjobs.order.writing import read_order
from syncjobs.queries.parents import find_parent_problems, order_by_parents, parents_of
from syncjobs.works.table import get_work
from workspaces.lookup import find_by_name
from workspaces.models import Workspace

_COLUMNS = tuple(name for name in OPTIONS if name not in IDENTITY)
_STATE = ("name", "connector_id", "source_dataset_id", *_COLUMNS)


@dataclass(frozen=True, slots=True)
class WantedJob:
    """A sync job as the file says, to be saved once all of its workspace are known."""

    job: SyncJob
    path: Path
    fields: tuple[str, ...] | None  # that changed; None: all, for it is new
    notes: tuple[str, ...]


class JobEntries:
    """`connectors` and `jobs` are the workspace's by name, where a file is applied, which may have thousands; None: each is
    looked for. `coming` are the names of the jobs that the document has."""

    def __init__(self, found: Findings, answers: SourceAnswers) -> None:
        self.connectors: dict[str, Connector] | None = None
        self.jobs: dict[str, SyncJob] | None = None
        self.coming: set[str] = set()
        self._found = found
        self._answers = answers

    def read_order(self, given: Any, path: Path) -> Mapping[str, Any]:
        """Reads the order, option by option, without values that do not fit."""
        written = read_order(given)
        for inner, message in written.problems:
            self._found.problem((*path, *inner), message)
        return written.values

    def want_job(
        self,
        workspace: Workspace,
        fields: Mapping[str, Any],
        path: Path,
        found: SyncJob | None = None,
    ) -> WantedJob | None:
        name = found.name if found and "name" not in fields else self._found.name(fields, path)
        if name is None:
            return None
        found = found or self._find_job(workspace, name)
        job = found or SyncJob(workspace=workspace, schedule=default_schedule())
        before = own_fields_of(job, _STATE)
        job.name = name
        if not self._choose_source(workspace, fields, job, path):
            return None
        if found is None and job.source_dataset is not None and "schedule" not in fields:
            job.schedule = {}  # it follows the dataset
        if not self._fits_work(fields, job, path):
            return None
        for option in set(fields) & {*_COLUMNS}:
            value = fields[option]
            setattr(job, option, _default_of(option) if value is None else value)
        if not self._choose_destination(job, fields, path):
            return None
        if not self._found.clean(
            job, path, exclude=("workspace", "connector", "source_dataset", "dataset")
        ):
            return None
        changed = None if found is None else list_changed(before, own_fields_of(job, _STATE))
        if changed != [] and not self._fits_source(job, path):
            return None
        if changed is None:
            return WantedJob(job, path, None, ())
        preview = preview_selection(job) if changed else None
        notes = tuple(preview.sentences()) if preview else ()
        return WantedJob(job, path, tuple(changed), notes)

    def save_jobs(self, workspace: Workspace, jobs: list[WantedJob], names: set[str]) -> None:
        """Parents first, wherever in the file they stand; `names` are all that it has."""
        named = {wanted.job.name: wanted for wanted in jobs}
        for wanted in jobs:
            if named[wanted.job.name] is not wanted:
                self._found.problem((*wanted.path, "name"), f"{wanted.job.name} stands here twice")
        parents = {name: parents_of(wanted.job.schedule) for name, wanted in named.items()}
        for problem in find_parent_problems(
            workspace.pk, parents, coming=names, instead_of=[wanted.job.pk for wanted in jobs]
        ):
            at = (*named[problem.job].path, "schedule", "after", problem.index)
            self._found.problem(at, f"schedule: {problem.message}")
        if self._found.problems:
            return
        for name in order_by_parents(_with_sources(parents, named)):
            wanted = named[name]
            if self._settle_source(workspace, wanted) and wanted.fields != ():
                self._save_job(wanted)
        for wanted in jobs:
            created, fields = wanted.fields is None, wanted.fields or ()
            self._found.note(
                "sync job", wanted.job.name, created=created, fields=fields, notes=wanted.notes
            )

    def find_connector(self, workspace: Workspace, name: str) -> Connector | None:
        if self.connectors is not None:
            return self.connectors.get(name)
        return find_by_name(Connector.objects.all(), workspace, name)

    def _fits_work(self, fields: Mapping[str, Any], job: SyncJob, path: Path) -> bool:
        """Whether no option of another kind of job is named, nor another kind of connector."""
        if not job._state.adding and job.dataset.kind != get_work(job.connector).dataset_kind:
            words = (
                f"its dataset is of kind {job.dataset.kind}: make another job for this connector"
            )
            self._found.problem((*path, "connector"), f"connector: {words}")
            return False
        foreign = [name for name in fields if not belongs_to(name, job.far_end)]
        for name in foreign:
            place = (OPTIONS[name].about.within, name) if OPTIONS[name].about.within else (name,)
            words = (
                f"only jobs of {find_work_of(name)} have it, and this one is of {job.far_end}, because"
                f" {_describe_source(job)}"
            )
            self._found.problem((*path, *place), f"{name}: {words}")
        return not foreign

    def _fits_source(self, job: SyncJob, path: Path) -> bool:
        problems = find_source_problems(job, self._answers)
        for place, words in problems.items():
            self._found.problem((*path, *place), f"{'.'.join(place)}: {words}")
        return not problems

    def _choose_source(
        self, workspace: Workspace, fields: Mapping[str, Any], job: SyncJob, path: Path
    ) -> bool:
        """Whether the job has what it syncs from: a connector, or the files of a dataset."""
        given = fields.get("connector")
        if "connector" not in fields and job.source_dataset_id is not None:
            return True
        if not isinstance(given, Mapping):
            job.connector = self._choose_connector(workspace, fields, job, path)
            job.source_dataset = None
            return job.connector is not None
        job.connector = None
        name = str(given["dataset"])
        job.source_dataset = self._find_source_dataset(workspace, name)
        if job.source_dataset is None and name in self.coming:
            # That job's dataset comes to be with the job, which is saved first: `_save_jobs`.
            job.source_dataset = Dataset(workspace=workspace, name=name)
        if job.source_dataset is None:
            self._refuse_source_dataset(name, path)
            return False
        try:
            get_work(None)
        except LookupError as exc:
            self._found.problem((*path, "connector"), f"connector: {exc}")
            return False
        return True

    def _choose_connector(
        self, workspace: Workspace, fields: Mapping[str, Any], job: SyncJob, path: Path
    ) -> Connector | None:
        if "connector" not in fields and job.connector_id is not None:
            return job.connector
        wanted = str(fields.get("connector") or "")
        found = self.find_connector(workspace, wanted)
        if found is None:
            names = workspace.connectors.values_list("name", flat=True)
            near = difflib.get_close_matches(wanted, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._found.problem(
                (*path, "connector"), f"no connector {wanted!r} in this workspace{hint}"
            )
            return None
        try:
            get_work(found)
        except LookupError as exc:
            self._found.problem((*path, "connector"), f"connector: {exc}")
            return None
        return found

    def _choose_destination(self, job: SyncJob, fields: Mapping[str, Any], path: Path) -> bool:
        written = fields.get("destination")
        if written is None:
            return True
        try:
            job.destination = choose_destination(job.workspace, written)
        except Misfit as exc:
            place = ("destination", *exc.place)
            self._found.problem((*path, *place), f"{'.'.join(place)}: {exc}")
            return False
        return True

    def _settle_source(self, workspace: Workspace, wanted: WantedJob) -> bool:
        """Whether the dataset that the job reads is there now."""
        source = wanted.job.source_dataset
        if source is None or not source._state.adding:
            return True
        wanted.job.source_dataset = self._find_source_dataset(workspace, source.name)
        if wanted.job.source_dataset is None:
            self._refuse_source_dataset(source.name, wanted.path)
        return wanted.job.source_dataset is not None

    def _find_source_dataset(self, workspace: Workspace, name: str) -> Dataset | None:
        return find_by_name(Dataset.objects.filter(kind=DatasetKind.FILES), workspace, name)

    def _refuse_source_dataset(self, name: str, path: Path) -> None:
        words = f"connector: no dataset of files is called {name!r} in this workspace"
        self._found.problem((*path, "connector", "dataset"), words)

    def _find_job(self, workspace: Workspace, name: str) -> SyncJob | None:
        if self.jobs is not None:
            return self.jobs.get(name)
        return find_by_name(SyncJob.objects.all(), workspace, name)

    def _save_job(self, wanted: WantedJob) -> None:
        try:
            save_job(wanted.job)
        except ValidationError as exc:
            for place, words in tell_errors(wanted.job, exc):
                conflicts = isinstance(exc, FixedByVersions)
                self._found.problems.append(Mistake((*wanted.path, *place), words, conflicts))


def _default_of(option: str) -> Any:
    """What null stands for: nothing where nothing is an answer, else what a new job has."""
    return None if OPTIONS[option].nullable else getattr(SyncJob(), option)


def _with_sources(
    parents: Mapping[str, Sequence[str]], jobs: Mapping[str, WantedJob]
) -> dict[str, Sequence[str]]:
    """The jobs that are saved before a job: its parents, and the one whose dataset it reads."""
    sources = {
        name: wanted.job.source_dataset.name
        for name, wanted in jobs.items()
        if wanted.job.source_dataset is not None
    }
    return {
        name: [*before, sources[name]] if sources.get(name) in parents else before
        for name, before in parents.items()
    }


def _describe_source(job: SyncJob) -> str:
    if job.connector is None:
        return "it reads a dataset"
    return f"its connector is of kind {job.connector.kind}"
