"""The databases of an attempt: the home database, and the one that the rows go to, which is mostly the same.

Errors of another database are mapped here, so that none of them is taken for the home database being away.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg

from connectors.models import Connector
from connectors.opening import open_database
from datasets.fencing import check_fence
from datasets.tables.place import set_up
from datasets.tables.staging import Fence
from datasets.tables.table_state import PlaceFence
from farends.errors import TransportError
from farends.sql.postgresql.errors import map_error
from syncjobs.models import SyncJob
from syncjobs.works.contract import Assignment, Failed
from syncjobs.works.rows.order import RowDestination, find_destination

DESTINATION = "destination"  # the code of what the destination itself refuses
_SILENT_S = 900.0  # one statement may write a whole table
_LIMITS = "SET statement_timeout = '15min'; SET lock_timeout = '30s'; SET idle_in_transaction_session_timeout = '60s'"


class HomeTrouble(Exception):
    """An error of the home database, met while another database was at work."""

    def __init__(self, error: psycopg.Error) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True, slots=True)
class RowDatabases:
    """`place` is where the rows go; `destination` None: at home."""

    home: psycopg.Connection[Any]
    place: psycopg.Connection[Any]
    home_fence: Fence
    token: int
    destination: RowDestination | None = None

    @property
    def is_home(self) -> bool:
        return self.destination is None

    def fence_place(self, table_id: Any) -> PlaceFence | None:
        """The fence of a table; None: the dataset's own at home."""
        return None if self.is_home else PlaceFence(table_id, self.token)

    @contextmanager
    def at_home(self) -> Iterator[psycopg.Cursor[Any]]:
        """A transaction of the home database, behind the dataset's fence."""
        try:
            with self.home.transaction(), self.home.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = '15min'")
                self.home_fence(cursor)
                yield cursor
        except psycopg.Error as exc:
            raise HomeTrouble(exc) from exc

    @contextmanager
    def mapping(self) -> Iterator[None]:
        """Raises Failed for what the destination refuses, and where another database cannot be worked with."""
        try:
            yield
        except HomeTrouble as exc:
            raise exc.error from exc
        except (psycopg.IntegrityError, psycopg.DataError) as exc:
            raise Failed(DESTINATION, _tell_refusal(exc)) from exc
        except psycopg.Error as exc:
            if self.is_home:
                raise
            raise map_destination(map_error(exc)) from exc


def _tell_refusal(error: psycopg.Error) -> str:
    """Without a row's content, which the server's own words may quote."""
    named = error.diag.constraint_name
    what = f"its constraint {named}" if named else f"the database ({error.sqlstate})"
    return f"the destination refuses the rows: {what}. Nothing was published"


def map_destination(error: TransportError) -> Failed:
    """A failure of the destination, and not of the source's host."""
    return Failed(
        error.code, f"the destination: {error}", retryable=error.retryable, waits=error.waits
    )


@contextmanager
def open_databases(assignment: Assignment, home: psycopg.Connection[Any]) -> Iterator[RowDatabases]:
    """Connects to the job's destination. Raises Failed where that fails."""
    claim = assignment.claim
    fence = make_home_fence(claim.dataset_id, claim.token)
    destination = find_destination(assignment.record.job)
    if destination is None:
        yield RowDatabases(home, home, fence, claim.token)
        return
    lease = assignment.lease
    connector = _get_connector(assignment.record.job, destination)
    place = open_place(connector, lease.check, lease.progress.moved)
    with closing(place):
        yield RowDatabases(home, place, fence, claim.token, destination)


def make_home_fence(dataset_id: uuid.UUID, token: int) -> Fence:
    return partial(_check_home, parameters={"dataset": dataset_id, "token": token})


def _check_home(cursor: psycopg.Cursor[Any], *, parameters: dict[str, Any]) -> None:
    check_fence(cursor, parameters)


def _get_connector(job: SyncJob, destination: RowDestination) -> Connector:
    found = Connector.objects.filter(
        pk=destination.connector_id, workspace_id=job.workspace_id
    ).first()
    if found is None:
        raise Failed(DESTINATION, "the destination's connector is not there any more")
    return found


def open_place(
    connector: Connector,
    check: Callable[[], None] = lambda: None,
    moved: Callable[[], None] = lambda: None,
) -> psycopg.Connection[Any]:
    """A session of another database that takes rows. Raises Failed."""
    try:
        session = open_database(connector, check=check, moved=moved)
    except TransportError as exc:
        raise map_destination(exc) from exc
    session.idle_s = _SILENT_S
    try:
        set_up(session)
        session.execute(_LIMITS)
    except psycopg.Error as exc:
        session.close()
        raise map_destination(map_error(exc)) from exc
    return session
