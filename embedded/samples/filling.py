"""Two tables of the demo: customers of the sample API, and orders out of CSV files that came over SFTP."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import connection
from psycopg import sql

from cli.chores import DEMO
from datasets.models import Table
from embedded.samples.shop_api import CUSTOMERS
from syncjobs.models import SyncJob
from workspaces.lookup import find_by_name, find_workspace

SHOP, CUSTOMERS_JOB, ORDERS_JOB = "sample-shop", "customers", "orders"
ORDERS_FROM = "sample-sftp-files"
ORDERS = 30 * 800  # as `tree` makes them
_QUESTIONS = {
    CUSTOMERS_JOB: ("count(*), max(balance)", "the largest balance is"),
    ORDERS_JOB: ("count(*), sum(pieces)", "pieces in all:"),
}


@dataclass(frozen=True, slots=True)
class Filled:
    """One table: how many rows it has, and how many it should have."""

    rows: int
    expected: int


def table_samples() -> dict[str, Any]:
    """The configuration of both tables, in the form of a YAML document. The job of the CSV files follows the dataset
    that they are in."""
    shop = {
        "name": SHOP,
        "kind": "rest",
        "host": "127.0.0.1",
        "port": int(os.environ["DEMO_SHOP_PORT"]),
        "options": {"scheme": "http", "base": "/v1", "auth": "bearer"},
        "secret": {"token": Path(os.environ["DEMO_SHOP_KEY_FILE"]).read_text(encoding="utf-8")},
    }
    customers = {
        "name": CUSTOMERS_JOB,
        "connector": SHOP,
        "entity": {
            "path": "/customers",
            "records": "data",
            "page": {"param": "limit", "size": 100},
            "next": {"cursor": "data[-1].id", "param": "starting_after", "more": "has_more"},
        },
        "key": ["id"],
        "cursor": {"field": "updated", "param": "updated_since", "format": "epoch"},
        "schedule": {},
    }
    orders = {
        "name": ORDERS_JOB,
        "connector": {"dataset": ORDERS_FROM},
        "entity": {"path": "exports/orders-*.csv", "format": "csv"},
        "key": ["order"],
        "cursor": None,
        "sync_mode": "full",
    }
    return {"workspaces": [{"name": DEMO, "connectors": [shop], "sync_jobs": [customers, orders]}]}


def find_job(name: str) -> SyncJob:
    """Raises LookupError."""
    workspace = find_workspace(DEMO)
    job = find_by_name(SyncJob.objects.all(), workspace, name) if workspace else None
    if job is None:
        raise LookupError(f"there is no job {name} in workspace {DEMO}")
    return job


def ask_table(job: SyncJob, say: Callable[[str], object]) -> Filled:
    """Asks the table of the job by SQL, and says where it lies and what it answers."""
    table = Table.objects.get(dataset=job.dataset_id)
    columns, words = _QUESTIONS[job.name]
    with connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT {} FROM {}").format(
                sql.SQL(columns), sql.Identifier(table.schema, table.relation)
            )
        )
        rows, answer = cursor.fetchone()
    say(f"  {table.schema}.{table.relation}: {rows:,} rows; {words} {answer:,}")
    return Filled(rows, CUSTOMERS if job.name == CUSTOMERS_JOB else ORDERS)
