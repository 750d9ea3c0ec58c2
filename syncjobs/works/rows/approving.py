"""The plan of a dry run, and what a record that applies it may do.

Each table is approved by itself, as each is published by itself: where one has drifted, the others are applied.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from typing import Any

from syncjobs.core.row_terms import PLAN_DRIFTED, RowsDrifted, RowTerms
from syncjobs.models import SyncRecord
from syncjobs.works.contract import Failed
from syncjobs.works.rows.outcome import TableOutcome, TableState


def make_row_plan(outcomes: Iterable[TableOutcome]) -> dict[str, Any]:
    """The record's `plan`. `not_planned` are tables that a person must look at before anything is known of their rows, or
    that failed; they are not applied."""
    outcomes = list(outcomes)
    planned = {one.name: one for one in outcomes if one.terms is not None}
    return {
        "tables": {name: asdict(one.terms) for name, one in planned.items() if one.terms},
        "not_planned": {
            one.name: {"code": one.error_code, "error": one.error}
            for one in outcomes
            if one.name not in planned
        },
        "guard": _describe_guard([one for one in planned.values() if one.held is not None]),
    }


def _describe_guard(held: Sequence[TableOutcome]) -> dict[str, Any] | None:
    """What the approval waives; as the `hold` of a record, with its reason."""
    if not held:
        return None
    first = held[0]
    more = f"{len(held)} tables; the first: " if len(held) > 1 else ""
    return {
        "rule": first.error_code,
        "reason": f"{more}{first.name}: {first.error}",
        "files": sum((one.held or {}).get("removed", 0) for one in held),
        "tables": {one.name: one.held for one in held},
    }


def need_terms(record: SyncRecord, table: str) -> RowTerms | None:
    """What was approved for the table; None where the record applies no plan. Raises RowsDrifted, and Failed where the
    plan has nothing to apply."""
    if record.applies_id is None:
        return None
    plan = record.plan or {}
    if (found := plan["tables"].get(table)) is not None:
        return RowTerms(**found)
    if (told := plan["not_planned"].get(table)) is not None:
        raise Failed(
            told["code"],
            f"the plan has no rows of {table} to apply: {told['error']}. Run the job to decide there",
        )
    reason = (
        f"{table} is not in the plan that was approved: nothing of it was written; make a new plan"
    )
    raise RowsDrifted(table, reason, {"then": None, "now": None})


def list_gone(record: SyncRecord, offered: Collection[str]) -> list[TableOutcome]:
    """Tables of the approved plan that the source does not offer any more."""
    if record.applies_id is None:
        return []
    words = "{} is in the plan that was approved, and the source does not offer it any more"
    return [
        tell_drift(
            RowsDrifted(name, words.format(name), {"then": told, "now": None}),
        )
        for name, told in (record.plan or {})["tables"].items()
        if name not in offered
    ]


def tell_drift(exc: RowsDrifted) -> TableOutcome:
    return TableOutcome(
        exc.drift["name"],
        TableState.FAILED,
        error_code=PLAN_DRIFTED,
        error=str(exc),
        drift=exc.drift,
    )
