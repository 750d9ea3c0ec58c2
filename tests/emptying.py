"""After a test that commits, only the tables that have rows are emptied.

Django's own way, TRUNCATE of every table and the signals of a migration, takes 0.12 s: more than most tests
that it follows.
"""

from __future__ import annotations

from functools import cache

from django.apps import apps
from django.db import connection
from django.test import TransactionTestCase

KEPT = {
    "django_content_type",
    "auth_permission",
    "auth_group",
    "auth_group_permissions",
}  # migrations wrote them
FEW = 200  # rows that DELETE is quicker for


@cache
def _look() -> str:
    """Says of each table whether it has any row, and more than a few."""
    models = apps.get_models(include_auto_created=True)
    tables = sorted({model._meta.db_table for model in models if model._meta.managed} - KEPT)
    looks = (
        f"SELECT '{table}', EXISTS (SELECT FROM {table}), EXISTS (SELECT FROM {table} OFFSET {FEW})"  # noqa: S608
        for table in tables
    )
    return " UNION ALL ".join(looks)


def empty(_: TransactionTestCase) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_look())
        found = cursor.fetchall()
        few = [table for table, some, many in found if some and not many]
        many = [table for table, _, many in found if many]
        if many:
            # A process that has just ended may still be at its last statement, on a busy machine for long.
            emptied = f"TRUNCATE {', '.join(many)} CASCADE"
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '60s'; {emptied}; COMMIT")
        if few:
            deletes = "; ".join(f"DELETE FROM {table}" for table in few)  # noqa: S608 — names of tables
            # References are deferred, as Django makes them, so that any order will do.
            cursor.execute(f"BEGIN; SET LOCAL lock_timeout = '60s'; {deletes}; COMMIT")
