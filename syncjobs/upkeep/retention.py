"""Removes the versions of datasets that no rule of their owners keeps, and that nothing rests on.

Two steps, each of which another process can take over on any line: under the dataset's fence the versions expire, all at
once; later what they alone needed is cleared, some at a time. Between the two lies the grace period of the sweep, for
whoever reads a version that he found before. The content itself goes by the sweep, which knows what running records have
stored.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import timedelta

import psycopg
import structlog
from django.db import Error as DatabaseError
from django.db import OperationalError, connection, transaction
from django.db.models import Q, QuerySet

from connectors.models import Connector
from connectors.opening import open_database
from database.rows import fetch_rows
from datasets.expiring import (
    FreedBy,
    clear_entries,
    clear_history,
    expire_versions,
    find_clearable,
    measure_freed,
    note_cleared,
)
from datasets.models import Dataset, Table, Version
from farends.errors import Stalled, TransportError
from search.indexing.tidying import drop_unnamed_texts
from search.models import IndexedText
from syncjobs.claims.halting import refuse_if_halted
from syncjobs.core.keeping import (
    KEEP_ALL,
    HeldVersion,
    KeepDecision,
    KeepRule,
    choose_rule,
    decide_kept,
)
from syncjobs.models import CurrentTree, SyncJob
from syncjobs.queries.resting import find_rests
from syncjobs.upkeep.sweeping import GRACE_S
from timing.clock import database_now
from workspaces import auditing
from workspaces.models import Workspace

log = structlog.get_logger(__name__)

ACTION = "versions removed"
_ELSEWHERE_S = 30.0  # to reach the database of a connector
_KEPT = """
SELECT number, lag(created_at) OVER (ORDER BY number DESC) AS superseded_at
  FROM datasets_version WHERE dataset_id = %s AND expired_at IS NULL ORDER BY number DESC
"""
_RULES = ("keep_versions", "keep_days", "keep_bytes")


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What would go of a dataset now, and how much that would free: bytes, and contents or rows. `rule_of` says who set
    the rule: job, workspace, or nobody. `busy`: somebody publishes just now, so nothing was removed."""

    dataset: Dataset
    rule: KeepRule
    rule_of: str
    kept_count: int
    decision: KeepDecision
    freed_bytes: int = 0
    freed_count: int = 0
    busy: bool = False

    @property
    def kept_after(self) -> int:
        return self.kept_count - len(self.decision.going)


def find_rule(dataset: Dataset) -> tuple[KeepRule, str]:
    """The rule for a dataset, and whose it is. What a deleted job has left keeps all that it has: nobody has said anything
    else of it."""
    job = getattr(dataset, "job", None)
    if not isinstance(job, SyncJob):
        return KEEP_ALL, ""
    own = read_keep_rule(job)
    chosen = choose_rule(own, read_keep_rule(dataset.workspace))
    return chosen, "job" if own.is_set else "workspace" if chosen.is_set else ""


def plan_retention(dataset: Dataset) -> RetentionPlan:
    """What the next pass removes, as things stand."""
    return _plan(_look_at(dataset))


def retain(workspaces: Sequence[Workspace] | None = None) -> list[RetentionPlan]:
    """Expires what no rule keeps, and clears what expired before; the plans of the datasets for which a rule is set.
    Raises Halted: a restored database does not know all that its original has promised."""
    refuse_if_halted("no version is removed")
    plans = [_expire(dataset) for dataset in _iter_ruled(workspaces)]
    expired = Version.either.exclude(expired_at=None).values("dataset")
    for dataset in _limit(Dataset.either.filter(pk__in=expired), workspaces):
        clear_expired(dataset)
    return plans


def plan_all(workspaces: Sequence[Workspace] | None = None) -> list[RetentionPlan]:
    """The plans of the datasets for which a rule is set."""
    return [plan_retention(dataset) for dataset in _iter_ruled(workspaces)]


def clear_expired(dataset: Dataset, *, grace_s: float = GRACE_S) -> None:
    """Clears what only versions needed that expired longer ago than that."""
    below = find_clearable(dataset.pk, database_now() - timedelta(seconds=grace_s))
    if not below:
        return
    entries, rows = clear_entries(dataset.pk, below), 0
    for table in dataset.tables.filter(cleared_to__lt=below):
        rows += _clear_table(table, below)
    gone = IndexedText.objects.filter(dataset=dataset).exclude(gone_at=None)
    texts = drop_unnamed_texts(dataset.pk) if gone.exists() else 0
    if entries or rows or texts:
        log.info(
            "dataset.cleared", dataset=str(dataset.pk), entries=entries, rows=rows, texts=texts
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """A dataset as a plan found it; `versions` newest first."""

    dataset: Dataset
    rule: KeepRule
    rule_of: str
    versions: tuple[HeldVersion, ...]
    freed: tuple[FreedBy, ...] = ()


def _expire(dataset: Dataset) -> RetentionPlan:
    seen = _look_at(dataset)
    plan = _plan(seen)
    if not plan.decision.going:
        return plan
    try:
        with transaction.atomic():
            return _expire_within(seen)
    except OperationalError as exc:
        if not isinstance(exc.__cause__, psycopg.errors.LockNotAvailable):
            raise
    return _put_off(plan)


def _expire_within(seen: _Seen) -> RetentionPlan:
    """From the lock on nobody publishes, goes back or claims: it is decided again, by what stands then."""
    held = Dataset.objects.select_for_update(no_key=True).filter(pk=seen.dataset.pk).first()
    dataset = None if held is None else _list_described().filter(pk=held.pk).first()
    if dataset is None:
        return _put_off(_plan(seen))
    now = _look_at(dataset, measures=False)
    plan = _plan(replace(now, freed=seen.freed))
    if (now.rule, now.versions) != (seen.rule, seen.versions):
        return _put_off(plan)
    oldest, going = plan.decision.oldest, plan.decision.going
    if oldest is None or not going:
        return plan
    with connection.cursor() as cursor:
        expire_versions(cursor, dataset.pk, oldest)
    _forget_tree(dataset, oldest)
    rule = ", ".join(f"{name} {value}" for name, value in name_keep_rule(now.rule).items())
    auditing.note(dataset, ACTION, {"oldest_version": [going[0], oldest], "rule": [None, rule]})
    log.info(
        "dataset.versions_removed",
        dataset=str(dataset.pk),
        workspace=dataset.workspace.name,
        first=going[0],
        last=going[-1],
        frees_bytes=plan.freed_bytes,
    )
    return plan


def name_keep_rule(rule: KeepRule) -> dict[str, int]:
    """What is set, by the names of the options."""
    told = dict(zip(_RULES, (rule.versions, rule.days, rule.size_bytes), strict=True))
    return {name: value for name, value in told.items() if value is not None}


def _look_at(dataset: Dataset, *, measures: bool = True) -> _Seen:
    rule, owner = find_rule(dataset)
    with connection.cursor() as cursor:
        cursor.execute(_KEPT, [dataset.pk])
        versions = tuple(fetch_rows(cursor, HeldVersion))
    freed: list[FreedBy] = []
    if measures and versions and not rule.keeps_all:
        freed = measure_freed(dataset, versions[-1].number)
    return _Seen(dataset, rule, owner, versions, tuple(freed))


def _plan(seen: _Seen) -> RetentionPlan:
    sizes: Counter[int] = Counter()
    for one in seen.freed:
        sizes[one.number] += one.size_bytes
    decision = decide_kept(
        seen.versions,
        seen.rule,
        database_now(),
        freed_bytes=sizes,
        rests=[] if seen.rule.keeps_all else find_rests(seen.dataset),
    )
    gone = [one for one in seen.freed if one.number <= (decision.oldest or 0)]
    return RetentionPlan(
        seen.dataset,
        seen.rule,
        seen.rule_of,
        len(seen.versions),
        decision,
        freed_bytes=sum(one.size_bytes for one in gone),
        freed_count=sum(one.count for one in gone),
    )


def _put_off(plan: RetentionPlan) -> RetentionPlan:
    log.info("dataset.retention_put_off", dataset=str(plan.dataset.pk))
    return replace(plan, decision=KeepDecision(), freed_bytes=0, freed_count=0, busy=True)


def _forget_tree(dataset: Dataset, oldest: int) -> None:
    """A folder that its job left, and whose files nobody can tell from others any more: the job asks for an empty one."""
    trees = CurrentTree.objects.filter(job__dataset=dataset, version__lt=oldest)
    trees.exclude(path="").delete()


def read_keep_rule(row: SyncJob | Workspace) -> KeepRule:
    return KeepRule(row.keep_versions, row.keep_days, row.keep_bytes)


def _list_described() -> QuerySet[Dataset]:
    return Dataset.objects.select_related("workspace", "job").order_by("workspace__name", "name")


def _iter_ruled(workspaces: Sequence[Workspace] | None) -> Iterator[Dataset]:
    """The datasets for which somebody has set a rule."""
    is_set = Q()
    for name in _RULES:
        is_set |= Q(**{f"job__{name}__isnull": False}) | Q(**{f"workspace__{name}__isnull": False})
    rows = _list_described().filter(is_set, job__isnull=False)
    yield from _limit(rows, workspaces)


def _limit(rows: QuerySet[Dataset], workspaces: Sequence[Workspace] | None) -> QuerySet[Dataset]:
    return rows if workspaces is None else rows.filter(workspace__in=workspaces)


def _clear_table(table: Table, below: int) -> int:
    """A database that does not answer keeps its history for now."""
    try:
        if table.connector_id is None:
            with connection.cursor() as cursor:
                cleared = clear_history(cursor, table, below)
        else:
            cleared = _clear_elsewhere(table, below)
    except (DatabaseError, psycopg.Error, TransportError) as exc:
        log.warning(
            "dataset.history_not_cleared", table=str(table.pk), error=str(exc).partition("\n")[0]
        )
        return 0
    note_cleared(table, below)
    return cleared


def _clear_elsewhere(table: Table, below: int) -> int:
    """Raises psycopg's errors, TransportError's children."""
    connector = Connector.objects.filter(pk__in=[table.connector_id]).first()
    if connector is None:
        return 0
    ends_at = time.monotonic() + _ELSEWHERE_S

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Stalled(f"no answer within {_ELSEWHERE_S:.0f} s")

    with closing(open_database(connector, check=check)) as session, session.cursor() as cursor:
        return clear_history(cursor, table, below)
