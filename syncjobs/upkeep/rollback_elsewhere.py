"""Rolls back tables that lie in the database of a connector: rows first, in one transaction there, then home is told.

Whoever dies between the two leaves a report beside the tables. The next record of the job, or the next rollback, tells it.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

import psycopg

from connectors.models import Connector
from database.sessions import open_session
from datasets.models import Dataset, Table, Version
from datasets.tables.going_back import (
    CannotGoBack,
    find_later_tables,
    find_state_of_then,
    restore_table,
)
from datasets.tables.moments import print_alike
from datasets.tables.restoring import Restored
from datasets.tables.rollback_report import RollbackReport
from datasets.tables.table_state import PlaceFence
from syncjobs.works.contract import Failed
from syncjobs.works.rows.access import DESTINATION, RowDatabases, make_home_fence, open_place
from syncjobs.works.rows.order import RowDestination
from syncjobs.works.rows.telling import tell_home_of_rollback, tell_other
from workspaces.races import work_again_after_races

AFTERWARDS = "If it was done there all the same, the next sync or rollback of the dataset shows it"


class DestinationAway(Exception):
    """The database of the tables cannot be worked with now; the message says why."""


def lies_elsewhere(dataset_id: uuid.UUID) -> bool:
    tables = Table.objects.filter(dataset=dataset_id).exclude(version=None)
    return tables.exclude(connector_id=None).exists()


def roll_back_elsewhere(dataset: Dataset, target: int, *, token: int, by: str) -> Version | None:
    """The new, current version; None where the tables hold just what `target` does. Raises CannotGoBack, DestinationAway,
    Fenced, TableGone."""
    tables = list(Table.objects.filter(dataset=dataset).exclude(version=None).order_by("name"))
    with _opening(dataset, tables, token) as databases:
        place = databases.place
        for table in tables:
            committed = PlaceFence(table.pk, token).take(place)
            tell_other(databases, dataset.pk, committed)
        report = _bring_back(place, dataset, tables, target, token=token, by=by)
        if report is None:
            return None
        # What is committed there cannot be done once more: only this is.
        return work_again_after_races(lambda: tell_home_of_rollback(place, report))


@contextmanager
def _opening(dataset: Dataset, tables: Sequence[Table], token: int) -> Iterator[RowDatabases]:
    connector = _get_connector(dataset, tables)
    destination = RowDestination(connector.pk, None, None, adopt=False)
    fence = make_home_fence(dataset.pk, token)
    try:
        with (
            closing(open_place(connector)) as place,
            closing(open_session(statement_timeout_s=300, name=f"rollback {dataset.pk}")) as home,
        ):
            databases = RowDatabases(home, place, fence, token, destination)
            with databases.mapping():
                yield databases
    except Failed as exc:
        if exc.code == DESTINATION:
            raise CannotGoBack(str(exc)) from exc
        raise DestinationAway(str(exc)) from exc


def _get_connector(dataset: Dataset, tables: Sequence[Table]) -> Connector:
    """All tables of a dataset lie in one database."""
    ids = {table.connector_id for table in tables}
    found = Connector.objects.filter(workspace=dataset.workspace_id, pk__in=[*filter(None, ids)])
    connector = found.first()
    if len(ids) > 1 or connector is None:
        raise CannotGoBack("the connector of the tables' database is not there any more")
    return connector


def _bring_back(
    place: psycopg.Connection[object],
    dataset: Dataset,
    tables: Sequence[Table],
    target: int,
    *,
    token: int,
    by: str,
) -> RollbackReport | None:
    """In one transaction for all tables; None where nothing differs."""
    latest = Version.objects.filter(dataset=dataset).latest("number")
    number = latest.number + 1
    with place.transaction(), place.cursor() as cursor:
        print_alike(cursor)
        restored: dict[uuid.UUID, Restored] = {}
        for table in tables:
            PlaceFence(table.pk, token).check(cursor)
        for table in find_later_tables(dataset.pk, target):
            told = restore_table(cursor, table, target, number)
            if told is not None:
                restored[table.pk] = told
        if not restored:
            return None
        report = RollbackReport(uuid.uuid4(), dataset.pk, number, target, by, restored)
        for table in tables:
            _leave_report(cursor, table, report, token)
    return report


def _leave_report(
    cursor: psycopg.Cursor[object], table: Table, report: RollbackReport, token: int
) -> None:
    """Beside each table, so that nothing of the dataset is published before home knows."""
    fence = PlaceFence(table.pk, token)
    if table.pk not in report.restored:
        fence.note(cursor, report.to_json())
        return
    mark, _ = find_state_of_then(table, report.target)
    fence.write(cursor, record_id=None, version=report.number, mark=mark, report=report.to_json())
