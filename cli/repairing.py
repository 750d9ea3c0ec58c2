"""Fetches damaged content again from sources that may still have it, by records of their jobs."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Collection
from dataclasses import dataclass

from cli.working import work_on, working
from datasets.scrubbing import find_current, find_damaged
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.queueing.enqueueing import AlreadyQueued, JobBusy, WorkspaceBusy
from syncjobs.queueing.requesting import request_sync
from syncjobs.records.asking import ConnectorPaused
from syncjobs.upkeep.workers import Worker
from workspaces.models import Workspace

LOOK_S = 0.25
Write = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Repair:
    """What became of damaged contents: how many are whole again, and why the others are not."""

    repaired: int
    left: dict[bytes, str]


def repair(workspace: Workspace, damaged: Collection[bytes], write: Write) -> Repair:
    """Syncs each job whose current version names one of them, in this process or by whichever worker is faster,
    and reads them again. They have to be noted as damaged, as `scrub` does. Raises StoreMissing."""
    current = find_current(workspace.pk, damaged)
    wanted = {dataset_id for datasets in current.values() for dataset_id in datasets}
    jobs = SyncJob.objects.filter(dataset_id__in=wanted).select_related("workspace", "connector")
    told: dict[uuid.UUID, str] = {}  # by dataset
    with working() as worker:
        for job in jobs.order_by("name"):
            if worker.heart.draining:
                told[job.dataset_id] = f"{job.name} was not asked: this command was stopped"
            else:
                told[job.dataset_id] = f"{job.name}: {_sync(worker, job, write)}"
    left = find_damaged(workspace.pk, damaged)
    reasons = {sha256: _why(current.get(sha256, set()), told) for sha256 in left}
    return Repair(len(damaged) - len(left), reasons)


def _sync(worker: Worker, job: SyncJob, write: Write) -> str:
    """Why the content may still be damaged after it."""
    try:
        record = request_sync(job, by="scrub --repair")
    except AlreadyQueued as exc:
        record = exc.record
    except (ConnectorPaused, JobBusy, WorkspaceBusy) as exc:
        return str(exc)
    work_on(worker, record.pk, write)
    while _read(record).state == State.RUNNING:  # another worker has it
        time.sleep(LOOK_S)
    if record.state not in FINAL:
        waits = record.waiting_for or "a worker"
        return f"record {record.pk} is {record.state} and waits for {waits}; it repairs what it can"
    if record.state == State.SUCCEEDED:
        return "its source has other content by now"
    return f"record {record.pk} ended as {record.state}: {record.error}"


def _read(record: SyncRecord) -> SyncRecord:
    record.refresh_from_db()
    return record


def _why(datasets: Collection[uuid.UUID], told: dict[uuid.UUID, str]) -> str:
    if not datasets:
        return "no current version has it, so no source is known to"
    return "; ".join(sorted(told.get(dataset, "its sync job was deleted") for dataset in datasets))
