"""A sync record as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, create_model

from api.shapes.answers import Told
from api.shapes.marks import MarkOut
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from syncjobs.queries.progress import estimate_remaining_s

if TYPE_CHECKING:
    SchemaChangeOut = Told
else:
    SchemaChangeOut = create_model(
        "SchemaChangeOut",
        __base__=Told,
        __module__=__name__,
        table=(str, ...),
        column=(str, ...),
        change=(Literal["added", "dropped", "renamed", "widened", "changed"], ...),
        to=(str | None, Field(description="The type that the column has now.")),
        offers=(list[str], Field(description="What `release` takes as `schema_changes`.")),
        # A word that Python has for itself.
        **{"from": (str | None, Field(description="The type that it had."))},
    )


class HeldOut(Told):
    """What a guard has stopped, until a person releases or cancels the record."""

    rule: str
    reason: str
    removed: int = Field(description="Files or rows that would go.")
    table_rows: int | None = Field(description="Rows of the table now.")
    sample_keys: list[dict[str, str | None]] = Field(description="Of some of these rows.")
    schema_changes: list[SchemaChangeOut]


class TableRecordOut(Told):
    """How one of several tables ended."""

    name: str
    state: str
    error_code: str = ""
    error: str = ""
    rows_read: int | None = None
    rows_added: int | None = None
    rows_changed: int | None = None
    rows_removed: int | None = None
    rows_unchanged: int | None = None
    rows_failed: int | None = None
    rows_without_cursor: int | None = None
    rows_duplicate: int | None = None
    values_nulled: int | None = None
    cursor_column: str | None = None
    mark: MarkOut | None = None
    dataset_version: int | None = None
    held: HeldOut | None = None
    sample: dict[str, list[dict[str, str | None]]] | None = Field(
        None,
        description="Of a dry run: the keys of some rows that would be `added`, `changed`, `removed`.",
    )
    warning: str = ""


class RecordOut(Told):
    """One execution of a sync job."""

    id: uuid.UUID
    job: str = Field(description="The job's name.")
    job_id: uuid.UUID
    connector: str | None = Field(description="The connector's name. null: it reads a dataset.")
    connector_id: uuid.UUID | None
    source_dataset: str | None = Field(description="The name of the dataset that it reads, if any.")
    trigger: str
    scheduled_for: datetime | None
    backfill_id: uuid.UUID | None
    mode: str
    dry_run: bool
    state: State
    verdict: str = Field(description="The rule that decided last.")
    stage: str
    percentage: float
    current_file_index: int
    total_files: int | None
    files_added: int
    files_changed: int
    files_removed: int
    files_unchanged: int
    files_failed: int
    files_skipped: int
    files_deferred: int
    bytes_transferred: int
    total_bytes: int | None = Field(
        description="Of the files to fetch. null: not known, or not of every file."
    )
    bytes_done: int = Field(description="Of these: received by any attempt, or given up.")
    bytes_per_s: int | None = Field(description="Lately, while it runs; null: not known yet.")
    remaining_s: float | None = Field(description="At this rate; null: not known.")
    rows_read: int | None = Field(description="This and the other counts of rows: null for files.")
    rows_added: int | None
    rows_changed: int | None
    rows_removed: int | None
    rows_unchanged: int | None
    rows_failed: int | None = Field(description="They are in quarantine.")
    rows_without_cursor: int | None
    rows_duplicate: int | None
    values_nulled: int | None = Field(description="Values that no type holds.")
    cursor_column: str | None
    mark: MarkOut | None
    held: HeldOut | None
    tables: list[TableRecordOut] | None = Field(description="Of rows: how each table ended.")
    attempt: int
    heartbeat_at: datetime | None
    expected_duration_s: float | None = Field(
        description="From the job's own history. null: it has none, so it is not known yet."
    )
    deadline_s: float | None = Field(
        description="How long its attempt may take. null: none has begun."
    )
    worked_s: float | None = Field(
        description="How long its ended attempts worked, together, without what it waited or was held."
    )
    queued_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str
    error_code: str
    warning: str
    waiting_for: str
    dataset_version: int | None


class RetryIn(Told):
    model_config = ConfigDict(extra="forbid")

    failed_only: bool = Field(
        False,
        description="True: the new record takes the failed files of this one alone. It fetches, changes and removes"
        " nothing else.",
    )


class ReleaseIn(Told):
    model_config = ConfigDict(extra="forbid")

    schema_changes: Literal["rebuild", "new_column", "stop"] | None = Field(
        None,
        description="What becomes of a column that has changed; needed where `held.rule` is `schema_change`, as its"
        " `offers` say.",
    )


class RecordPage(Told):
    items: list[RecordOut]
    next: str | None


_APART = (
    *("job", "connector", "source_dataset", "job_id", "connector_id", "backfill_id"),
    *("held", "remaining_s"),
)
# The rest of a record's columns is for its worker; they are long, and many. `hold` becomes `held`.
SHOWN = [*(name for name in RecordOut.model_fields if name not in _APART), "hold"]


def tell_line(line: Any) -> dict[str, Any]:
    """Fills `RecordOut`; `line` of `lines_of`."""
    told = {
        **line._asdict(),
        "job": line.job__name,
        "connector": line.connector__name,
        "source_dataset": line.source_dataset__name,
    }
    return told | _tell_rest(line)


def tell_record(record: SyncRecord) -> dict[str, Any]:
    """Fills `RecordOut`; `record` with its job and connector."""
    return {
        "job": record.job.name,
        "job_id": record.job_id,
        "connector": record.connector.name if record.connector else None,
        "connector_id": record.connector_id,
        "source_dataset": record.source_dataset.name if record.source_dataset else None,
        "backfill_id": record.backfill_id,
        **{name: getattr(record, name) for name in SHOWN},
        **_tell_rest(record),
    }


def _tell_rest(row: Any) -> dict[str, Any]:
    return {
        "remaining_s": estimate_remaining_s(row),
        "cursor_column": row.cursor_column or None,
        "held": tell_held(row.state, row.hold, row.error),
    }


def tell_held(state: str, hold: Any, error: str) -> dict[str, Any] | None:
    """Fills `HeldOut`; None where nothing is held. Of several tables that are held, all are told as one."""
    if state != State.HELD or hold is None:
        return None
    tables: list[dict[str, Any]] = list((hold.get("tables") or {}).values())
    if len(tables) == 1:
        return tables[0]
    return {
        "rule": hold["rule"],
        "reason": error,
        "removed": hold["files"],
        "table_rows": sum(table["table_rows"] for table in tables) if tables else None,
        "sample_keys": [key for table in tables for key in table["sample_keys"]],
        "schema_changes": [change for table in tables for change in table["schema_changes"]],
    }
