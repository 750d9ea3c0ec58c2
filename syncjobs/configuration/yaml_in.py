"""Turns configuration as text into rows, in one transaction: all of it, or nothing.

The document is the YAML of `docs/configuration.md`, parsed to plain values. Every problem is found
before anything is written, each with the path to where it stands.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction

from connectors.models import Connector
from datasets.models import Dataset, DatasetKind
from search.choices import InvalidSearch, write_choice
from search.vectors.generations import settle_generation
from syncjobs.configuration.asking import SourceAnswers, find_source_problems
from syncjobs.configuration.connectors import FIELDS as CONNECTOR_FIELDS
from syncjobs.configuration.connectors import (
    InvalidConnector,
    find_problems,
    tell_errors,
    write_connector,
)
from syncjobs.configuration.destinations import choose_destination
from syncjobs.configuration.fixed import FixedByVersions
from syncjobs.configuration.jobs import (
    default_schedule,
    hold_dependencies,
    save_job,
    save_workspace,
)
from syncjobs.configuration.previewing import preview_selection
from syncjobs.configuration.sections import Section, SectionRefused, all_sections
from syncjobs.models import SyncJob
from syncjobs.order.job import IDENTITY, OPTIONS, belongs_to, find_work_of
from syncjobs.order.structures import Misfit
from syncjobs.order.writing import read_order
from syncjobs.queries.parents import find_parent_problems, order_by_parents, parents_of
from syncjobs.works.table import get_work
from workspaces.lookup import find_by_name, find_workspace_by_name
from workspaces.models import Workspace
from workspaces.races import work_again_where_taken

Path = tuple[str | int, ...]

WORKSPACE_LIMITS = ("max_running", "max_store_bytes", "one_sync_at_a_time")
CALENDAR_FIELDS = ("windows", "blackouts")
WORKSPACE_OWN = (*WORKSPACE_LIMITS, *CALENDAR_FIELDS)
SEARCH = "search"  # what a workspace has set of its search
WORKSPACE_FIELDS = ("name", *WORKSPACE_OWN, SEARCH, "connectors", "sync_jobs")
_EMPTY: dict[str, Any] = {"windows": [], "blackouts": []}  # what null stands for
_COLUMNS = tuple(name for name in OPTIONS if name not in IDENTITY)
_STATE = ("name", "connector_id", "source_dataset_id", *_COLUMNS)


@dataclass(frozen=True, slots=True)
class Mistake:
    """`path` leads to the value: ("workspaces", 0, "connectors", 2, "port")."""

    path: Path
    message: str
    conflicts: bool = False  # it would fit, were it not for what is stored


class InvalidConfiguration(Exception):
    """No part of the document was written; `problems` says why."""

    def __init__(self, problems: list[Mistake]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems

    def by_field(self) -> dict[str, list[str]]:
        """Returns what is wrong, by field; nested ones with dots, and `body` for the whole."""
        errors: dict[str, list[str]] = {}
        for wrong in self.problems:
            errors.setdefault(".".join(map(str, wrong.path)) or "body", []).append(wrong.message)
        return errors


@dataclass(frozen=True, slots=True)
class Change:
    """What applying did to one object. `action` is created, changed or unchanged."""

    action: str
    noun: str
    name: str
    fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what a person should know of it


def apply_configuration(
    document: Any, *, dry_run: bool = False, tell: Callable[[Change], None] = lambda change: None
) -> list[Change]:
    """Raises InvalidConfiguration. Objects that the document does not name are left alone.

    A dry run does all of it and takes it back, so that its changes are those that would be. `tell` hears of
    each as it comes; they count for nothing before this returns. What somebody else makes under the same name
    meanwhile is changed as if it had been there before.
    """
    return work_again_where_taken(lambda: _apply(document, dry_run, tell))


def _apply(document: Any, dry_run: bool, tell: Callable[[Change], None]) -> list[Change]:
    answers = SourceAnswers()
    while True:
        application = _Application(tell, answers)
        with transaction.atomic():
            application.run(document)
            if application.problems:
                raise InvalidConfiguration(application.problems)
            if dry_run or answers.are_missing:
                transaction.set_rollback(True)
        if not answers.are_missing:
            return application.changes
        answers.ask()


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A sync job as the file says, to be saved once all of its workspace are known."""

    job: SyncJob
    path: Path
    fields: tuple[str, ...] | None  # that changed; None: all, for it is new
    notes: tuple[str, ...]


def write_job(
    workspace: Workspace, fields: Mapping[str, Any], job: SyncJob | None = None
) -> SyncJob:
    """Creates a job from its written form, or changes this one: what is not named stays. Raises
    InvalidConfiguration, with paths that begin at the job, and IntegrityError where the name is taken."""
    answers = SourceAnswers()
    while True:
        application = _Application(lambda change: None, answers)
        with transaction.atomic():
            wanted = application.write_job(workspace, fields, job)
            if wanted is None or application.problems:
                raise InvalidConfiguration(application.problems)
            if answers.are_missing:
                transaction.set_rollback(True)
        if not answers.are_missing:
            return wanted
        answers.ask()
        if job is not None:
            job = _read_again(job)


def _read_again(job: SyncJob) -> SyncJob:
    """The job as it is stored, after a try to change it. Raises InvalidConfiguration where it is gone."""
    rows = SyncJob.objects.select_related("connector", "dataset", "workspace")
    found = rows.filter(pk=job.pk).first()
    if found is None:
        raise InvalidConfiguration([Mistake((), "the job was deleted meanwhile")])
    return found


def write_settings(workspace: Workspace, fields: Mapping[str, Any]) -> Workspace:
    """Changes a workspace by the written form of its own fields: what is not named stays. Answers with it as it
    is stored. Raises InvalidConfiguration, and Workspace.DoesNotExist where it has gone meanwhile."""
    application = _Application(lambda change: None, SourceAnswers())
    with transaction.atomic():
        held = Workspace.objects.select_for_update(no_key=True).get(pk=workspace.pk)
        application.change_workspace(held, fields)
        if application.problems:
            raise InvalidConfiguration(application.problems)
    return held


class _Application:
    def __init__(self, tell: Callable[[Change], None], answers: SourceAnswers) -> None:
        self._answers = answers
        self.problems: list[Mistake] = []
        self.changes: list[Change] = []
        self._tell = tell
        # Of the workspace at hand, by name, where a file is applied: it may have thousands.
        self._connectors: dict[str, Connector] | None = None
        self._jobs: dict[str, SyncJob] | None = None
        self._coming: set[str] = set()  # names of the jobs that the document has

    def run(self, document: Any) -> None:
        top = self._mapping(document, (), ("workspaces",))
        for path, given in self._items(top, "workspaces", ()):
            known = (*WORKSPACE_FIELDS, *(section.name for section in all_sections()))
            fields = self._mapping(given, path, known)
            workspace = self._save_workspace(fields, path)
            if workspace is None:
                continue
            hold_dependencies(workspace.pk)
            self._connectors, self._jobs = (
                {row.name: row for row in workspace.connectors.all()},
                None,
            )
            for inner, item in self._items(fields, "connectors", path):
                self._save_connector(workspace, self._mapping(item, inner, CONNECTOR_FIELDS), inner)
            self._jobs = {
                row.name: row
                for row in workspace.sync_jobs.select_related(
                    "connector", "source_dataset", "dataset"
                )
            }
            given = [
                (self._read_order(item, inner), inner)
                for inner, item in self._items(fields, "sync_jobs", path)
            ]
            self._coming = {str(item.get("name")) for item, _ in given}
            jobs = [self._want_job(workspace, item, inner) for item, inner in given]
            self._save_jobs(
                workspace, [wanted for wanted in jobs if wanted is not None], self._coming
            )
            for section in all_sections():
                self._save_section(workspace, section, fields, path)

    def write_job(
        self, workspace: Workspace, fields: Mapping[str, Any], job: SyncJob | None
    ) -> SyncJob | None:
        if job is None:
            self._jobs = {}  # a new one takes nobody's place
        wanted = self._want_job(workspace, self._read_order(fields, ()), (), job)
        if wanted is None or self.problems:
            return None
        self._save_jobs(workspace, [wanted], {wanted.job.name})
        return wanted.job

    def change_workspace(self, workspace: Workspace, fields: Mapping[str, Any]) -> None:
        self._write_settings(workspace, self._mapping(fields, (), (*WORKSPACE_OWN, SEARCH)), ())

    def _save_workspace(self, fields: Mapping[str, Any], path: Path) -> Workspace | None:
        name = self._name(fields, path)
        if name is None:
            return None
        found = find_workspace_by_name(name, Workspace.objects.select_for_update(no_key=True))
        workspace = found or Workspace(name=name)
        changed = self._write_settings(workspace, fields, path)
        if changed is None:
            return None
        self._note("workspace", name, created=found is None, fields=changed)
        return workspace

    def _write_settings(
        self, workspace: Workspace, fields: Mapping[str, Any], path: Path
    ) -> list[str] | None:
        """The fields that changed; None where some do not fit. Whoever calls holds a stored one's row, else a
        change that another makes meanwhile is written over."""
        is_new = workspace._state.adding
        before = _state_of(workspace, WORKSPACE_OWN)
        for field in set(fields) & {*WORKSPACE_OWN}:
            value = fields[field]
            setattr(workspace, field, _EMPTY.get(field) if value is None else value)
        if not self._clean(workspace, path):
            return None
        changed = _changed(before, _state_of(workspace, WORKSPACE_OWN))
        if is_new or changed:
            save_workspace(workspace)
        if SEARCH in fields:
            changed += self._write_search(workspace, fields[SEARCH], path)
        return changed

    def _write_search(self, workspace: Workspace, given: Any, path: Path) -> list[str]:
        try:
            changed = write_choice(workspace, given)
        except InvalidSearch as exc:
            for place, words in exc.problems:
                where = (SEARCH, *place)
                self._problem((*path, *where), f"{'.'.join(map(str, where))}: {words}")
            return []
        if changed:
            settle_generation(workspace.pk)
        return [f"{SEARCH}.{name}" for name in changed]

    def _save_connector(self, workspace: Workspace, fields: Mapping[str, Any], path: Path) -> None:
        name = self._name(fields, path)
        if name is None:
            return
        for noun in ("options", "secret"):
            if not isinstance(fields.get(noun) or {}, Mapping):
                self._problem((*path, noun), f"{noun} must be a mapping")
                return
        found = self._find_connector(workspace, name)
        try:
            written = write_connector(
                found or Connector(workspace=workspace, name=name), {**fields, "name": name}
            )
        except InvalidConnector as exc:
            for inner, message in exc.problems:
                self._problem((*path, *inner), message)
            return
        if self._connectors is not None:
            self._connectors[name] = written.connector
        changed = () if found is None else written.changed
        self._note("connector", name, created=found is None, fields=changed)

    def _save_section(
        self, workspace: Workspace, section: Section, fields: Mapping[str, Any], path: Path
    ) -> None:
        names: set[str] = set()
        for inner, item in self._items(fields, section.name, path):
            given = self._mapping(item, inner, section.fields)
            name = self._name(given, inner)
            if name is None:
                continue
            if name in names:
                self._problem((*inner, "name"), f"{name} stands here twice")
            names.add(name)
            try:
                entry = section.write(workspace, name, given)
            except SectionRefused as exc:
                for field, words in exc.errors.items():
                    self._problem((*inner, field), f"{field}: {' '.join(words)}")
                continue
            changed = () if entry.created else entry.changed
            self._note(section.noun, name, created=entry.created, fields=changed)

    def _want_job(
        self,
        workspace: Workspace,
        fields: Mapping[str, Any],
        path: Path,
        found: SyncJob | None = None,
    ) -> _Wanted | None:
        name = found.name if found and "name" not in fields else self._name(fields, path)
        if name is None:
            return None
        found = found or self._find_job(workspace, name)
        job = found or SyncJob(workspace=workspace, schedule=default_schedule())
        before = _state_of(job, _STATE)
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
        if not self._clean(
            job, path, exclude=("workspace", "connector", "source_dataset", "dataset")
        ):
            return None
        changed = None if found is None else _changed(before, _state_of(job, _STATE))
        if changed != [] and not self._fits_source(job, path):
            return None
        if changed is None:
            return _Wanted(job, path, None, ())
        preview = preview_selection(job) if changed else None
        notes = tuple(preview.sentences()) if preview else ()
        return _Wanted(job, path, tuple(changed), notes)

    def _fits_work(self, fields: Mapping[str, Any], job: SyncJob, path: Path) -> bool:
        """Whether no option of another kind of job is named, nor another kind of connector."""
        if not job._state.adding and job.dataset.kind != get_work(job.connector).dataset_kind:
            words = (
                f"its dataset is of kind {job.dataset.kind}: make another job for this connector"
            )
            self._problem((*path, "connector"), f"connector: {words}")
            return False
        foreign = [name for name in fields if not belongs_to(name, job.far_end)]
        for name in foreign:
            place = (OPTIONS[name].about.within, name) if OPTIONS[name].about.within else (name,)
            words = (
                f"only jobs of {find_work_of(name)} have it, and this one is of {job.far_end}, because"
                f" {_describe_source(job)}"
            )
            self._problem((*path, *place), f"{name}: {words}")
        return not foreign

    def _fits_source(self, job: SyncJob, path: Path) -> bool:
        problems = find_source_problems(job, self._answers)
        for place, words in problems.items():
            self._problem((*path, *place), f"{'.'.join(place)}: {words}")
        return not problems

    def _choose_destination(self, job: SyncJob, fields: Mapping[str, Any], path: Path) -> bool:
        written = fields.get("destination")
        if written is None:
            return True
        try:
            job.destination = choose_destination(job.workspace, written)
        except Misfit as exc:
            place = ("destination", *exc.place)
            self._problem((*path, *place), f"{'.'.join(place)}: {exc}")
            return False
        return True

    def _read_order(self, given: Any, path: Path) -> Mapping[str, Any]:
        """Reads the order, option by option, without values that do not fit."""
        written = read_order(given)
        for inner, message in written.problems:
            self._problem((*path, *inner), message)
        return written.values

    def _save_jobs(self, workspace: Workspace, jobs: list[_Wanted], names: set[str]) -> None:
        """Parents first, wherever in the file they stand; `names` are all that it has."""
        named = {wanted.job.name: wanted for wanted in jobs}
        for wanted in jobs:
            if named[wanted.job.name] is not wanted:
                self._problem((*wanted.path, "name"), f"{wanted.job.name} stands here twice")
        parents = {name: parents_of(wanted.job.schedule) for name, wanted in named.items()}
        for problem in find_parent_problems(
            workspace.pk, parents, coming=names, instead_of=[wanted.job.pk for wanted in jobs]
        ):
            at = (*named[problem.job].path, "schedule", "after", problem.index)
            self._problem(at, f"schedule: {problem.message}")
        if self.problems:
            return
        for name in order_by_parents(_with_sources(parents, named)):
            wanted = named[name]
            if self._settle_source(workspace, wanted) and wanted.fields != ():
                self._save_job(wanted)
        for wanted in jobs:
            created, fields = wanted.fields is None, wanted.fields or ()
            self._note(
                "sync job", wanted.job.name, created=created, fields=fields, notes=wanted.notes
            )

    def _save_job(self, wanted: _Wanted) -> None:
        try:
            save_job(wanted.job)
        except ValidationError as exc:
            for place, words in tell_errors(wanted.job, exc):
                conflicts = isinstance(exc, FixedByVersions)
                self.problems.append(Mistake((*wanted.path, *place), words, conflicts))

    def _find_job(self, workspace: Workspace, name: str) -> SyncJob | None:
        if self._jobs is not None:
            return self._jobs.get(name)
        return find_by_name(SyncJob.objects.all(), workspace, name)

    def _find_connector(self, workspace: Workspace, name: str) -> Connector | None:
        if self._connectors is not None:
            return self._connectors.get(name)
        return find_by_name(Connector.objects.all(), workspace, name)

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
        if job.source_dataset is None and name in self._coming:
            # That job's dataset comes to be with the job, which is saved first: `_save_jobs`.
            job.source_dataset = Dataset(workspace=workspace, name=name)
        if job.source_dataset is None:
            self._refuse_source_dataset(name, path)
            return False
        try:
            get_work(None)
        except LookupError as exc:
            self._problem((*path, "connector"), f"connector: {exc}")
            return False
        return True

    def _find_source_dataset(self, workspace: Workspace, name: str) -> Dataset | None:
        return find_by_name(Dataset.objects.filter(kind=DatasetKind.FILES), workspace, name)

    def _refuse_source_dataset(self, name: str, path: Path) -> None:
        words = f"connector: no dataset of files is called {name!r} in this workspace"
        self._problem((*path, "connector", "dataset"), words)

    def _settle_source(self, workspace: Workspace, wanted: _Wanted) -> bool:
        """Whether the dataset that the job reads is there now."""
        source = wanted.job.source_dataset
        if source is None or not source._state.adding:
            return True
        wanted.job.source_dataset = self._find_source_dataset(workspace, source.name)
        if wanted.job.source_dataset is None:
            self._refuse_source_dataset(source.name, wanted.path)
        return wanted.job.source_dataset is not None

    def _choose_connector(
        self, workspace: Workspace, fields: Mapping[str, Any], job: SyncJob, path: Path
    ) -> Connector | None:
        if "connector" not in fields and job.connector_id is not None:
            return job.connector
        wanted = str(fields.get("connector") or "")
        found = self._find_connector(workspace, wanted)
        if found is None:
            names = workspace.connectors.values_list("name", flat=True)
            near = difflib.get_close_matches(wanted, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            self._problem((*path, "connector"), f"no connector {wanted!r} in this workspace{hint}")
            return None
        try:
            get_work(found)
        except LookupError as exc:
            self._problem((*path, "connector"), f"connector: {exc}")
            return None
        return found

    def _clean(self, row: models.Model, path: Path, exclude: Iterable[str] = ()) -> bool:
        problems = find_problems(row, exclude)
        for inner, message in problems:
            self._problem((*path, *inner), message)
        return not problems

    def _mapping(self, given: Any, path: Path, known: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            self._problem(path, f"must be a mapping with {', '.join(known)}")
            return {}
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self._problem((*path, name), f"unknown word {name!r}; {hint}")
        return {name: value for name, value in given.items() if name in known}

    def _items(self, fields: Mapping[str, Any], name: str, path: Path) -> list[tuple[Path, Any]]:
        given = fields.get(name) or []
        if not isinstance(given, list):
            self._problem((*path, name), f"{name} must be a list")
            return []
        return [((*path, name, index), item) for index, item in enumerate(given)]

    def _name(self, fields: Mapping[str, Any], path: Path) -> str | None:
        if any(problem.path == (*path, "name") for problem in self.problems):
            return None  # it is told already
        if not fields.get("name"):
            self._problem(path, "name is required")
            return None
        return str(fields["name"])

    def _note(
        self,
        noun: str,
        name: str,
        *,
        created: bool,
        fields: Iterable[str],
        notes: Iterable[str] = (),
    ) -> None:
        changed = tuple(sorted(fields))
        action = "created" if created else "changed" if changed else "unchanged"
        shown = () if created else changed
        self.changes.append(Change(action, noun, name, shown, tuple(notes)))
        self._tell(self.changes[-1])

    def _problem(self, path: Path, message: str) -> None:
        self.problems.append(Mistake(path, message))


def _state_of(row: models.Model, fields: Iterable[str]) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields if field in row.__dict__}


def _default_of(option: str) -> Any:
    """What null stands for: nothing where nothing is an answer, else what a new job has."""
    return None if OPTIONS[option].nullable else getattr(SyncJob(), option)


def _changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = {"connector_id": "connector", "source_dataset_id": "connector"}
    changed = [names.get(name, name) for name in after if after[name] != before.get(name)]
    return list(dict.fromkeys(changed))


def _with_sources(
    parents: Mapping[str, Sequence[str]], jobs: Mapping[str, _Wanted]
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
