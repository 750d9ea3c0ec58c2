"""Turns configuration as text into rows, in one transaction: all of it, or nothing.

The document is the YAML of `docs/configuration.md`, parsed to plain values. Every problem is found
before anything is written, each with the path to where it stands.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db import transaction

from connectors.models import Connector
from search.choices import InvalidSearch, wake_indexes, write_choice
from search.vectors.generations import settle_generation
from syncjobs.configuration.asking import SourceAnswers
from syncjobs.configuration.connectors import FIELDS as CONNECTOR_FIELDS
from syncjobs.configuration.connectors import InvalidConnector, write_connector
from syncjobs.configuration.findings import (
    Change,
    Findings,
    InvalidConfiguration,
    Mistake,
    Path,
    list_changed,
    own_fields_of,
)
from syncjobs.configuration.job_entries import JobEntries
from syncjobs.configuration.jobs import hold_dependencies, save_workspace
from syncjobs.configuration.sections import Section, SectionRefused, all_sections
from syncjobs.models import SyncJob
from workspaces.lookup import find_workspace_by_name
from workspaces.models import Workspace
from workspaces.races import work_again_after_races

WORKSPACE_LIMITS = ("max_running", "max_store_bytes", "one_sync_at_a_time")
KEEPING_FIELDS = ("keep_versions", "keep_days", "keep_bytes")
CALENDAR_FIELDS = ("windows", "blackouts")
WORKSPACE_OWN = (*WORKSPACE_LIMITS, *KEEPING_FIELDS, *CALENDAR_FIELDS)
SEARCH = "search"  # what a workspace has set of its search
WORKSPACE_FIELDS = ("name", *WORKSPACE_OWN, SEARCH, "connectors", "sync_jobs")
_EMPTY: dict[str, Any] = {"windows": [], "blackouts": []}  # what null stands for


def apply_configuration(
    document: Any, *, dry_run: bool = False, tell: Callable[[Change], None] = lambda change: None
) -> list[Change]:
    """Raises InvalidConfiguration. Objects that the document does not name are left alone.

    A dry run does all of it and takes it back, so that its changes are those that would be. `tell` hears of
    each as it comes; they count for nothing before this returns. What somebody else makes under the same name
    meanwhile is changed as if it had been there before.
    """
    return work_again_after_races(lambda: _apply(document, dry_run, tell))


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
        self._found = Findings(tell)
        self._jobs = JobEntries(self._found, answers)

    @property
    def problems(self) -> list[Mistake]:
        return self._found.problems

    @property
    def changes(self) -> list[Change]:
        return self._found.changes

    def run(self, document: Any) -> None:
        top = self._found.mapping(document, (), ("workspaces",))
        for path, given in self._found.items(top, "workspaces", ()):
            known = (*WORKSPACE_FIELDS, *(section.name for section in all_sections()))
            fields = self._found.mapping(given, path, known)
            workspace = self._save_workspace(fields, path)
            if workspace is None:
                continue
            hold_dependencies(workspace.pk)
            self._jobs.connectors, self._jobs.jobs = (
                {row.name: row for row in workspace.connectors.all()},
                None,
            )
            for inner, item in self._found.items(fields, "connectors", path):
                self._save_connector(
                    workspace, self._found.mapping(item, inner, CONNECTOR_FIELDS), inner
                )
            self._jobs.jobs = {
                row.name: row
                for row in workspace.sync_jobs.select_related(
                    "connector", "source_dataset", "dataset"
                )
            }
            given = [
                (self._jobs.read_order(item, inner), inner)
                for inner, item in self._found.items(fields, "sync_jobs", path)
            ]
            self._jobs.coming = {str(item.get("name")) for item, _ in given}
            jobs = [self._jobs.want_job(workspace, item, inner) for item, inner in given]
            self._jobs.save_jobs(
                workspace, [wanted for wanted in jobs if wanted is not None], self._jobs.coming
            )
            for section in all_sections():
                self._save_section(workspace, section, fields, path)

    def write_job(
        self, workspace: Workspace, fields: Mapping[str, Any], job: SyncJob | None
    ) -> SyncJob | None:
        if job is None:
            self._jobs.jobs = {}  # a new one takes nobody's place
        wanted = self._jobs.want_job(workspace, self._jobs.read_order(fields, ()), (), job)
        if wanted is None or self._found.problems:
            return None
        self._jobs.save_jobs(workspace, [wanted], {wanted.job.name})
        return wanted.job

    def change_workspace(self, workspace: Workspace, fields: Mapping[str, Any]) -> None:
        self._write_settings(
            workspace, self._found.mapping(fields, (), (*WORKSPACE_OWN, SEARCH)), ()
        )

    def _save_workspace(self, fields: Mapping[str, Any], path: Path) -> Workspace | None:
        name = self._found.name(fields, path)
        if name is None:
            return None
        found = find_workspace_by_name(name, Workspace.objects.select_for_update(no_key=True))
        workspace = found or Workspace(name=name)
        changed = self._write_settings(workspace, fields, path)
        if changed is None:
            return None
        self._found.note("workspace", name, created=found is None, fields=changed)
        return workspace

    def _write_settings(
        self, workspace: Workspace, fields: Mapping[str, Any], path: Path
    ) -> list[str] | None:
        """The fields that changed; None where some do not fit. Whoever calls holds a stored one's row, else a
        change that another makes meanwhile is written over."""
        is_new = workspace._state.adding
        before = own_fields_of(workspace, WORKSPACE_OWN)
        for field in set(fields) & {*WORKSPACE_OWN}:
            value = fields[field]
            setattr(workspace, field, _EMPTY.get(field) if value is None else value)
        if not self._found.clean(workspace, path):
            return None
        changed = list_changed(before, own_fields_of(workspace, WORKSPACE_OWN))
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
                self._found.problem((*path, *where), f"{'.'.join(map(str, where))}: {words}")
            return []
        if changed:
            settle_generation(workspace.pk)
            wake_indexes(workspace.pk)
        return [f"{SEARCH}.{name}" for name in changed]

    def _save_connector(self, workspace: Workspace, fields: Mapping[str, Any], path: Path) -> None:
        name = self._found.name(fields, path)
        if name is None:
            return
        for noun in ("options", "secret"):
            if not isinstance(fields.get(noun) or {}, Mapping):
                self._found.problem((*path, noun), f"{noun} must be a mapping")
                return
        found = self._jobs.find_connector(workspace, name)
        try:
            written = write_connector(
                found or Connector(workspace=workspace, name=name),
                {**fields, "name": name},
                keep_pins=True,
            )
        except InvalidConnector as exc:
            for inner, message in exc.problems:
                self._found.problem((*path, *inner), message)
            return
        if self._jobs.connectors is not None:
            self._jobs.connectors[name] = written.connector
        changed = () if found is None else written.changed
        self._found.note("connector", name, created=found is None, fields=changed)

    def _save_section(
        self, workspace: Workspace, section: Section, fields: Mapping[str, Any], path: Path
    ) -> None:
        names: set[str] = set()
        for inner, item in self._found.items(fields, section.name, path):
            given = self._found.mapping(item, inner, section.fields)
            name = self._found.name(given, inner)
            if name is None:
                continue
            if name in names:
                self._found.problem((*inner, "name"), f"{name} stands here twice")
            names.add(name)
            try:
                entry = section.write(workspace, name, given)
            except SectionRefused as exc:
                for field, words in exc.errors.items():
                    self._found.problem((*inner, field), f"{field}: {' '.join(words)}")
                continue
            changed = () if entry.created else entry.changed
            self._found.note(section.noun, name, created=entry.created, fields=changed)
