"""Rows out of Parquet, with the types that the file tells."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from farends.errors import ProtocolViolation
from tests.rowsources.held_folder import bad_rows, load, read_all

pytestmark = pytest.mark.django_db


def test_types_and_values_are_those_of_the_file(tmp_path: Path) -> None:
    rows = """
SELECT 1::INTEGER AS id, 18446744073709551615::UBIGINT AS big, 1.50::DECIMAL(12, 2) AS money, 0.1::DOUBLE AS d,
       '007' AS code, '' AS empty, DATE '2026-01-31' AS day, TIMESTAMPTZ '2026-01-31 10:00:00+02' AS at, [1, 2] AS many,
       '\\x01\\xFF'::BLOB AS raw, true AS ok
UNION ALL SELECT 2, NULL, NULL, NULL, NULL, 'a "b", c', NULL, NULL, NULL, NULL, false"""
    duckdb.sql("SET TimeZone='UTC'")
    duckdb.sql(f"COPY ({rows}) TO '{tmp_path / 'a.parquet'}' (FORMAT parquet)")
    entity, chunks = read_all(tmp_path, {"path": "a.parquet"})
    assert [column.type for column in entity.columns] == [
        "integer", "numeric", "numeric(12,2)", "double precision", "text", "text", "date",
        "timestamp with time zone", "jsonb", "bytea", "boolean",
    ]  # fmt: skip
    assert bad_rows(chunks) == []
    assert load(entity, chunks) == [
        ("1", "18446744073709551615", "1.50", "0.1", "007", "", "2026-01-31",
         "2026-01-31 08:00:00+00", "[1, 2]", "\\x01ff", "true"),
        ("2", None, None, None, None, 'a "b", c', None, None, None, None, "false"),
    ]  # fmt: skip


def test_what_is_no_parquet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("id,name\n1,a\n")
    with pytest.raises(ProtocolViolation, match=r"a\.parquet cannot be read as parquet"):
        read_all(tmp_path, {"path": "a.parquet"})
