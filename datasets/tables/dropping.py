"""Takes away the tables of a workspace that goes, with their history and what is staged for them."""

from __future__ import annotations

import uuid

import psycopg
import structlog
from django.db import Error, connection, transaction
from psycopg import sql

from datasets.models import Table
from datasets.tables.place import TablePlace
from datasets.tables.staging import forget_staged

log = structlog.get_logger(__name__)


def drop_home_tables(workspace_id: uuid.UUID) -> None:
    """In the transaction that deletes the workspace. A relation that somebody's view or foreign key needs stays, and
    the log says so. Tables in the databases of connectors are their owners'."""
    rows = Table.objects.filter(dataset__workspace_id=workspace_id, connector_id=None)
    for table in rows:
        place = TablePlace(table.pk, table.schema, table.relation)
        with connection.cursor() as cursor:
            forget_staged(cursor.cursor, place)
            cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place.history))
        if table.version is None:
            continue  # never published: what has its name is somebody else's
        try:
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(place.rows))
        except Error as exc:
            if not isinstance(exc.__cause__, psycopg.errors.DependentObjectsStillExist):
                raise
            log.warning("table.left", schema=table.schema, relation=table.relation)
