"""A sync record as commands tell it: in lines, as JSON, and by an exit status."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cli.lines import Lines, make_lines
from syncjobs.core.states import FINAL, State
from syncjobs.models import SyncRecord
from syncjobs.queries.progress import estimate_remaining_s

EXIT_STATUS = {
    State.SUCCEEDED: 0,
    State.FAILED: 1,
    State.TIMED_OUT: 1,
    State.CANCELLED: 3,
    State.PARTIAL: 4,
    State.HELD: 5,
}
FILES_SHOWN = 20
_IN_JSON = (
    "state verdict stage percentage files_added files_changed files_removed files_unchanged"
    " files_failed files_skipped bytes_transferred attempt dataset_version error_code error"
    " waiting_for plan drift files_cleared files_left warning rows_read rows_added rows_changed rows_removed"
    " rows_unchanged rows_failed rows_without_cursor rows_duplicate values_nulled cursor_column tables"
)


def is_over(record: SyncRecord) -> bool:
    """Whether nothing more happens to it without a person."""
    return record.state in FINAL or record.state == State.HELD


def describe_progress(record: SyncRecord) -> str:
    if record.state == State.QUEUED:
        return f"queued: waits for {record.waiting_for or 'a worker'}"
    if record.rows_read is not None:
        return f"{record.stage.replace('_', ' ')}: {record.rows_read:,} rows read"
    if record.total_files is None:
        return record.stage.replace("_", " ") or record.state
    words = f"file {record.current_file_index} of {record.total_files}"
    if record.total_bytes is not None:
        words += f", {record.bytes_done:,} of {record.total_bytes:,} bytes"
    if (left_s := estimate_remaining_s(record)) is not None:
        words += f", {left_s:.0f} s left"
    return f"{record.stage.replace('_', ' ')}: {words}"


def describe_record(record: SyncRecord) -> Lines:
    """One record in a few lines, for a terminal."""
    lines = [f"{record.job.name}: {record.state} ({record.pk})"]
    if record.state in (State.SUCCEEDED, State.PARTIAL):
        lines += [f"  {line}" for line in _count_lines(record)]
        took = "" if record.worked_s is None else f", {record.worked_s:.1f} s"
        version = f", dataset version {record.dataset_version}" if record.dataset_version else ""
        lines.append(f"  {record.bytes_transferred:,} bytes{took}{version}")
    if record.files_cleared or record.files_left:
        lines.append(f"  at the source: {record.files_cleared} cleared, {record.files_left} left")
    if record.warning:
        lines.append(f"  warning: {record.warning}")
    lines += [f"  {line}" for line in _plan_lines(record)]
    if record.waiting_for:
        lines.append(f"  waits for {record.waiting_for}")
    if record.error:
        lines.append(f"  {record.error_code}: {record.error}")
    return make_lines(lines)


def _count_lines(record: SyncRecord) -> Iterator[str]:
    what = "files" if record.rows_read is None else "rows"
    usual = ("added", "changed", "removed", "unchanged")
    counts = {how: getattr(record, f"{what}_{how}") or 0 for how in usual}
    seldom = ("failed", "skipped", "deferred", "without_cursor", "duplicate")
    counts |= {how: count for how in seldom if (count := getattr(record, f"{what}_{how}", None))}
    told = ", ".join(f"{count:,} {how.replace('_', ' ')}" for how, count in counts.items())
    yield told if what == "files" else f"rows: {record.rows_read or 0:,} read, {told}"
    tables: list[dict[str, Any]] = record.tables or []
    if len(tables) > 1:
        for table in tables:
            reason = f": {table['error']}" if table.get("error") else ""
            yield f"{table['name']}: {table['state']}{reason}"
    if record.rows_failed:
        yield f"rows in quarantine: manage.py quarantine {record.pk}"


def _plan_lines(record: SyncRecord) -> list[str]:
    lines: list[str] = []
    if record.dry_run and record.plan is not None and "tables" in record.plan:
        lines += _row_plan_lines(record, record.plan)
    elif record.dry_run and record.plan is not None:
        lines.append(f"{record.plan['files']} files, {record.plan['bytes']:,} bytes to fetch")
        if guard := record.plan["guard"]:
            lines.append(f"would be held: {guard['reason']}")
        if (afterwards := record.plan["terms"]["afterwards"]) != "keep":
            lines.append(f"published files would then go from the source ({afterwards})")
        if not record.plan["listing_complete"]:
            lines.append("the listing is not complete, so nothing would be removed")
        for item in record.items.order_by("pk")[:FILES_SHOWN]:
            size = "" if item.size_bytes is None else f" ({item.size_bytes:,} bytes)"
            lines.append(f"{item.action:<8} {item.path}{size}")
        if more := record.items.count() - FILES_SHOWN:
            lines += [f"… and {more} more"] if more > 0 else []
        lines.append(f"apply it with: sync {record.job.name} --apply {record.pk}")
    for file in (record.drift or {}).get("files", [])[:FILES_SHOWN]:
        lines.append(f"{file['what']:<8} {file['path']}")
    return lines


def _row_plan_lines(record: SyncRecord, plan: dict[str, Any]) -> Iterator[str]:
    for name, told in plan["tables"].items():
        counts = ", ".join(f"{told[how]:,} {how}" for how in ("added", "changed", "removed"))
        yield f"{name}: {counts}"
    for name, told in plan["not_planned"].items():
        yield f"{name}: not planned: {told['code']}: {told['error']}"
    if guard := plan["guard"]:
        yield f"would be held: {guard['reason']}"
    if plan["tables"]:
        yield f"apply it with: sync {record.job.name} --apply {record.pk}"


def dump_record(record: SyncRecord) -> dict[str, Any]:
    """Returns a record as `--json` prints it."""
    return {"id": str(record.pk), "job": record.job.name} | {
        name: getattr(record, name) for name in _IN_JSON.split()
    }
