"""Takes away the tables of a workspace or a dataset that goes, with their history and what is staged for them."""

from __future__ import annotations

import uuid

import psycopg
import structlog
from django.db import Error, connection, transaction
from psycopg import sql

from datasets.models import Table
from datasets.tables.place import TablePlace
from datasets.tables.staging import forget_staged


class TableNeeded(Exception):
    """Somebody's views or foreign keys need the relation; the message names them."""


log = structlog.get_logger(__name__)


def drop_home_tables(workspace_id: uuid.UUID) -> None:
    """In the transaction that deletes the workspace. A relation that somebody's view or foreign key needs stays, and
    the log says so. Tables in the databases of connectors are their owners'."""
    rows = Table.objects.filter(dataset__workspace_id=workspace_id, connector_id=None)
    for table in rows:
        try:
            with transaction.atomic():
                drop_home_table(table)
        except TableNeeded:
            _drop_beside(table)
            log.warning("table.left", schema=table.schema, relation=table.relation)


def drop_home_table(table: Table) -> None:
    """In the transaction that forgets the table. Raises TableNeeded, after which the caller's savepoint is of no more use."""
    place = _drop_beside(table)
    if table.version is None:
        return  # never published: what has its name is somebody else's
    try:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place.rows))
    except Error as exc:
        if not isinstance(exc.__cause__, psycopg.errors.DependentObjectsStillExist):
            raise
        raise TableNeeded(_tell_needing(exc.__cause__)) from exc


def _drop_beside(table: Table) -> TablePlace:
    place = TablePlace(table.pk, table.schema, table.relation)
    with connection.cursor() as cursor:
        forget_staged(cursor.cursor, place)
        cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place.history))
    return place


def _tell_needing(exc: psycopg.Error) -> str:
    """PostgreSQL names each object that needs the table on a line of its own."""
    return "; ".join((exc.diag.message_detail or "").splitlines())
