"""Which versions of a dataset are kept, what the next pass removes, and what a deletion took, as JSON."""

from __future__ import annotations

import uuid
from typing import Any

from pydantic import Field

from api.shapes.answers import Told
from api.shapes.tables import TableOut
from connectors.models import Connector
from datasets.models import Dataset, DatasetKind
from syncjobs.configuration.dataset_deletion import TableOfDataset, WhatGoes
from syncjobs.upkeep.retention import RetentionPlan


class RetentionOut(Told):
    """The rule that keeps the versions of a dataset, and what it says now."""

    dataset: str
    dataset_id: uuid.UUID
    keep_versions: int | None = Field(description="0: every version.")
    keep_days: int | None
    keep_bytes: int | None
    rule_of: str | None = Field(
        description="Who set it: `job` or `workspace`. null: nobody did, and every version is kept."
    )
    kept_versions: int = Field(description="Before the next pass.")
    oldest_kept: int | None = Field(
        description="After the next pass. null: the dataset has no version."
    )
    removed_versions: int = Field(description="So many versions the next pass removes.")
    first_removed: int | None
    last_removed: int | None
    frees_bytes: int = Field(
        description="At most: what another dataset has too stays. Of rows an estimate."
    )
    frees_contents: int | None = Field(description="null for tables.")
    frees_rows: int | None = Field(description="Older states of rows. null for files.")
    held_back: str | None = Field(
        description="What rests on a version that no rule keeps: that one and all after it stay."
    )


class DeletedDatasetOut(Told):
    """What a deletion took, and what it left."""

    id: uuid.UUID
    name: str
    versions: int
    size_bytes: int = Field(
        description="Of what it held. The sweep frees it, but for what another dataset has too."
    )
    row_count: int
    tables: list[TableOut] = Field(description="Of the home database: they are gone.")
    tables_left: list[TableOut] = Field(
        description="In databases of connectors: they stay as they are."
    )
    job: str | None = Field(description="It stays with its records, and is switched off.")
    records: int
    tree_left: str | None = Field(
        description="The folder that the job kept. Its files stay; empty it before the job syncs again."
    )


def tell_retention(plan: RetentionPlan) -> dict[str, Any]:
    going, is_files = plan.decision.going, plan.dataset.kind == DatasetKind.FILES
    return {
        "dataset": plan.dataset.name,
        "dataset_id": plan.dataset.pk,
        "keep_versions": plan.rule.versions,
        "keep_days": plan.rule.days,
        "keep_bytes": plan.rule.size_bytes,
        "rule_of": plan.rule_of or None,
        "kept_versions": plan.kept_count,
        "oldest_kept": plan.decision.oldest,
        "removed_versions": len(going),
        "first_removed": going[0] if going else None,
        "last_removed": going[-1] if going else None,
        "frees_bytes": plan.freed_bytes,
        "frees_contents": plan.freed_count if is_files else None,
        "frees_rows": None if is_files else plan.freed_count,
        "held_back": plan.decision.held_back and plan.decision.held_back.reason,
    }


def tell_deleted(dataset: Dataset, gone: WhatGoes) -> dict[str, Any]:
    wanted = [table.connector_id for table in gone.tables_left if table.connector_id is not None]
    names = dict(Connector.objects.filter(pk__in=wanted).values_list("pk", "name"))
    return {
        "id": dataset.pk,
        "name": dataset.name,
        "versions": gone.versions,
        "size_bytes": gone.size_bytes,
        "row_count": gone.rows,
        "tables": [_tell_table(table, names) for table in gone.tables],
        "tables_left": [_tell_table(table, names) for table in gone.tables_left],
        "job": gone.job,
        "records": gone.records,
        "tree_left": gone.tree or None,
    }


def _tell_table(table: TableOfDataset, connectors: dict[uuid.UUID, str]) -> dict[str, Any]:
    connector = None if table.connector_id is None else connectors.get(table.connector_id)
    return {
        "name": table.relation,
        "schema": table.schema,
        "entity": table.entity,
        "connector": connector,
    }
