"""The jobs that a job runs after: whether each exists and none waits for itself, and how they ended."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import TopologicalSorter
from uuid import UUID

from django.db import connection

from database.rows import fetch_rows
from syncjobs.core.dependencies import ParentEnd, find_cycle
from syncjobs.models import Dependency, SyncJob
from timing.schedules import After, InvalidSchedule, parse_schedule
from workspaces.lookup import filter_by_name

_COMPARED_MAX = 5_000  # names that a wrong one is held against


@dataclass(frozen=True, slots=True)
class ParentProblem:
    job: str
    index: int  # of the parent in the job's list
    message: str


def find_parent_problems(
    workspace_id: UUID,
    wanted: Mapping[str, Sequence[str]],
    *,
    coming: Collection[str] = (),
    instead_of: Iterable[UUID] = (),
) -> list[ParentProblem]:
    """What is wrong with `wanted`, the parents by name of each job that is about to be saved.

    `coming` are names that will be there, `instead_of` the stored jobs that these replace.
    """
    named = {parent for parents in wanted.values() for parent in parents}
    if not named:
        return []
    jobs = SyncJob.objects.filter(workspace=workspace_id).exclude(pk__in=[*instead_of])
    there = filter_by_name(jobs, workspace_id, named).values_list("name", flat=True)
    known = {*coming, *there}
    edges = _edges(workspace_id, instead_of) | dict(wanted)
    problems = []
    for job, names in wanted.items():
        for index, parent in enumerate(names):
            if parent not in known and parent != job:
                near = _nearest(parent, [*coming, *jobs.values_list("name", flat=True)])
                hint = f"; did you mean {near}?" if near else ""
                message = f"no sync job {parent!r} in this workspace{hint}"
                problems.append(ParentProblem(job, index, message))
        if way := find_cycle(edges, job):
            told = ", which runs after ".join(way[1:])
            message = f"{job} would run after itself: after {told}"
            problems.append(ParentProblem(job, [*names].index(way[1]), message))
    return problems


def _edges(workspace_id: UUID, instead_of: Iterable[UUID]) -> dict[str, Sequence[str]]:
    rows = Dependency.objects.filter(job__workspace=workspace_id).exclude(job__in=[*instead_of])
    edges = defaultdict(list)
    for follower, parent in rows.values_list("job__name", "parent__name"):
        edges[follower].append(parent)
    return dict(edges)


def parents_of(schedule: object) -> tuple[str, ...]:
    """The jobs that a written schedule names; none where it is of another kind, or says nothing."""
    try:
        parsed = parse_schedule(schedule if isinstance(schedule, dict) else None)
    except InvalidSchedule:
        return ()
    return parsed.jobs if isinstance(parsed, After) else ()


def order_by_parents(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """The names, parents first, else as given. There must be no circle."""
    given = {name: [parent for parent in parents[name] if parent in parents] for name in parents}
    return list(TopologicalSorter(given).static_order())


def _nearest(name: str, names: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, names[:_COMPARED_MAX], n=1)
    return near[0] if near else ""


_ENDS = """
SELECT d.job_id, d.id, p.name, d.record_id, d.state
  FROM syncjobs_dependency d JOIN syncjobs_syncjob p ON p.id = d.parent_id
 WHERE d.job_id = ANY(%s) ORDER BY p.name
"""


def load_parent_ends(job_ids: Sequence[UUID]) -> dict[UUID, list[ParentEnd]]:
    """Reads the parents of each of these jobs, by name, with the records that have ended since it was due last."""
    ends: dict[UUID, list[ParentEnd]] = defaultdict(list)
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [list(job_ids)])
        for parent in fetch_rows(cursor, ParentEnd):
            ends[parent.job_id].append(parent)
    return ends
