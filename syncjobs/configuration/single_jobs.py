"""Writes one job as a program gives it: as a written order, whose connector is called by id or name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connectors.models import Connector
from syncjobs.configuration.yaml_in import write_job
from syncjobs.models import SyncJob
from syncjobs.order.job import WITHIN, JobOrder
from syncjobs.order.option import build
from syncjobs.order.writing import write_order
from workspaces.lookup import find_by_name, find_row
from workspaces.models import Workspace


class JobNameTaken(Exception):
    """Another job of the workspace has this name."""


def find_job(workspace: Workspace, called: str) -> SyncJob | None:
    """Finds a job by id or name, with its connector, dataset and workspace."""
    rows = SyncJob.objects.select_related("connector", "dataset", "workspace")
    return find_row(rows, workspace, called)


def create_written_job(workspace: Workspace, given: Mapping[str, Any]) -> SyncJob:
    """Raises InvalidConfiguration, JobNameTaken."""
    return _write(workspace, given, None)


def change_written_job(job: SyncJob, given: Mapping[str, Any]) -> SyncJob:
    """What is not named stays. Raises InvalidConfiguration, JobNameTaken."""
    return _write(job.workspace, given, job)


def replace_written_job(job: SyncJob, given: Mapping[str, Any]) -> SyncJob:
    """What is not named gets what a new job has. Raises InvalidConfiguration, JobNameTaken."""
    return _write(job.workspace, _name_all(given), job)


def _write(workspace: Workspace, given: Mapping[str, Any], job: SyncJob | None) -> SyncJob:
    fields = dict(given)
    name: str = fields.get("name") or ""
    is_new_name = name not in ("", job and job.name)
    if is_new_name and find_by_name(SyncJob.objects.all(), workspace, name) is not None:
        raise JobNameTaken(name)
    if "connector" in fields:
        fields["connector"] = _name_connector(workspace, fields["connector"])
    written = write_job(workspace, fields, job)
    return SyncJob.objects.select_related("connector", "dataset", "workspace").get(pk=written.pk)


def _name_connector(workspace: Workspace, called: str) -> str:
    """Returns the connector's name, which is what a written job says."""
    found = find_row(Connector.objects.all(), workspace, called)
    return called if found is None else found.name


def _name_all(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a written order in which each option is named: where it was not, with what a new job has."""
    whole = write_order(build(JobOrder, SyncJob(connector=Connector())))
    for name, value in given.items():
        within = whole.get(name) if name in WITHIN else None
        whole[name] = {**within, **(value or {})} if isinstance(within, dict) else value
    return whole
