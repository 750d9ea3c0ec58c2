"""Rows out of JSON Lines: each value as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rowsources.held_folder import bad_rows, load, places, read_all

pytestmark = pytest.mark.django_db


def test_each_line_is_a_row_with_exact_numbers(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(
        b'{"id": 1, "n": 1234567890123456789012345, "at": "2026-01-01T00:00:00Z", "o": {"a": [1, 2.50]}}\n'
        b"\n"
        b'{"id": 2, "n": 0.10, "s": "a\\tb\\u00e9"}\n'
        b'{"id": 3, "n": null'
        b"\n[1, 2]\n"
        b'{"id": 4, "s": "x\\u0000y"}\n'
        b'{"id": 5}, {"id": 6}\n'
        b'{"id": 9007199254740993}'
    )
    entity, chunks = read_all(tmp_path, {"path": "a.jsonl"})
    assert {column.name: column.type for column in entity.columns} == {
        "id": "bigint",
        "n": "numeric",
        "at": "timestamp with time zone",
        "o": "jsonb",
        "s": "text",
    }
    assert load(entity, chunks) == [
        ("1", "1234567890123456789012345", "2026-01-01 00:00:00+00", '{"a": [1, 2.50]}', None),
        ("2", "0.10", None, None, "a\tb\u00e9"),
        ("9007199254740993", None, None, None, None),
    ]
    assert places(chunks) == [("a.jsonl", 1), ("a.jsonl", 3), ("a.jsonl", 8)]
    told = {(bad.line, bad.code) for bad in bad_rows(chunks)}
    assert told == {(4, "value"), (5, "value"), (6, "encoding"), (7, "value")}
