"""Makes a staged table the relation itself: a first load writes each row once.

What is staged for it lies in a logged table, whose checkpoint is unlogged. So a crash of PostgreSQL forgets the
checkpoint, never the rows that it speaks of, and the rows are then read anew.
"""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg import sql

from datasets.tables.place import STAGING, list_columns_of
from datasets.tables.row_plan import TableLayout

# An index is the proof of a key, which a resumed reading needed. Default privileges are given to what is made in a
# schema, not to what moves into it.
_MAY_MOVE = """
SELECT c.relpersistence = 'p'
   AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid)
   AND NOT EXISTS (SELECT FROM pg_default_acl a JOIN pg_namespace n ON n.oid = a.defaclnamespace
                    WHERE a.defaclobjtype = 'r' AND n.nspname IN (%(from)s, %(into)s))
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %(from)s AND c.relname = %(name)s
"""


def adopt_staged(cursor: psycopg.Cursor[Any], layout: TableLayout) -> bool:
    """Returns whether the staged table is the relation now, without its key; else nothing was done."""
    if not _may_move(cursor, layout):
        return False
    name = f"s_{layout.place.table_id.hex}"
    schema = sql.Identifier(layout.place.schema)
    moved = sql.SQL("{}.{}").format(schema, sql.Identifier(name))
    cursor.execute(sql.SQL("ALTER TABLE {} RESET (autovacuum_enabled)").format(layout.place.staged))
    # First into the other schema: there its name is free, while here the relation's may be taken.
    cursor.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(layout.place.staged, schema))
    cursor.execute(
        sql.SQL("ALTER TABLE {} RENAME TO {}").format(moved, sql.Identifier(layout.place.relation))
    )
    return True


def _may_move(cursor: psycopg.Cursor[Any], layout: TableLayout) -> bool:
    name = f"s_{layout.place.table_id.hex}"
    staged = [(one.name, one.type) for one in list_columns_of(cursor, STAGING, name)]
    if staged != [(link.name, link.type) for link in layout.links]:
        return False
    cursor.execute(_MAY_MOVE, {"from": STAGING, "into": layout.place.schema, "name": name})
    return cursor.fetchone() == (True,)
