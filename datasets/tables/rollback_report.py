"""What the home database is to be told of a rollback whose tables lie in another database.

The rows are brought back there first, with this report beside the state of each of the dataset's tables; then home is told.
Whoever takes one of the tables and finds the report tells it before anything else.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
from django.db import connection, transaction

from database.rows import Cursor
from datasets.models import Version
from datasets.tables.going_back import write_restored
from datasets.tables.ledger import next_number
from datasets.tables.restoring import Restored
from datasets.tables.row_writing import renumber_history

_LOCK = "SELECT 1 FROM datasets_dataset WHERE id = %s FOR NO KEY UPDATE"


@dataclass(frozen=True, slots=True)
class RollbackReport:
    """`number` is the version that the rollback makes of version `target`; `restored` are the tables that it changed."""

    report_id: uuid.UUID
    dataset_id: uuid.UUID
    number: int
    target: int
    by: str
    restored: Mapping[uuid.UUID, Restored]

    def to_json(self) -> dict[str, Any]:
        return {
            "rollback": {
                "report_id": str(self.report_id),
                "dataset_id": str(self.dataset_id),
                "number": self.number,
                "target": self.target,
                "by": self.by,
                "restored": {str(table): asdict(told) for table, told in self.restored.items()},
            }
        }

    @classmethod
    def find_in(cls, report: Mapping[str, Any]) -> RollbackReport | None:
        """None where the report is of a record."""
        given = report.get("rollback")
        if given is None:
            return None
        restored = {uuid.UUID(table): Restored(**told) for table, told in given["restored"].items()}
        ids = {name: uuid.UUID(given[name]) for name in ("report_id", "dataset_id")}
        return cls(**given | ids | {"restored": restored})


def tell_rollback(session: psycopg.Connection[Any], report: RollbackReport) -> Version:
    """Makes the version at home, once, and returns it. `session` is of the database of the tables. No fencing token is asked
    for: what is told has happened, and the dataset's row is locked meanwhile."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(_LOCK, [report.dataset_id])
        version = _find_told(report)
        if version is None:
            version = write_restored(
                report.dataset_id,
                report.restored,
                number=_number_anew(session, cursor, report),
                target=report.target,
                by=report.by,
            )
    return version


def _find_told(report: RollbackReport) -> Version | None:
    """Whoever was here before may have ended before they could note it. None of its tables has changed since."""
    told = Version.objects.filter(
        dataset=report.dataset_id, number__gte=report.number, restores=report.target
    )
    return told.first()


def _number_anew(session: psycopg.Connection[Any], cursor: Cursor, report: RollbackReport) -> int:
    """A table that came meanwhile may have taken the number: versions have one order."""
    number = next_number(cursor, report.dataset_id)
    if number != report.number:
        for table_id in report.restored:
            renumber_history(session, table_id, report.number, number)
    return number
