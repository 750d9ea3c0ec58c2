"""Tells the home database what another database has committed, once: whoever told it may have died before that was noted."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import psycopg
import structlog
from django.db import connection, transaction
from psycopg.types.json import Jsonb

from datasets.models import Version
from datasets.tables.bad_rows import forget_bad_rows, read_bad_rows
from datasets.tables.ledger import next_number
from datasets.tables.rollback_report import RollbackReport, tell_rollback
from datasets.tables.row_writing import renumber_history
from datasets.tables.table_state import CommittedState, PlaceFence, settle_report
from search.indexing.marking import note_published
from syncjobs.works.following import wake_readers
from syncjobs.works.rows.access import RowDatabases
from syncjobs.works.rows.home import TableReport, write_at_home
from syncjobs.works.rows.outcome import PUBLISHED
from syncjobs.works.rows.quarantine import add_to_quarantine

log = structlog.get_logger(__name__)

_IS_TOLD = """
SELECT EXISTS (SELECT FROM datasets_version
                WHERE dataset_id = %(dataset)s AND record_id = %(record)s AND %(table)s = ANY(tables_changed))
    OR EXISTS (SELECT FROM syncjobs_syncrecord
                WHERE id = %(record)s AND NOT dry_run AND tables @> ANY(%(outcomes)s::jsonb[]))
"""


def tell_home(
    databases: RowDatabases,
    dataset_id: uuid.UUID,
    record_id: uuid.UUID,
    report: TableReport,
    write_into_record: Callable[[psycopg.Cursor[Any], TableReport], None] = lambda *_: None,
) -> None:
    """`record_id`: the record that committed it. `write_into_record` goes last, because the heartbeat passes the record's row
    over until the commit."""
    bad = read_bad_rows(databases.place, report.table_id)
    with databases.at_home() as cursor:
        if not _is_told(cursor, dataset_id, record_id, report):
            report = _renumber(databases, cursor, dataset_id, report)
            write_at_home(cursor, report)
            add_to_quarantine(cursor, record_id, report.outcome.name, bad)
            write_into_record(cursor, report)
    PlaceFence(report.table_id, databases.token).settle(databases.place)
    forget_bad_rows(databases.place, report.table_id)


def tell_other(databases: RowDatabases, dataset_id: uuid.UUID, committed: CommittedState) -> None:
    """What a record that has ended, or a rollback, has committed there, if home does not know it."""
    if committed.report is None:
        return
    if (rollback := RollbackReport.find_in(committed.report)) is not None:
        tell_home_of_rollback(databases.place, rollback)
    elif committed.record_id is not None:
        report = TableReport.from_json(committed.report)
        tell_home(databases, dataset_id, committed.record_id, report)


def tell_home_of_rollback(place: psycopg.Connection[Any], report: RollbackReport) -> Version:
    """Returns the version that it made."""
    with transaction.atomic(), connection.cursor() as cursor:
        version = tell_rollback(place, report)
        wake_readers(cursor, report.dataset_id)
        note_published(cursor, report.dataset_id)
    try:
        settle_report(place, report.report_id)
    except psycopg.Error as exc:  # whoever reads the report again finds that home knows
        log.warning("dataset.report_stays", dataset=str(report.dataset_id), sqlstate=exc.sqlstate)
    log.info(
        "dataset.rolled_back_elsewhere", dataset=str(report.dataset_id), version=version.number
    )
    return version


def _is_told(
    cursor: psycopg.Cursor[Any], dataset_id: uuid.UUID, record_id: uuid.UUID, report: TableReport
) -> bool:
    name = report.outcome.name
    outcomes = [Jsonb([{"name": name, "state": state.value}]) for state in sorted(PUBLISHED)]
    cursor.execute(
        _IS_TOLD,
        {"dataset": dataset_id, "record": record_id, "table": name, "outcomes": outcomes},
    )
    return cursor.fetchone() == (True,)


def _renumber(
    databases: RowDatabases,
    cursor: psycopg.Cursor[Any],
    dataset_id: uuid.UUID,
    report: TableReport,
) -> TableReport:
    """Another table may have taken the number since: versions have one order."""
    if report.change is None:
        return report
    number = next_number(cursor, dataset_id)
    if number == report.change.number:
        return report
    renumber_history(databases.place, report.table_id, report.change.number, number)
    return replace(
        report,
        change=replace(report.change, number=number),
        outcome=replace(report.outcome, dataset_version=number),
    )
