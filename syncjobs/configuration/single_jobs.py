"""Writes one job as a program gives it: as a written order, whose connector is called by id or name."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from connectors.models import Connector
from datasets.models import Dataset
from syncjobs.configuration.yaml_in import write_job
from syncjobs.models import SyncJob
from syncjobs.order.job import WITHIN, JobOrder, belongs_to
from syncjobs.order.option import build
from syncjobs.order.writing import write_order
from workspaces.lookup import find_by_name, find_row
from workspaces.models import Workspace


class JobNameTaken(Exception):
    """Another job of the workspace has this name."""


_WITH = ("connector", "source_dataset", "dataset", "workspace")


def find_called_job(workspace: Workspace, called: str) -> SyncJob | None:
    """Finds a job by id or name, with its connector, dataset and workspace."""
    rows = SyncJob.objects.select_related(*_WITH)
    return find_row(rows, workspace, called)


# In all three `passed_over` are options that a job of another kind may be given too, without effect.


def create_written_job(
    workspace: Workspace, given: Mapping[str, Any], passed_over: Collection[str] = ()
) -> SyncJob:
    """Raises InvalidConfiguration, JobNameTaken."""
    return _write(workspace, given, None, passed_over)


def change_written_job(
    job: SyncJob, given: Mapping[str, Any], passed_over: Collection[str] = ()
) -> SyncJob:
    """What is not named stays. Raises InvalidConfiguration, JobNameTaken."""
    return _write(job.workspace, given, job, passed_over)


def replace_written_job(
    job: SyncJob, given: Mapping[str, Any], passed_over: Collection[str] = ()
) -> SyncJob:
    """What is not named gets what a new job has. Raises InvalidConfiguration, JobNameTaken."""
    return _write(job.workspace, _name_all(given, job.far_end), job, passed_over)


def _write(
    workspace: Workspace,
    given: Mapping[str, Any],
    job: SyncJob | None,
    passed_over: Collection[str],
) -> SyncJob:
    fields = dict(given)
    name: str = fields.get("name") or ""
    is_new_name = name not in ("", job and job.name)
    if is_new_name and find_by_name(SyncJob.objects.all(), workspace, name) is not None:
        raise JobNameTaken(name)
    source = SyncJob(connector=job.connector) if job else None
    if "connector" in fields:
        source = _name_source(workspace, fields)
    if source is not None:
        for option in passed_over:
            if not belongs_to(option, source.far_end):
                fields.pop(option, None)
    written = write_job(workspace, fields, job)
    return SyncJob.objects.select_related(*_WITH).get(pk=written.pk)


def _name_source(workspace: Workspace, fields: dict[str, Any]) -> SyncJob | None:
    """Puts the name of the connector or dataset into the fields, which is what a written job says. Returns a job that
    syncs from there; None where it is not there, and where nothing is called like this: reading the order tells."""
    called = fields["connector"]
    is_dataset = isinstance(called, Mapping)
    name = called.get("dataset") if is_dataset else called
    if not isinstance(name, str):
        return None
    if is_dataset:
        dataset = find_row(Dataset.objects.all(), workspace, name)
        if dataset is not None:
            fields["connector"] = {**called, "dataset": dataset.name}
        return SyncJob() if dataset is not None else None
    connector = find_row(Connector.objects.all(), workspace, name)
    if connector is None:
        return None
    fields["connector"] = connector.name
    return SyncJob(connector=connector)


def _name_all(given: Mapping[str, Any], far_end: str) -> dict[str, Any]:
    """Returns a written order in which each option is named that a job of such a far end has: where it was not, with
    what a new job has."""
    new = build(JobOrder, SyncJob(connector=Connector()))
    whole = write_order(new, keep=lambda option, value: belongs_to(option.name, far_end))
    for name, value in given.items():
        within = whole.get(name) if name in WITHIN else None
        whole[name] = {**within, **(value or {})} if isinstance(within, dict) else value
    return whole
