"""Tables that lie in the database of a connector: read as of each version like those at home."""

from __future__ import annotations

import pytest

from connectors.models import Connector
from syncjobs.models import SyncJob, SyncMode
from tests.api.asking import asker
from tests.api.test_table_history import copy_of, rows_at
from tests.hosts.databases import Database
from tests.rows import run
from tests.rowwork.conftest import connector_of_rows, database, make_row_job, orders
from tests.rowwork.memory import MemoryTable
from tests.rowwork.test_destinations import job, make_filling_job, warehouse
from workspaces.models import Role

__all__ = [  # fixtures
    "connector_of_rows",
    "database",
    "job",
    "make_filling_job",
    "make_row_job",
    "orders",
    "warehouse",
]
pytestmark = pytest.mark.django_db(transaction=True)


def test_rows_of_each_version_of_a_table_elsewhere(
    job: SyncJob, orders: MemoryTable, warehouse: Database
) -> None:
    run(job)
    first = copy_of(orders)
    orders.touch(orders.find(id="7"), name="changed")
    orders.remove(id="9")
    run(job, mode=SyncMode.FULL)
    assert rows_at(job, 1, limit=30) == first
    assert rows_at(job) == copy_of(orders)
    changes = asker().items(f"datasets/{job.dataset_id}/versions/2/changes")
    assert [(each["change"], each["key"]["id"]) for each in changes] == [
        ("changed", "7"),
        ("removed", "9"),
    ]
    [table] = asker().get(f"datasets/{job.dataset_id}").json()["tables"]
    connector = Connector.objects.get(kind="sql")
    assert (table["schema"], table["connector"]) == ("shop", connector.name)
    told = asker().get(f"datasets/{job.dataset_id}/schema").json()
    assert (told["table"], told["key"]) == (table, ["id"])
    refused = asker().get(f"datasets/{job.dataset_id}/rows", {"key": "x"})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["key"])


def test_a_database_that_is_away_is_told(job: SyncJob, warehouse: Database) -> None:
    run(job)
    Connector.objects.filter(kind="sql").update(port=1)
    refused = asker().get(f"datasets/{job.dataset_id}/rows")
    assert refused.status_code == 503
    assert "cannot be read" in refused.json()["detail"]
    refused = asker(Role.ADMIN).post(f"datasets/{job.dataset_id}/rollback", {"version": 1})
    assert refused.status_code == 503
    assert "cannot be worked with" in refused.json()["detail"]
