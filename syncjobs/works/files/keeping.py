"""Keeps the plan of a dry run or of a held record, file by file, and compares a later listing with it."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from datasets.catalog import Catalog
from datasets.catalog_sql import PLAN
from datasets.fencing import Fenced, check_fence
from farends.names import printable
from syncjobs.core.plans import Held, Terms
from syncjobs.engine.order import Outcome
from syncjobs.engine.progress import Trouble
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.works.contract import Claim
from syncjobs.works.files.publishing import write_troubles

SHOWN = 100  # files that a drifted record names; the counts are of all

_ITEMS = f"""
INSERT INTO syncjobs_syncitem (record_id, path, action, size_bytes, modified_ns, etag, error_code,
    message)
SELECT %(record)s, path, action, size_bytes, modified_ns, etag, '', '' FROM ({PLAN}) p ORDER BY path
"""  # noqa: S608 — made of constants

_KEEP = """
UPDATE syncjobs_syncrecord SET plan = %(plan)s
 WHERE id = %(record)s AND token = %(token)s AND lease_owner = %(owner)s
"""

# A newer record of the job decides for the older ones: nobody is asked about their plans any more.
_DROP_PLANNED = """
DELETE FROM syncjobs_plannedfile WHERE record_id = %(record)s OR record_id IN (
    SELECT other.id FROM syncjobs_syncrecord mine JOIN syncjobs_syncrecord other USING (job_id)
     WHERE mine.id = %(record)s AND other.hold IS NOT NULL)
"""
_PLANNED = f"""
INSERT INTO syncjobs_plannedfile (record_id, path, action, size_bytes, modified_ns)
SELECT %(record)s, path, action, size_bytes, modified_ns FROM ({PLAN}) p
"""  # noqa: S608 — made of constants
_UNRELEASED = """
SELECT count(*), min(path) FROM change c WHERE action = 'removed' AND NOT EXISTS (
    SELECT FROM syncjobs_plannedfile p
     WHERE p.record_id = %(record)s AND p.action = 'removed' AND p.path = c.path)
"""

_DRIFT = f"""
CREATE TEMP TABLE drift AS
SELECT coalesce(n.path, o.path) AS path,
       CASE WHEN o.path IS NULL THEN 'came' WHEN n.path IS NULL THEN 'went' ELSE 'changed' END AS what,
       o.action AS action_then, n.action AS action_now,
       o.size_bytes AS bytes_then, n.size_bytes AS bytes_now
  FROM ({PLAN}) n
  FULL JOIN (SELECT path COLLATE "C" AS path, action, size_bytes, modified_ns, etag
               FROM syncjobs_syncitem
              WHERE record_id = %(plan)s AND action IN ('added', 'changed', 'removed')) o
    ON n.path = o.path
 WHERE n.path IS NULL OR o.path IS NULL OR (n.action, n.size_bytes, n.modified_ns, n.etag)
       IS DISTINCT FROM (o.action, o.size_bytes, o.modified_ns, o.etag)
"""  # noqa: S608 — made of constants


@dataclass(frozen=True, slots=True)
class Drift:
    """How things differ from the approved plan. `files` are the first of all, as dictionaries: path,
    what (came, changed, went), and action and bytes then and now."""

    reason: str
    came: int
    changed: int
    went: int
    files: list[dict[str, Any]]


class PlanDrifted(Exception):
    """The approved plan is not what would be done now."""

    code = "plan_drifted"

    def __init__(self, drift: Drift) -> None:
        super().__init__(drift.reason)
        self.drift = drift


def list_terms(job: SyncJob, catalog: Catalog, outcome: Outcome) -> Terms:
    """Call it after the comparison."""
    return Terms(
        digest=catalog.digest_plan(removals=outcome.removals),
        version=catalog.find_version(),
        afterwards=" to ".join(filter(None, (job.after_publish, job.move_to))),
    )


def keep_plan(
    session: psycopg.Connection[Any],
    claim: Claim,
    catalog: Catalog,
    outcome: Outcome,
    terms: Terms,
    troubles: Iterable[Trouble],
) -> None:
    """Raises Fenced, and then nothing was written."""
    plan = outcome.plan
    kept = {
        "terms": asdict(terms),
        "files": plan.wanted,
        "bytes": plan.wanted_bytes,
        "held_files": plan.held,
        "listing_complete": outcome.listing_complete,
        "guard": asdict(outcome.held) if outcome.held else None,
    }
    named = {
        "record": claim.record_id,
        "token": claim.token,
        "owner": claim.owner,
        "removals": outcome.removals,
        "plan": Jsonb(kept),
    }
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        check_fence(cursor, catalog.parameters)
        cursor.execute("DELETE FROM syncjobs_syncitem WHERE record_id = %(record)s", named)
        cursor.execute(_ITEMS, named)
        write_troubles(cursor, claim, troubles)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute(_KEEP, named)
        if cursor.rowcount != 1:
            raise Fenced("the record was taken back")


def keep_held_plan(
    session: psycopg.Connection[Any], claim: Claim, catalog: Catalog, outcome: Outcome
) -> dict[str, Any]:
    """Keeps what the guard has stopped, in place of what it stopped before; the `plan` of the record's `hold`. Raises
    Fenced, and then nothing was written."""
    named = {"record": claim.record_id, "removals": outcome.removals}
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        check_fence(cursor, catalog.parameters)
        cursor.execute(_DROP_PLANNED, named)
        cursor.execute(_PLANNED, named)
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        catalog.moved()
    counts = asdict(outcome.plan)
    return counts | {
        "digest": catalog.digest_plan(removals=outcome.removals),
        "version": catalog.find_version(),
    }


def judge_released(
    session: psycopg.Connection[Any], record: SyncRecord, outcome: Outcome
) -> Held | None:
    """The guard's verdict on files that would go and were not among those that a person has released, or None."""
    waived = outcome.waived
    if waived is None or record.applies_id is not None or "plan" not in (record.hold or {}):
        return None
    with session.cursor() as cursor:
        cursor.execute(_UNRELEASED, {"record": record.pk})
        count, first = cursor.fetchone() or (0, "")
    if not count:
        return None
    files = "1 other file" if count == 1 else f"{count} other files"
    words = f"the plan has changed since it was released: {files} would go, the first {printable(first)}"
    return Held(waived.rule, f"{waived.reason}; {words}", waived.files)


def confirm_plan(
    session: psycopg.Connection[Any], record: SyncRecord, terms: Terms, outcome: Outcome
) -> None:
    """Raises PlanDrifted where `terms` are not those that were approved with the record's plan."""
    approved = Terms(**(record.plan or {})["terms"])
    if terms == approved or record.applies_id is None:
        return
    counts, files = _differences(session, record.applies_id, removals=outcome.removals)
    came, changed, went = (counts.get(what, 0) for what in ("came", "changed", "went"))
    words = [*_other_terms(approved, terms), f"{came} files came, {changed} changed, {went} went"]
    reason = f"not what was approved: {'; '.join(words)}. Nothing was fetched; make a new plan"
    raise PlanDrifted(Drift(reason, came, changed, went, files))


def _other_terms(approved: Terms, now: Terms) -> list[str]:
    words = []
    if approved.version != now.version:
        shown = [
            f"version {number}" if number else "no version"
            for number in (now.version, approved.version)
        ]
        words.append(f"the dataset has {shown[0]}, the plan was made against {shown[1]}")
    if approved.afterwards != now.afterwards:
        words.append(
            f"after publishing the job would {now.afterwards} files at the source, the plan said"
            f" {approved.afterwards}"
        )
    return words


def _differences(
    session: psycopg.Connection[Any], plan_id: uuid.UUID, *, removals: bool
) -> tuple[dict[str, int], list[dict[str, Any]]]:
    with session.cursor(row_factory=dict_row) as cursor:
        cursor.execute("DROP TABLE IF EXISTS drift")
        cursor.execute(_DRIFT, {"plan": plan_id, "removals": removals})
        cursor.execute("SELECT what, count(*) FROM drift GROUP BY what")
        counts = {row["what"]: row["count"] for row in cursor.fetchall()}
        cursor.execute("SELECT * FROM drift ORDER BY path LIMIT %s", [SHOWN])
        return counts, cursor.fetchall()
