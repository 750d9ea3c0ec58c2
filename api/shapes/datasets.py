"""A dataset and its versions as JSON."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from pydantic import ConfigDict, Field

from api.shapes.answers import Told
from api.shapes.fields import Whole
from api.shapes.marks import MarkOut, tell_mark
from api.shapes.tables import TableOut, tell_table
from datasets.models import DatasetKind, Version

NUMBER_MAX = 2_147_483_647


class DatasetOut(Told):
    """A named collection of files, or of tables, in numbered versions."""

    id: uuid.UUID
    name: str
    kind: DatasetKind = Field(description="What it holds: files, or the rows of tables.")
    job: str | None = Field(description="The job that keeps it current; none where that is gone.")
    job_id: uuid.UUID | None
    current_version: int | None = Field(description="None before the first sync.")
    file_count: int | None
    row_count: int | None = Field(description="Of all tables. None for files.")
    tables: list[TableOut] = Field(description="None of them for files.")
    size_bytes: int | None
    published_at: datetime | None
    created_at: datetime


class DatasetPage(Told):
    items: list[DatasetOut]
    next: str | None


class VersionOut(Told):
    """A state of the dataset that never changes."""

    number: int
    is_current: bool
    record_id: uuid.UUID | None = Field(description="The sync record that published it.")
    restores: int | None = Field(description="The version that somebody went back to with it.")
    restored_by: str
    file_count: int
    size_bytes: int
    files_added: int = Field(description="Against the version before, as the next two.")
    files_changed: int
    files_removed: int
    rows: int | None = Field(description="Of all tables. It and what follows is null for files.")
    rows_added: int | None
    rows_changed: int | None
    rows_removed: int | None
    tables_changed: list[str] | None
    mark: MarkOut | None
    published_at: datetime


class VersionPage(Told):
    items: list[VersionOut]
    next: str | None


class RollbackIn(Told):
    model_config = ConfigDict(extra="forbid")

    version: Whole = Field(ge=1, le=NUMBER_MAX, description="The one to go back to.")


def tell_dataset(dataset: Any) -> dict[str, Any]:
    job = getattr(dataset, "job", None)
    apart = ("job", "job_id", "tables")
    plain = [name for name in DatasetOut.model_fields if name not in apart]
    return {name: getattr(dataset, name) for name in plain} | {
        "tables": [tell_table(table) for table in dataset.tables.all()],
        "job": job.name if job else None,
        "job_id": job.pk if job else None,
    }


def tell_version(version: Version) -> dict[str, Any]:
    apart = ("published_at", "mark")
    plain = [name for name in VersionOut.model_fields if name not in apart]
    return {name: getattr(version, name) for name in plain} | {
        "published_at": version.created_at,
        "mark": tell_mark(version.mark),
    }
