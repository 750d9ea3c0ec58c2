"""One attempt at a row sync: each table of the job on its own, one after the other.

It owns no transaction; it calls those that do, and asks the lease before each. A table that fails or is held does not
stop the others.
"""

from __future__ import annotations

from contextlib import closing

import structlog

from database.sessions import open_session
from datasets.models import DatasetKind
from datasets.tables.place import set_up
from farends.errors import TransportError
from farends.rows.contract import RowSource
from syncjobs.core.retries import LAST_TRY_S
from syncjobs.core.row_guards import RowRule
from syncjobs.core.row_terms import RowsDrifted
from syncjobs.models import SyncRecord, Trigger
from syncjobs.works.contract import Assignment, Ending, Failed
from syncjobs.works.rows.access import RowDatabases, open_databases
from syncjobs.works.rows.approving import list_gone, need_terms, tell_drift
from syncjobs.works.rows.endings import end_rows
from syncjobs.works.rows.order import TableOrder, list_tables
from syncjobs.works.rows.outcome import PUBLISHED, RowsHeld, TableOutcome, TableState
from syncjobs.works.rows.redriving import find_sent_rows
from syncjobs.works.rows.source import open_rows_of
from syncjobs.works.rows.table_sync import TableSync
from timing.clock import database_now

# No plan is made of rows that are held by these.
_OF_SOURCE = (RowRule.SCHEMA_CHANGE, RowRule.DUPLICATE_KEY)

log = structlog.get_logger(__name__)


class RowWork:
    """The work of every far end that offers rows."""

    dataset_kind = DatasetKind.TABLE

    def run(self, assignment: Assignment) -> Ending:
        lease, record = assignment.lease, assignment.record
        session = open_session(statement_timeout_s=300, name=assignment.claim.session_name)
        with closing(session), lease.cutting(session):
            set_up(session)
            with (
                open_rows_of(assignment) as source,
                open_databases(assignment, session) as databases,
            ):
                outcomes = _sync_all(assignment, databases, source)
        return end_rows(outcomes, dry_run=record.dry_run)


def _sync_all(
    assignment: Assignment, databases: RowDatabases, source: RowSource
) -> list[TableOutcome]:
    """What an earlier attempt of the record has published is not read again. Raises an error that another attempt may
    not meet once each table had its turn, and the error of the only table."""
    record = assignment.record
    known = [TableOutcome.from_json(one) for one in record.tables or []]
    outcomes = [one for one in known if one.state in PUBLISHED]
    done = {one.name for one in outcomes}
    tables = list_tables(record.job, source)
    if record.trigger == Trigger.REDRIVE:
        sent = {row.table for row in find_sent_rows(record)}
        tables = [order for order in tables if order.name in sent]
    errors: list[TransportError | Failed] = []
    for order in tables:
        if order.name not in done:
            outcomes.append(_sync_one(assignment, databases, source, order, outcomes, errors))
    outcomes += list_gone(record, {order.name for order in tables})
    again = [exc for exc in errors if exc.retryable and not _is_last_try(record, exc)]
    if again or (errors and len(tables) == 1):
        raise (again or errors)[0]
    return outcomes


def _is_last_try(record: SyncRecord, exc: TransportError | Failed) -> bool:
    """Whether no other follows if this one fails: then each table ends by itself."""
    if not exc.waits:
        return record.vain_attempts + 1 >= record.job.max_attempts
    ends_at = record.tries_until
    return ends_at is not None and (ends_at - database_now()).total_seconds() <= LAST_TRY_S


def _sync_one(
    assignment: Assignment,
    databases: RowDatabases,
    source: RowSource,
    order: TableOrder,
    before: list[TableOutcome],
    errors: list[TransportError | Failed],
) -> TableOutcome:
    """What the table failed with is added to `errors`."""
    try:
        need_terms(assignment.record, order.name)
        return TableSync(assignment, databases, source, before).run(order)
    except RowsDrifted as exc:
        log.warning("table.drifted", table=order.name)
        return tell_drift(exc)
    except RowsHeld as exc:
        if assignment.record.applies_id is not None and exc.rule in _OF_SOURCE:
            reason = f"{order.name} is not as it was approved: {exc}. Nothing of it was written; make a new plan"
            return tell_drift(RowsDrifted(order.name, reason, {"then": None, "now": None}))
        log.warning("table.held", table=order.name, rule=exc.rule.value)
        state = TableState.PLANNED if assignment.record.dry_run else TableState.HELD
        return TableOutcome(
            order.name, state, exc.tally, error_code=exc.rule.value, error=str(exc), held=exc.held
        )
    except (TransportError, Failed) as exc:
        log.warning("table.failed", table=order.name, code=exc.code)
        errors.append(exc)
        return TableOutcome(order.name, TableState.FAILED, error_code=exc.code, error=str(exc))
