"""Saves a job: its dataset exists, its parents are known, its next fire follows its schedule."""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connection, transaction

from connectors.models import Connector
from datasets.models import Dataset, DatasetKind
from datasets.tables.dropping import drop_home_tables
from farends.registry import SPECS
from search.core.wishes import IndexWish
from search.indexing.emptying import forget_workspace
from search.indexing.marking import note_wish
from syncjobs.claims.windowing import reopen
from syncjobs.configuration.current_trees import refuse_taken_tree
from syncjobs.configuration.dataset_deletion import forget_deleted
from syncjobs.configuration.destinations import refuse_taken_table
from syncjobs.configuration.fixed import forget_marks, refuse_fixed
from syncjobs.core.states import OPEN
from syncjobs.models import Dependency, SyncJob, SyncRecord
from syncjobs.models.jobs import Misplaced
from syncjobs.order.option import build
from syncjobs.order.structures import Misfit
from syncjobs.order.timing import Fires, Hours
from syncjobs.queries.parents import find_parent_problems, parents_of
from syncjobs.records.rescheduling import NOT_PAUSED, plan_anew, resume
from syncjobs.works.table import NoWork, get_work
from workspaces import auditing
from workspaces.lookup import filter_by_name, find_by_name
from workspaces.models import Workspace


class HasFollowers(Exception):
    """The job cannot go, because others run after it; the message names them."""


def default_schedule() -> dict[str, Any]:
    """Returns the installation's schedule, for a new job that names none (SYNC_FREQUENCY, SYNC_TIME)."""
    return dict(settings.SYNC.default_schedule)


def save_job(job: SyncJob) -> None:
    """Saves a new or edited job. A job that is off or paused has no next fire; an unchanged schedule keeps its
    own. Raises ValidationError where it would run after itself, or after a job that is not there, where nothing is
    synced from its kind of connector, and where its dataset holds something else; FixedByVersions."""
    _refuse_source(job)
    with transaction.atomic():
        if parents_of(job.schedule) or _is_renamed(job):
            hold_dependencies(job.workspace_id)
        stored = SyncJob.objects.select_for_update(no_key=True).filter(pk=job.pk).first()
        if stored is not None:
            _refuse_other_work(job, stored)
            refuse_fixed(job, stored)
        if stored is None:
            job.dataset = _take_dataset(job)
        elif stored.name != job.name:
            _rename_dataset(job)
            _rename_in_followers(job, stored.name)
        _hold_destination(job)
        _hold_tree(job)
        parents = _find_parents(job)
        if stored is not None and job.enabled and not stored.enabled:
            for name, value in NOT_PAUSED.items():
                setattr(job, name, value)
        job.next_run_at = _next_run_at(job, stored)
        job.save()
        auditing.note_saved(job, stored)
        _keep_parents(job, parents)
        if stored is not None and build(Hours, job) != build(Hours, stored):
            reopen(SyncRecord.either.filter(job=job))
        if stored is not None:
            forget_marks(job, stored)
        if stored is not None or job.dataset.fencing_token:  # else nothing was ever published
            with connection.cursor() as cursor:
                note_wish(cursor, job.dataset_id, IndexWish(job.index))


def save_workspace(workspace: Workspace) -> None:
    """Saves a workspace; records that wait for one of its windows look at the new ones."""
    with transaction.atomic():
        stored = Workspace.objects.filter(pk=workspace.pk).first()
        workspace.save()
        auditing.note_saved(workspace, stored)
        if stored is not None and build(Hours, workspace) != build(Hours, stored):
            reopen(SyncRecord.either.filter(workspace=workspace))


def delete_job(job: SyncJob) -> None:
    """Deletes a job and its records; its dataset stays. Raises HasFollowers."""
    with transaction.atomic():
        hold_dependencies(job.workspace_id)
        open_records = SyncRecord.either.filter(job=job, state__in=sorted(OPEN)).order_by("pk")
        list(open_records.select_for_update().values_list("pk"))  # first, as whoever moves one
        SyncJob.objects.select_for_update().filter(pk=job.pk).first()
        names = list(job.followers.order_by("job__name").values_list("job__name", flat=True))
        if names:
            raise HasFollowers(
                f"{job.name} cannot be deleted, because {', '.join(names)}"
                f" {'runs' if len(names) == 1 else 'run'} after it"
            )
        auditing.note_deleted(job)
        job.delete()
        forget_deleted(job.dataset)


def delete_workspace(workspace: Workspace) -> None:
    """Deletes a workspace with its members, tokens, tables and indexes. Its connectors and jobs must be deleted before."""
    with transaction.atomic():
        drop_home_tables(workspace.pk)
        with connection.cursor() as cursor:
            forget_workspace(cursor, workspace.pk)
        auditing.note_deleted(workspace)
        workspace.delete()


def resume_job(job: SyncJob) -> bool:
    """Lets a paused job go on as of now; False where it was not paused."""
    with transaction.atomic():
        resumed = resume(SyncJob.objects.filter(pk=job.pk)) == 1
        if resumed:
            auditing.note(job, "resumed")
    return resumed


def resume_jobs_of(connector: Connector) -> int:
    """Whoever changed a connector may have mended what its paused jobs failed at; their count."""
    return resume(SyncJob.objects.filter(connector=connector))


def follow_auto_sync(connector: Connector, stored: Connector | None = None) -> None:
    """A connector with `auto_sync` has a default job, due every `sync_interval_s`. Without it that job is off; its
    records and its dataset stay.

    `stored` is the connector as it was. What a person set on the job stays where the connector's own fields stay.
    Call it in the transaction that saves the connector.
    """
    job = SyncJob.objects.filter(connector=connector, is_default=True).first()
    if job is None and connector.auto_sync:
        job = SyncJob(
            workspace=connector.workspace,
            connector=connector,
            name=_free_name(connector),
            is_default=True,
        )
    if job is None:
        return
    if job._state.adding or stored is None or stored.auto_sync != connector.auto_sync:
        job.enabled = connector.auto_sync
    if job._state.adding or stored is None or stored.sync_interval_s != connector.sync_interval_s:
        job.schedule = {"every_s": connector.sync_interval_s}
    save_job(job)


def hold_dependencies(workspace_id: UUID) -> None:
    """Until the transaction ends nobody else changes who runs after whom in the workspace. It comes before any
    lock of a job's row: whoever has one of these does not wait for it."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))",
            [f"who follows whom in workspace {workspace_id}"],
        )


def _refuse_source(job: SyncJob) -> None:
    """Raises ValidationError where nothing can be synced from there."""
    source = job.source_dataset
    if source is not None and (
        source.kind != DatasetKind.FILES or source.workspace_id != job.workspace_id
    ):
        words = f"dataset {source.name} holds no files: rows are read out of these"
        raise ValidationError({"connector": words})
    if job.connector is not None and job.connector.kind not in SPECS:
        return  # of an older version: it is told when it runs
    try:
        get_work(job.connector)
    except NoWork as exc:
        raise ValidationError({"connector": str(exc)}) from None


def _refuse_other_work(job: SyncJob, stored: SyncJob) -> None:
    """Raises ValidationError."""
    kind, held = get_work(job.connector).dataset_kind, stored.dataset.kind
    if kind != held:
        source = (
            "a dataset" if job.connector is None else f"a connector of kind {job.connector.kind}"
        )
        words = f"its dataset is of kind {held}, and {source} fills one of kind {kind}: make another job"
        raise ValidationError({"connector": words})


_TAKE_TURN_AT_TREES = "SELECT pg_advisory_xact_lock(hashtextextended('current trees', 0))"
_KEEP_CONNECTOR = """
SELECT 1 FROM connectors_connector WHERE id = %s AND workspace_id = %s FOR KEY SHARE
"""


def _hold_destination(job: SyncJob) -> None:
    """The connector that it fills tables by stays until the job is saved. Raises ValidationError where it is gone,
    or another job fills the table."""
    if job.destination is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(_KEEP_CONNECTOR, [job.destination["connector"], job.workspace_id])
        stays = cursor.fetchone() is not None
    if not stays:
        raise ValidationError({"destination": [Misplaced("it was deleted", ("connector",))]})
    try:
        refuse_taken_table(job)
    except Misfit as exc:
        raise ValidationError({"destination": [Misplaced(str(exc), exc.place)]}) from None


def _hold_tree(job: SyncJob) -> None:
    """Raises ValidationError where no tree may be, or another job keeps one there."""
    if not job.current_tree:
        return
    with connection.cursor() as cursor:
        cursor.execute(_TAKE_TURN_AT_TREES)
    try:
        refuse_taken_tree(job)
    except Misfit as exc:
        raise ValidationError({"current_tree": [str(exc)]}) from None


def _is_renamed(job: SyncJob) -> bool:
    if job._state.adding:
        return False
    name = SyncJob.objects.filter(pk=job.pk).values_list("name", flat=True).first()
    return name not in (None, job.name)


def _find_parents(job: SyncJob) -> list[SyncJob]:
    """The jobs that it runs after. Raises ValidationError on `schedule` where one is unknown, or where it would
    come to run after itself."""
    names = parents_of(job.schedule)
    if not names:
        return []
    problems = find_parent_problems(job.workspace_id, {job.name: names}, instead_of=[job.pk])
    if problems:
        raise ValidationError({"schedule": [problem.message for problem in problems]})
    return list(filter_by_name(SyncJob.objects.all(), job.workspace_id, names))


def _keep_parents(job: SyncJob, parents: list[SyncJob]) -> None:
    Dependency.objects.filter(job=job).exclude(parent__in=parents).delete()
    Dependency.objects.bulk_create(
        [Dependency(job=job, parent=parent) for parent in parents], ignore_conflicts=True
    )


def _rename_in_followers(job: SyncJob, old: str) -> None:
    followers = SyncJob.objects.filter(parents__parent=job).order_by("pk")
    for follower in followers.select_for_update(no_key=True, of=("self",)):
        names = [job.name if name == old else name for name in follower.schedule["after"]]
        follower.schedule = follower.schedule | {"after": names}
        follower.save(update_fields=["schedule"])


def _free_name(connector: Connector) -> str:
    taken = set(connector.workspace.sync_jobs.values_list("name", flat=True))
    return _find_free(f"{connector.name[:85]}-auto", taken)


def _find_free(name: str, taken: set[str]) -> str:
    """The name itself, or with the first number that nobody has."""
    numbered = (f"{name[:90]}-{number}" for number in itertools.count(2))
    return next(found for found in itertools.chain([name], numbered) if found not in taken)


def _take_dataset(job: SyncJob) -> Dataset:
    """A new one, or the one that a deleted job of this name left: data outlive their job."""
    kind = get_work(job.connector).dataset_kind
    named = find_by_name(Dataset.either.all(), job.workspace, job.name)
    if named is None:
        return Dataset.objects.create(workspace=job.workspace, name=job.name, kind=kind)
    if named.kind == kind and not SyncJob.objects.filter(dataset=named).exists():
        return named
    taken = set(Dataset.either.filter(workspace=job.workspace).values_list("name", flat=True))
    free = _find_free(job.name, taken)
    return Dataset.objects.create(workspace=job.workspace, name=free, kind=kind)


def _rename_dataset(job: SyncJob) -> None:
    """A dataset is called as its job, unless another has that name already."""
    if find_by_name(Dataset.either.all(), job.workspace, job.name) is None:
        Dataset.either.filter(pk=job.dataset_id).update(name=job.name)


def _next_run_at(job: SyncJob, stored: SyncJob | None) -> datetime | None:
    if not job.enabled or job.paused_at is not None:
        return None
    was_on = stored is not None and stored.enabled and stored.paused_at is None
    if stored is not None and was_on and build(Fires, job) == build(Fires, stored):
        return stored.next_run_at
    return plan_anew(job)
