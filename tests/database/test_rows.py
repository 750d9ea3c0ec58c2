"""A row's values go by the names of its columns, whatever their order."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from django.db import connection

from database.rows import ColumnsDiffer, fetch_row, fetch_rows, fetch_split

pytestmark = pytest.mark.django_db


@dataclass(frozen=True, slots=True)
class Pair:
    first: int
    second: str
    third: int = 3


@pytest.mark.parametrize(
    ("columns", "pair"),
    [
        ("1 AS first, 'b' AS second", Pair(1, "b")),
        ("'b' AS second, 1 AS first", Pair(1, "b")),
        ("1 AS first, 'b' AS second, 4 AS third", Pair(1, "b", 4)),
        ("4 AS third, 1 AS first, 'b' AS second", Pair(1, "b", 4)),
    ],
)
def test_columns_become_the_fields_of_their_names(columns: str, pair: Pair) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns}")
        assert fetch_rows(cursor, Pair) == [pair]
        cursor.execute(f"SELECT {columns}")
        assert fetch_row(cursor, Pair) == pair
        assert fetch_row(cursor, Pair) is None


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ("1 AS first", "missing: second"),
        ("1 AS first, 'b' AS second, 5 AS fourth", "unknown: fourth"),
        ("1 AS first, 'b' AS other", "missing: second; unknown: other"),
        ("1 AS first, 2 AS first, 'b' AS second", "the statement gives first, first, second"),
        ("", "the statement gives no columns; missing: first, second"),
    ],
)
def test_a_column_too_many_or_too_few_is_refused_before_the_first_row(
    columns: str, complaint: str
) -> None:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {columns} WHERE false")
        with pytest.raises(ColumnsDiffer, match=complaint):
            fetch_rows(cursor, Pair)
        cursor.execute(f"SELECT {columns} WHERE false")
        with pytest.raises(ColumnsDiffer, match=complaint):
            fetch_row(cursor, Pair)


def test_a_row_in_two_has_its_head_as_it_is() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 7 AS first, 8, 1 AS first, 'b' AS second")
        assert fetch_split(cursor, 2, Pair) == ((7, 8), Pair(1, "b"))
        assert fetch_split(cursor, 2, Pair) is None
        cursor.execute("SELECT 7, 8 AS eighth, 1 AS first, 'b' AS second")
        with pytest.raises(ColumnsDiffer, match="unknown: eighth"):
            fetch_split(cursor, 1, Pair)
