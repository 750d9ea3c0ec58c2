"""What the page of one sync record shows; cheap enough to be asked every two seconds."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.utils import timezone

from console.words import NOTHING
from datasets.models import Version
from farends.registry import SPECS
from farends.spec import ROWS
from syncjobs.core.states import Stage, State
from syncjobs.models import AfterPublish, ItemAction, SyncItem, SyncRecord
from syncjobs.queries.explaining import explain
from syncjobs.records.asking import find_applied, find_approved

EVENTS_SHOWN = 60
FILES_SHOWN = 12  # of each action
FILES_PAGE = 100
_ORDER = (
    ItemAction.FAILED,
    ItemAction.ADDED,
    ItemAction.CHANGED,
    ItemAction.REMOVED,
    ItemAction.SKIPPED,
    ItemAction.DEFERRED,
    ItemAction.LEFT,
    ItemAction.DELETED,
    ItemAction.MOVED,
)


def describe_record_page(record: SyncRecord) -> dict[str, Any]:
    version = None
    if record.dataset_version is not None:
        version = Version.objects.filter(
            dataset=record.job.dataset_id, number=record.dataset_version
        ).first()
    events = list(record.events.order_by("-id")[:EVENTS_SHOWN])
    return {
        "record": record,
        "running": record.state == State.RUNNING,
        "final": record.is_final,
        "stages": _stages(record),
        "totals": _totals(record),
        "of_rows": _is_of_rows(record),
        "held_tables": _held_tables(record),
        "needs_answer": needs_answer(record),
        "quarantined": bool(record.rows_failed),
        "events": events[::-1],
        "older_events": len(events) == EVENTS_SHOWN,
        "files": _first_files(record),
        "version": version,
        "why": explain(record),
        "plan": record.plan if record.dry_run else None,
        "applied": find_applied(record) if record.dry_run else None,
        "approved": find_approved(record),
        "now": timezone.now(),
    }


def page_of_files(record: SyncRecord, action: str, after: int) -> tuple[list[SyncItem], int | None]:
    """One page of the ledger by keyset, and where the next one begins."""
    rows: QuerySet[SyncItem] = SyncItem.objects.filter(record=record, pk__gt=after)
    if action in ItemAction.values:
        rows = rows.filter(action=action)
    page = list(rows.order_by("pk")[: FILES_PAGE + 1])
    more = page[FILES_PAGE - 1].pk if len(page) > FILES_PAGE else None
    return page[:FILES_PAGE], more


def _first_files(record: SyncRecord) -> list[SyncItem]:
    """A few of each action, in no promised order: sorting a million rows is not for every poll."""
    files: list[SyncItem] = []
    for action in _ORDER:
        rows = SyncItem.objects.filter(record=record, action=action).order_by()
        files += rows[:FILES_SHOWN]
    return files


def _stages(record: SyncRecord) -> list[dict[str, str]]:
    """The five stages, each `done`, `now` or `todo`."""
    order = list(Stage)
    reached = order.index(Stage(record.stage)) if record.stage else -1
    if record.state in (State.SUCCEEDED, State.PARTIAL):
        reached = len(order)
    return [
        {
            "name": stage.replace("_", " "),
            "standing": "done" if index < reached else "now" if index == reached else "todo",
        }
        for index, stage in enumerate(order)
    ]


def _is_of_rows(record: SyncRecord) -> bool:
    if record.connector is None:
        return True  # of a dataset's files
    spec = SPECS.get(record.connector.kind)
    return spec is not None and spec.far_end == ROWS


def _row_totals(record: SyncRecord) -> list[dict[str, Any]]:
    named = [
        ("rows read", record.rows_read, ""),
        ("added", record.rows_added, "plus"),
        ("changed", record.rows_changed, "tilde"),
        ("removed", record.rows_removed, "minus"),
        ("unchanged", record.rows_unchanged, ""),
        ("in quarantine", record.rows_failed, "cross"),
        ("without a cursor", record.rows_without_cursor, ""),
        ("doubles", record.rows_duplicate, ""),
        ("values without a type", record.values_nulled, ""),
    ]
    shown = [*named[:6]] + [each for each in named[6:] if each[1]]
    return [
        {"name": name, "count": count or 0, "tone": tone, "action": ""}
        for name, count, tone in shown
    ]


def needs_answer(record: SyncRecord) -> bool:
    """Whether a person must say what becomes of a column that has changed."""
    tables: dict[str, Any] = (record.hold or {}).get("tables") or {}
    changes = [change for table in tables.values() for change in table["schema_changes"]]
    return record.state == State.HELD and any(change["offers"] for change in changes)


def _held_tables(record: SyncRecord) -> list[dict[str, Any]]:
    if record.state != State.HELD:
        return []
    tables: dict[str, dict[str, Any]] = (record.hold or {}).get("tables") or {}
    return [
        {
            **table,
            "name": name,
            "changes": [
                {**change, "was": change["from"] or NOTHING, "now": change["to"] or NOTHING}
                for change in table["schema_changes"]
            ],
            "keys": [
                ", ".join(f"{column} = {value}" for column, value in key.items())
                for key in table["sample_keys"]
            ],
        }
        for name, table in tables.items()
    ]


def _totals(record: SyncRecord) -> list[dict[str, Any]]:
    if _is_of_rows(record):
        return _row_totals(record)
    named = [
        ("added", record.files_added, "plus", "added"),
        ("changed", record.files_changed, "tilde", "changed"),
        ("removed", record.files_removed, "minus", "removed"),
        ("unchanged", record.files_unchanged, "", ""),
        ("failed", record.files_failed, "cross", "failed"),
        ("skipped", record.files_skipped, "", "skipped"),
    ]
    if record.files_deferred:
        named.append(("deferred", record.files_deferred, "", "deferred"))
    if record.job.after_publish != AfterPublish.KEEP or record.files_cleared or record.files_left:
        word = "moved" if record.job.after_publish == AfterPublish.MOVE else "deleted"
        named += [
            (f"{word} at the source", record.files_cleared, "", word),
            ("left at the source", record.files_left, "cross", "left"),
        ]
    return [
        {"name": name, "count": count, "tone": tone, "action": action}
        for name, count, tone, action in named
    ]
