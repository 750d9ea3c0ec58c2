"""Objects of JSON as rows of COPY, held against what PostgreSQL makes of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from farends.errors import ProtocolViolation
from farends.rows.contract import Column
from farends.rows.inference import ValueType, make_column
from farends.rows.json_rows import COLUMNS_MAX, Encoded, JsonRows
from farends.rows.json_text import JsonText, NotJson, NotThere, parse_path, show_cell
from farends.rows.names import make_names


def encode(body: bytes | str, rows: JsonRows) -> Encoded:
    text = JsonText(body if isinstance(body, bytes) else body.encode())
    return rows.encode(text.objects(()), text)


def load(rows: JsonRows, encoded: Encoded) -> list[dict[str, str | None]]:
    """The rows as PostgreSQL prints them, once COPY has taken them."""
    columns = rows.columns
    names = make_names(column.name for column in columns)
    quoted = [connection.ops.quote_name(names[column.name]) for column in columns]
    declared = ", ".join(
        f"{name} {column.type}" for name, column in zip(quoted, columns, strict=True)
    )
    with connection.cursor() as cursor:
        cursor.execute(f"CREATE TEMP TABLE loaded ({declared}) ON COMMIT DROP")
        with cursor.copy("COPY loaded FROM STDIN") as copying:
            copying.write(b"".join(encoded.rows))
        texts = ", ".join(f"{name}::text" for name in quoted)
        cursor.execute(f"SELECT {texts} FROM loaded")  # noqa: S608 — names that were quoted
        found = cursor.fetchall()
        cursor.execute("DROP TABLE loaded")
    return [dict(zip([column.name for column in columns], row, strict=True)) for row in found]


STRINGS = [
    "", " ", "\\N", "\\.", "a\tb", "a\nb", "a\r\nb", "\\", "\\\\t", 'say "x"', "/", "\b\f\v", "ü", "\u2028", "😀", "null", "true",
    "\x7f", "\x01", "a\\u0041", "%s {}", "NULL",
]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_string_arrives_as_it_is(ascii_only: bool) -> None:
    """Once a column that is new, and once one that is known to be text."""
    rows = JsonRows()
    body = json.dumps([{"s": text} for text in STRINGS], ensure_ascii=ascii_only)
    for _ in range(2):
        assert [row["s"] for row in load(rows, encode(body, rows))] == STRINGS
    assert rows.columns == (Column("s", "string", "text"),)


@pytest.mark.django_db
def test_numbers_arrive_with_every_digit() -> None:
    numbers = [
        "9007199254740993",
        "9223372036854775808",
        "-1.10",
        "0.1234567890123456789012345",
        "1234567890123456789012345",
    ]
    rows = JsonRows()
    body = "[" + ", ".join(f'{{"n": {number}}}' for number in numbers) + "]"
    for _ in range(2):
        assert [row["n"] for row in load(rows, encode(body, rows))] == numbers
    assert rows.columns == (Column("n", "number", "numeric"),)


@pytest.mark.django_db
def test_double_precision_is_for_columns_of_exponents_alone() -> None:
    rows = JsonRows()
    encoded = encode('[{"a": 1e5, "b": 1e5}, {"a": -2.5E-3, "b": 2}]', rows)
    assert [column.type for column in rows.columns] == ["double precision", "numeric"]
    assert [row["a"] for row in load(rows, encoded)] == ["100000", "-0.0025"]


@pytest.mark.django_db
@pytest.mark.parametrize("space", ["", " ", "\n\t "])
def test_what_is_nested_is_jsonb_with_every_digit(space: str) -> None:
    document = (
        f'{{{space}"b":{space}[1.10, 12345678901234567890.123, "\\\\ \\" \\n ü"], "a": {{}}}}'
    )
    rows = JsonRows()
    for _ in range(2):
        (loaded,) = load(rows, encode(f'[{{"d": {document}}}]', rows))
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s::jsonb::text", [document])
            assert cursor.fetchone() == (loaded["d"],)
    assert rows.columns[0].type == "jsonb"


@pytest.mark.django_db
@pytest.mark.parametrize("quiet", [True, False], ids=["known", "new"])
def test_mixed_values_are_text_as_they_were_written(quiet: bool) -> None:
    values = ['"x"', "5", "true", '{"a":1}', "[1]", "1.50", "null", '"2026-01-01"']
    rows = JsonRows([make_column("v", ValueType.TEXT)] if quiet else ())
    body = "[" + ", ".join(f'{{"v": {value}}}' for value in values) + "]"
    found = [row["v"] for row in load(rows, encode(body, rows))]
    assert found == ["x", "5", "true", '{"a":1}', "[1]", "1.50", None, "2026-01-01"]
    assert rows.columns[0].type == "text"
    assert not rows.rewritten  # nobody has stored another form of them


@pytest.mark.django_db
def test_times_that_stop_being_times_are_text_and_owe_a_second_pass() -> None:
    rows = JsonRows()
    for text, kind in (
        ("2026-01-01", "date"),
        ("2026-01-01T10:00:00", "timestamp without time zone"),
        ("2026-01-01T10:00:00+02:00", "timestamp with time zone"),
    ):
        load(rows, encode(json.dumps([{"t": text}]), rows))
        assert rows.columns[0].type == kind
    assert not rows.rewritten
    encode('[{"t": "2026-02-30T10:00:00Z"}]', rows)
    assert rows.columns[0].type == "text"
    assert rows.rewritten


BAD = {
    "nul": (b'{"id": 2, "v": "a\\u0000b"}', "holds NUL"),
    "nul inside": (b'{"id": 2, "v": {"a": ["\\u0000"]}}', "holds NUL"),
    "half": (b'{"id": 2, "v": "a\\ud83db"}', "half of a surrogate pair"),
    "second half": (b'{"id": 2, "v": "\\ude00"}', "half of a surrogate pair"),
    "latin-1": (b'{"id": 2, "v": "gr\xfc\xdfe"}', "no UTF-8"),
}


@pytest.mark.django_db
@pytest.mark.parametrize(("raw", "words"), BAD.values(), ids=BAD)
def test_t15_a_row_that_postgresql_cannot_hold_is_told_apart(raw: bytes, words: str) -> None:
    """The rest of the page is read; what looks alike, a backslash that is written, is read too."""
    rows = JsonRows(key=["id"])
    body = (
        b'[{"id": 1, "v": "\\\\u0000 \\ud83d\\ude00 \\\\ud800"}, ' + raw + b', {"id": 3, "v": "c"}]'
    )
    encoded = encode(body, rows)
    assert [row["v"] for row in load(rows, encoded)] == ["\\u0000 😀 \\ud800", "c"]
    assert [*encoded.places] == [0, 2]
    ((place, bad),) = encoded.bad
    assert (place, bad.code, bad.column, bad.key) == (1, "encoding", "v", {"id": "2"})
    assert words in bad.message
    assert bad.raw.replace(b" ", b"") == raw.replace(b" ", b"")


@pytest.mark.parametrize(
    ("raw", "code"),
    [(b'{"v": 1}', "value"), (b'{"id": null, "v": 1}', "value"), (b"5", "value"), (b"[1]", "value"), (b'{"\xff": 1}', "encoding")],
)  # fmt: skip
def test_a_row_without_its_key_and_what_is_no_object_is_told_apart(raw: bytes, code: str) -> None:
    rows = JsonRows(key=["id"])
    encoded = encode(b'[{"id": 1, "v": 1}, ' + raw + b', {"id": 2, "v": 2}]', rows)
    assert len(encoded.rows) == 2
    assert [*encoded.places] == [0, 2]
    ((place, bad),) = encoded.bad
    assert (place, bad.code) == (1, code)


def test_a_column_that_nobody_wants_quarantines_no_row() -> None:
    rows = JsonRows(takes=lambda name: name != "x")
    encoded = encode(rb'[{"id": 1, "x": "\u0000"}]', rows)
    assert (len(encoded.rows), encoded.bad) == (1, ())
    assert [column.name for column in rows.columns] == ["id"]


def test_objects_of_ever_new_names_are_no_table() -> None:
    body = json.dumps([{f"name{n}": 1} for n in range(COLUMNS_MAX + 1)])
    with pytest.raises(ProtocolViolation, match="no rows of one table"):
        encode(body, JsonRows())


def test_a_type_that_a_person_chose_stays() -> None:
    rows = JsonRows([Column("n", "integer", "integer")])
    encoded = encode('[{"n": 5}, {"n": "x"}]', rows)
    assert rows.columns == (Column("n", "integer", "integer"),)
    assert [*encoded.rows] == [b"5\n", b"x\n"]


PATHS: dict[str, Any] = {
    "data": "[1, {}, {\"id\": 7}]", "data[-1].id": "7", "data[0]": "1", "data[9]": None, "more": "false", "deep.a.b[1][0]": "\"x\"",
    "data.id": None, "[0]": None, "gone.x": None, "größe": "null",
}  # fmt: skip


@pytest.mark.parametrize(("path", "found"), PATHS.items())
def test_a_path_leads_to_what_stands_there(path: str, found: str | None) -> None:
    text = JsonText(
        '\ufeff{"data": [1, {}, {"id": 7}], "more": false, "deep": {"a": {"b": [0, ["x"]]}}, "größe": null}'.encode()
    )
    raw = text.find(parse_path(path))
    assert (None if raw is None else bytes(raw).decode()) == found


@pytest.mark.parametrize("path", ["a..b", ".a", "a.", "a[", "a[x]", "a]b", "a[1]b", "[1"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="is no path"):
        parse_path(path)


def test_a_text_is_json_or_it_is_not() -> None:
    for text in (b"", b"{", b'{"a": 1} x', b"<html>", b'"\\ud800', b"[" * 100_000):
        with pytest.raises(NotJson):
            JsonText(text)
    with pytest.raises(NotThere):
        JsonText(b'{"data": {}}').objects(("data",))
    assert show_cell(b'"\\u00fc"') == "ü"
