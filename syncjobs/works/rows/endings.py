"""How an attempt at a row sync ends, in the words and columns of its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from syncjobs.core.row_terms import PLAN_DRIFTED
from syncjobs.core.states import Event
from syncjobs.works.contract import Ending, end
from syncjobs.works.rows.approving import make_row_plan
from syncjobs.works.rows.outcome import (
    PUBLISHED,
    RowTally,
    TableOutcome,
    TableState,
    sum_up,
)


def end_rows(outcomes: Sequence[TableOutcome], *, dry_run: bool) -> Ending:
    """Failed where no table came through, partial where some did not, held where some wait for a person and none
    failed."""
    changes = _count(outcomes)
    if dry_run:
        return _end_planned(outcomes, changes)
    if drifted := [one for one in outcomes if one.error_code == PLAN_DRIFTED]:
        tables = [one.drift for one in drifted]
        changes["drift"] = {"reason": drifted[0].error, "tables": tables}
    failed = [one for one in outcomes if one.state is TableState.FAILED]
    held = [one for one in outcomes if one.state is TableState.HELD]
    partial = [one for one in outcomes if one.state is TableState.PARTIAL]
    published = [one for one in outcomes if one.state in PUBLISHED]
    if failed:
        return _end_failed([*failed, *held], published, changes)
    if held:
        return _end_held(held, changes)
    if partial:
        error = "; ".join(one.error for one in partial[:5])
        told = {"verdict": "partial", "error_code": partial[0].error_code, "error": error}
        return end(Event.PARTLY_SUCCEEDED, error, **changes | told)
    return end(
        Event.SUCCEEDED, "every table is as the source has it", **changes | {"verdict": "ok"}
    )


def _count(outcomes: Sequence[TableOutcome]) -> dict[str, Any]:
    total = sum_up(outcomes)
    changes: dict[str, Any] = {one.name: getattr(total, one.name) for one in fields(RowTally)}
    changes["tables"] = [one.to_json() for one in outcomes]
    changes["warning"] = "; ".join(dict.fromkeys(one.warning for one in outcomes if one.warning))
    if outcomes:
        last = outcomes[-1]
        changes |= {"cursor_column": last.cursor_column, "mark": last.mark}
    return changes


def _end_planned(outcomes: Sequence[TableOutcome], changes: dict[str, Any]) -> Ending:
    would = [f"{one.name}: {one.error}" for one in outcomes if one.error]
    guard = f"; would not be published: {'; '.join(would[:5])}" if would else ""
    return end(
        Event.SUCCEEDED,
        f"dry run: nothing was written{guard}",
        **changes | {"verdict": "dry_run", "mark": None, "plan": make_row_plan(outcomes)},
    )


def _end_failed(
    failed: Sequence[TableOutcome], published: Sequence[TableOutcome], changes: dict[str, Any]
) -> Ending:
    first = failed[0]
    error = first.error
    if published or len(failed) > 1:
        error = f"{len(failed)} tables were not published; the first: {first.name}: {first.error}"
    told = {"error_code": first.error_code, "error": error}
    if published:
        verdict = {"verdict": "partial"}
        return end(Event.PARTLY_SUCCEEDED, error, **changes | told | verdict)
    return end(Event.FAILED, error, **changes | told | {"verdict": first.error_code})


def _end_held(held: Sequence[TableOutcome], changes: dict[str, Any]) -> Ending:
    first = held[0]
    reason = first.error
    if len(held) > 1:
        reason = f"{len(held)} tables are held; the first: {first.name}: {first.error}"
    tables = {one.name: one.held for one in held}
    removed = sum((one.held or {}).get("removed", 0) for one in held)
    told = {
        "verdict": f"guard.{first.error_code}",
        "error_code": first.error_code,
        "error": reason,
        "hold": {"rule": first.error_code, "files": removed, "tables": tables},
        "guards_waived": False,
        "waiting_for": "a person, to release or cancel it",
    }
    return end(Event.GUARD_STOPPED, reason, **changes | told)
