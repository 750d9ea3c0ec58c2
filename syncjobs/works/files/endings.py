"""How an attempt at a file sync ends, in the words and columns of its record."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from datasets.versions import Published
from farends.errors import ConnectionLost
from syncjobs.core.plans import Held
from syncjobs.core.states import Event
from syncjobs.engine.order import Outcome
from syncjobs.engine.progress import Progress
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Ending, Failed, end
from syncjobs.works.files.keeping import PlanDrifted


def end_held(held: Held, plan: dict[str, Any]) -> Ending:
    return end(
        Event.GUARD_STOPPED,
        held.reason,
        verdict=f"guard.{held.rule}",
        error_code=held.rule,
        error=held.reason,
        hold={"rule": held.rule, "files": held.files, "plan": plan},
        guards_waived=False,
        waiting_for="a person, to release or cancel it",
    )


def end_planned(outcome: Outcome) -> Ending:
    plan = outcome.plan
    guard = f"; would be held: {outcome.held.reason}" if outcome.held else ""
    return end(
        Event.SUCCEEDED,
        f"dry run: nothing was fetched{guard}",
        verdict="dry_run",
        files_added=plan.added,
        files_changed=plan.changed,
        files_removed=plan.removed if outcome.removals else 0,
        files_unchanged=plan.unchanged,
    )


def end_drifted(exc: PlanDrifted) -> Ending:
    return end(
        Event.FAILED,
        str(exc),
        verdict=exc.code,
        error_code=exc.code,
        error=str(exc),
        drift=asdict(exc.drift),
    )


def end_succeeded(
    outcome: Outcome, published: Published, progress: Progress, warning: str
) -> Ending:
    """Wholly, or in part where files failed; failed where nothing could be published at all. Raises Failed where
    another attempt may have more."""
    snapshot = progress.snapshot
    changes: dict[str, Any] = {
        "verdict": "ok",
        "files_unchanged": outcome.plan.unchanged + published.same,
        "warning": warning,
    }
    if snapshot.files_failed == 0:
        return end(Event.SUCCEEDED, "every file is as the source has it", **changes)
    first = progress.first_failed
    if first is None:
        raise LookupError("a failed file was counted and not told")
    error = f"{snapshot.files_failed} could not be synced; the first: {first.path}: {first.message}"
    if not outcome.listing_complete:
        error += "; nothing was removed, because the listing is not complete"
    if not published.is_held:
        error += "; nothing was published, because nothing could be had"
        if first.code == ConnectionLost.code:  # said of a file, it is true of the host
            raise Failed(first.code, error, retryable=True)
        failed = {"verdict": first.code, "error_code": first.code, "error": error}
        return end(Event.FAILED, error, **changes | failed)
    partial = {"verdict": "partial", "error_code": first.code, "error": error}
    return end(Event.PARTLY_SUCCEEDED, error, **changes | partial)


def end_published_already(record: SyncRecord) -> Ending:
    """Ends a record whose plan was applied before its worker was lost: a further listing could find more than was
    approved."""
    counted = ("bytes_transferred", "files_failed", "files_skipped", "files_deferred")
    known = {name: getattr(record, name) for name in counted}
    event = Event.PARTLY_SUCCEEDED if record.files_failed else Event.SUCCEEDED
    verdict = "partial" if record.files_failed else "ok"
    return end(event, "published by an earlier attempt", verdict=verdict, **known)
