"""Many rows at once, written by SQL: copies of one, which a model has filled, with what tells them apart.

A list of columns would be one that a new column is missing from.
"""

from __future__ import annotations

from typing import Any

from django.db import connection, models


def copy_row(
    row: models.Model, count: int, other: dict[str, str], *, join: str = "", **parameters: Any
) -> None:
    """Inserts `count` copies, for each row of the join where there is one. `other` has expressions by column, in which
    `n` counts the copies and `template` is the row."""
    columns = [str(field.column) for field in row._meta.concrete_fields]
    names = ", ".join(f'"{column}"' for column in columns)
    values = ", ".join(other.get(column, f'template."{column}"') for column in columns)
    table, key = table_of(type(row)), f'"{row._meta.pk.column}"'
    with connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '20min'")
        cursor.execute(
            f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} template"  # noqa: S608 — our own names
            f" CROSS JOIN generate_series(1, %(count)s) n {join} WHERE template.{key} = %(template)s",
            {"count": count, "template": row.pk, **parameters},
        )


def table_of(model: type[models.Model]) -> str:
    return f'"{model._meta.db_table}"'
