"""Rows out of CSV: held against what PostgreSQL makes of the bytes, and against Python's reader."""

from __future__ import annotations

import csv
import io
import random
import tracemalloc
from pathlib import Path
from typing import Any, Literal

import pytest

from farends.errors import ProtocolViolation, RootMissing, SchemaGone, TooLarge
from farends.rows.contract import CHUNK_BYTES, Reading
from farends.tabular import scanning
from farends.tabular.files import HeldFile
from farends.tabular.source import TabularSource
from tests.rowsources.held_folder import HeldFolder, bad_rows, load, places, read_all

pytestmark = pytest.mark.django_db


def _types(root: Path, spec: dict[str, object]) -> dict[str, str]:
    entity, _ = read_all(root, {"path": "a.csv", **spec})
    return {column.name: column.type for column in entity.columns}


def test_types_are_found_over_the_whole_file(tmp_path: Path) -> None:
    rows = [f"{n},{n},{n}.5,2026-01-01,true,{n},{n}e3,x" for n in range(1, 5_000)]
    rows.append("5000,99999999999999999999,7,2026-01-01T10:00:00Z,maybe,007,5e-1,y")
    (tmp_path / "a.csv").write_text("id,big,money,day,flag,code,double,word\n" + "\n".join(rows))
    assert _types(tmp_path, {}) == {
        "id": "bigint",
        "big": "numeric",
        "money": "numeric",
        "day": "timestamp with time zone",
        "flag": "text",
        "code": "text",
        "double": "double precision",
        "word": "text",
    }


def test_rows_equal_what_postgresql_reads_of_the_same_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b"id,name,price,day,at,ok\n"
        b"1,plain,1.50,2026-01-31,2026-01-31T10:00:00Z,true\n"
        b'2,"a ""quoted"", one",-0.25,2024-02-29,2026-01-31 10:00:00+05:30,False\n'
        b'3,"over\ntwo lines",,,,\n'
        b'4,"",12345678901234567890123.1,0001-01-01,1999-12-31 23:59:59.999999Z,TRUE\n'
        b'"5","5"" pipe","7","2026-01-01","2026-01-01T00:00:00Z","false"\n'
        b'6,5" pipe,8,2026-01-01,2026-01-01T00:00:00Z,false\n'
        b'7,,"","","",""\n'
        b"8,\\.,1,2026-01-01,2026-01-01T00:00:00Z,true"
    )
    entity, chunks = read_all(tmp_path, {"path": "a.csv", "format": "csv"})
    assert [column.type for column in entity.columns] == [
        "bigint", "text", "numeric", "date", "timestamp with time zone", "boolean",
    ]  # fmt: skip
    assert bad_rows(chunks) == []
    assert load(entity, chunks) == [
        ("1", "plain", "1.50", "2026-01-31", "2026-01-31 10:00:00+00", "true"),
        ("2", 'a "quoted", one', "-0.25", "2024-02-29", "2026-01-31 04:30:00+00", "false"),
        ("3", "over\ntwo lines", None, None, None, None),
        ("4", "", "12345678901234567890123.1", "0001-01-01", "1999-12-31 23:59:59.999999+00", "true"),
        ("5", '5" pipe', "7", "2026-01-01", "2026-01-01 00:00:00+00", "false"),
        ("6", '5" pipe', "8", "2026-01-01", "2026-01-01 00:00:00+00", "false"),
        ("7", None, None, None, None, None),
        ("8", "\\.", "1", "2026-01-01", "2026-01-01 00:00:00+00", "true"),
    ]  # fmt: skip
    assert [line for _, line in places(chunks)] == [2, 3, 4, 6, 7, 8, 9, 10]


def test_t15_bad_rows_are_told_with_line_and_reason_and_the_others_load(tmp_path: Path) -> None:
    rows = [b"%d,name %d,2026-01-%02d" % (n, n, 1 + n % 28) for n in range(1, 10_001)]
    rows[99] = b"100,with\0nul,2026-01-01"
    rows[2_499] = b"2500,bad \xff utf,2026-01-01"
    rows[4_999] = b"5000,one,2026-01-01,too many"
    rows[9_998] = b"9999,none,2026-13-01"
    (tmp_path / "a.csv").write_bytes(b"id,name,day\n" + b"\n".join(rows) + b"\n")
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert [column.type for column in entity.columns] == ["bigint", "text", "date"]
    assert len(load(entity, chunks)) == 9_996
    told = [(bad.line, bad.code, bad.column, bad.raw) for bad in bad_rows(chunks)]
    assert told == [
        (101, "encoding", "name", rows[99] + b"\n"),
        (2_501, "encoding", "name", rows[2_499] + b"\n"),
        (5_001, "columns", None, rows[4_999] + b"\n"),
        (10_000, "value", "day", rows[9_998] + b"\n"),
    ]
    assert {bad.path for bad in bad_rows(chunks)} == {"a.csv"}
    assert bad_rows(chunks)[0].values == {"id": "100", "day": "2026-01-01"}
    assert bad_rows(chunks)[3].values == {"id": "9999", "name": "none", "day": "2026-13-01"}
    missing = {100, 2_500, 5_000, 9_999}
    assert {int(row[0] or 0) for row in load(entity, chunks)} == set(range(1, 10_001)) - missing


def test_a_column_of_impossible_days_is_text(tmp_path: Path) -> None:
    rows = [f"{n},2026-{13 + n % 15}-01" for n in range(300)]
    (tmp_path / "a.csv").write_text("id,day\n" + "\n".join(rows))
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert entity.columns[1].type == "text"
    assert len(load(entity, chunks)) == 300


def test_an_open_quote_costs_its_line_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'id,a,b\n1,x,y\n2,"open,y\n3,x,y\n4,"c,d",y\n5,x,"end\n6,x,y\n'
    )
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert [row[0] for row in load(entity, chunks)] == ["1", "3", "4", "6"]
    assert [(bad.line, bad.code, bad.message) for bad in bad_rows(chunks)] == [
        (3, "columns", "There is text behind a closing quote."),
        (6, "columns", "A quote is opened and not closed."),
    ]


def test_a_quote_that_swallows_whole_rows_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,a\n1,x\n2,"open\n3,x\n4,y"\n5,z\n')
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    # The quote closes at the end of line 5, so these lines may as well be one row, which is what CSV says.
    assert load(entity, chunks) == [("1", "x"), ("2", "open\n3,x\n4,y"), ("5", "z")]
    (tmp_path / "a.csv").write_bytes(b'id,a\n1,x\n2,"open\n3,x\n4,"\n5,z\n')
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert load(entity, chunks) == [("1", "x"), ("2", "open\n3,x\n4,"), ("5", "z")]
    (tmp_path / "a.csv").write_bytes(b'id,a,b\n1,x,y\n2,"open\n3,x,y\n4,w,"z"\n5,z,z\n')
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert [row[0] for row in load(entity, chunks)] == ["1", "3", "4", "5"]
    assert [bad.line for bad in bad_rows(chunks)] == [3]


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end_is_one(tmp_path: Path, line_end: bytes) -> None:
    lines = [b"id,name", b"1,a", b"2,b", b"3,c"]
    (tmp_path / "a.csv").write_bytes(line_end.join(lines) + line_end)
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert load(entity, chunks) == [("1", "a"), ("2", "b"), ("3", "c")]
    assert [line for _, line in places(chunks)] == [2, 3, 4]


def test_empty_lines_are_no_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n\n1,a\n\n\n2,b\n\n")
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert load(entity, chunks) == [("1", "a"), ("2", "b")]
    assert [line for _, line in places(chunks)] == [3, 6]
    assert bad_rows(chunks) == []


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_found_out(tmp_path: Path, delimiter: str) -> None:
    made = io.StringIO()
    writer = csv.writer(made, delimiter=delimiter, lineterminator="\n")
    rows = [["1", "a, b; c"], ["2", "d|e\tf"], ["3", 'g"h'], ["4", "plain"], ["5", "1,5"]]
    writer.writerows([["id", "name"], *rows])
    (tmp_path / "a.csv").write_text(made.getvalue())
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert load(entity, chunks) == [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("encoding", "told"),
    [("utf-8-sig", None), ("utf-16", None), ("windows-1252", "windows-1252"), ("utf-8", None)],
)
def test_encodings(tmp_path: Path, encoding: str, told: str | None) -> None:
    (tmp_path / "a.csv").write_bytes("größe,name\n1,Zoë €\n2,x\n".encode(encoding))
    spec = {"path": "a.csv"} | ({"encoding": told} if told else {})
    entity, chunks = read_all(tmp_path, spec)
    assert [column.name for column in entity.columns] == ["größe", "name"]
    assert load(entity, chunks) == [("1", "Zoë €"), ("2", "x")]


def test_a_header_in_another_encoding_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("größe\n1\n".encode("latin-1"))
    with pytest.raises(ProtocolViolation, match="encoding"):
        read_all(tmp_path, {"path": "a.csv"})


def test_nulls_are_what_the_entity_says(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,name\n1,NA\n2,\n3,"NA"\nNA,x\n4,NAME\n')
    entity, chunks = read_all(tmp_path, {"path": "a.csv", "nulls": ["NA"]})
    assert [column.type for column in entity.columns] == ["bigint", "text"]
    assert load(entity, chunks) == [("1", None), ("2", ""), ("3", "NA"), (None, "x"), ("4", "NAME")]


def test_a_chosen_type_is_kept_and_copy_judges_its_values(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,code,at\n1,007,31 Jan 2026\n2,"",\n')
    types = {"code": "integer", "at": "date"}
    entity, chunks = read_all(tmp_path, {"path": "a.csv", "types": types})
    assert [column.type for column in entity.columns] == ["bigint", "integer", "date"]
    assert load(entity, chunks) == [("1", "7", "2026-01-31"), ("2", None, None)]
    with pytest.raises(RootMissing, match="types: id: no such type"):
        read_all(tmp_path, {"path": "a.csv", "types": {"id": "bigint; DROP TABLE x"}})
    with pytest.raises(SchemaGone, match="gone"):
        read_all(tmp_path, {"path": "a.csv", "types": {"gone": "bigint"}})


def test_files_of_other_columns_are_one_table_and_each_row_has_its_place(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / 'b,"1".csv').write_bytes(b'id,name\n1,a\n2,"x\ny"\n3,c\n')
    (tmp_path / "in" / "a.csv").write_bytes(b"name,id,more\nz,9,m\n")
    entity, chunks = read_all(tmp_path, {"path": "in/*.csv", "format": "csv"})
    assert [column.name for column in entity.columns] == ["name", "id", "more"]
    assert load(entity, chunks) == [
        ("z", "9", "m"),
        ("a", "1", None),
        ("x\ny", "2", None),
        ("c", "3", None),
    ]
    other = 'in/b,"1".csv'
    assert places(chunks) == [("in/a.csv", 2), (other, 2), (other, 3), (other, 5)]


def test_names_of_columns_are_verbatim_and_each_is_one(tmp_path: Path) -> None:
    header = ["a\"b", "x; DROP TABLE victim;--", "select", "%s {}", "\t", "Größe", "w" * 80 + "1", "w" * 80 + "2", "", "a", "a", "_path"]  # fmt: skip
    made = io.StringIO()
    csv.writer(made, lineterminator="\n").writerows([header, [str(n) for n in range(12)]])
    (tmp_path / "a.csv").write_text(made.getvalue())
    entity, chunks = read_all(tmp_path, {"path": "a.csv", "delimiter": ","})
    names = [column.name for column in entity.columns]
    assert names == [*header[:8], "column_9", "a", "a_2", "_path"]
    assert load(entity, chunks)[0] == tuple(str(n) for n in range(12))


def test_a_file_without_a_header_has_numbered_columns(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"1,a\n2,b\n")
    entity, chunks = read_all(tmp_path, {"path": "a.csv", "header": False})
    assert [column.name for column in entity.columns] == ["column_1", "column_2"]
    assert load(entity, chunks) == [("1", "a"), ("2", "b")]


def test_some_columns_in_another_order(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'id,secret,name\n1,s,a\n2,s,"b,c"\n')
    source = TabularSource(HeldFolder(tmp_path))
    entity = source.describe({"path": "a.csv"})
    wanted = (entity.columns[2], entity.columns[0])
    source.begin(Reading(entity.spec, wanted, ("id",)))
    (chunk,) = source.read()
    assert list(chunk.rows) == [b"a,1\n", b'"b,c",2\n']
    with pytest.raises(SchemaGone, match="other"):
        source.begin(Reading(entity.spec, wanted, ("other",)))


def test_a_reading_goes_on_behind_any_chunk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("farends.tabular.chunking._CHUNK_BYTES", 20_000)
    monkeypatch.setattr(scanning, "_PIECE_BYTES", 5_000)
    for name in ("a.csv", "b.csv"):
        rows = [f'{n},"{"x" * (n % 90)}\n{n}"' if n % 7 else f"{n},short,too many" for n in range(4_000)]  # fmt: skip
        (tmp_path / name).write_text("id,text\n" + "\n".join(rows))
    _, chunks = read_all(tmp_path, {"path": "*.csv"})
    assert len(chunks) > 10
    for at in (0, 3, len(chunks) - 2):
        _, rest = read_all(tmp_path, {"path": "*.csv"}, after=chunks[at].resume)
        assert places(chunks[: at + 1]) + places(rest) == places(chunks)
        assert bad_rows(chunks[: at + 1]) + bad_rows(rest) == bad_rows(chunks)
        assert [row for one in chunks[at + 1 :] for row in one.rows] == [
            row for one in rest for row in one.rows
        ]


def test_rows_are_read_again_by_place_and_by_key(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n1,a\n2,b\nx,c,d\n4,e\n")
    source = TabularSource(HeldFolder(tmp_path))
    entity = source.describe({"path": "a.csv"})
    source.begin(Reading(entity.spec, entity.columns, ("id",)))
    (found,) = source.read_rows([{"id": "2"}, {"_path": "a.csv", "_line": "4"}])
    assert (list(found.rows), [bad.line for bad in found.bad]) == ([b"2,b\n"], [4])
    assert list(source.read_rows([{"id": "77"}])) == []


def test_a_preview_prints_as_postgresql_does(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        b'id,ok,at,n,t\n1,TRUE,2026-01-01T10:00:00.500+02:00,1e2,"a\nb"\n2,,,1.50,""\n3,false,2026-01-01,7,c\n'
    )
    source = TabularSource(HeldFolder(tmp_path))
    told = source.preview({"path": "a.csv"}, 2)
    assert [column.name for column in told.columns] == ["id", "ok", "at", "n", "t"]
    entity, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert list(told.rows) == load(entity, chunks)[:2]
    assert (told.complete, source.preview({"path": "a.csv"}, 3).complete) == (False, True)


def test_what_is_no_table_is_refused_with_words(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text(",".join(map(str, range(100_000))) + "\n")
    with pytest.raises(TooLarge, match="100,000 columns"):
        read_all(tmp_path, {"path": "wide.csv"})
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(ProtocolViolation, match="empty"):
        read_all(tmp_path, {"path": "empty.csv"})
    with pytest.raises(RootMissing, match=r"no\.csv"):
        read_all(tmp_path, {"path": "no.csv"})
    with pytest.raises(RootMissing, match="delimiter"):
        read_all(tmp_path, {"path": "wide.csv", "delimiter": "ab"})


class _Endless:
    """A file of one line: its beginning, then the same bytes again and again. Counts what is kept of it."""

    def __init__(self, head: bytes, body: bytes, size_bytes: int, tail: bytes = b"") -> None:
        self._head, self._body, self._tail = head, body, tail
        self._size_bytes = size_bytes
        self._at = 0

    def find(self, pattern: str) -> list[HeldFile]:
        return [HeldFile("a.csv", self._size_bytes, b"")]

    def open(self, file: HeldFile) -> _Endless:
        self._at = 0
        return self

    def read(self, count: int = -1) -> bytes:
        start, stop = self._at, min(self._at + count, self._size_bytes)
        self._at = stop
        if stop <= len(self._head):
            return self._head[start:stop]
        made = self._body * ((stop - start) // len(self._body) + 2)
        if start < len(self._head):
            made = self._head[start:] + made
            return made[: stop - start]
        into = (start - len(self._head)) % len(self._body)
        piece = made[into : into + stop - start]
        if stop == self._size_bytes and self._tail and piece:
            piece = piece[: -len(self._tail)] + self._tail
        return piece

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset

    def tell(self) -> int:
        return self._at

    def __enter__(self) -> _Endless:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("body", "code"),
    [(b"x" * 4096, "too_large"), (b'"' * 4096, "too_large"), (b"a,b," * 1024, "too_large")],
)
def test_a_line_without_end_is_one_bad_row_and_is_not_kept(
    body: bytes, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = 8 << 20
    monkeypatch.setattr(scanning, "ROW_BYTES_MAX", limit)
    holder: Any = _Endless(b'id,text\n1,a\n2,"', body, 3 * limit, tail=b"\n3,c\n")
    source = TabularSource(holder)
    tracemalloc.start()
    entity = source.describe({"path": "a.csv"})
    source.begin(Reading(entity.spec, entity.columns, ()))
    chunks = list(source.read())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [row for chunk in chunks for row in chunk.rows] == [b"1,a\n", b"3,c\n"]
    assert [(bad.line, bad.code, len(bad.raw)) for bad in bad_rows(chunks)] == [(3, code, 65_537)]
    assert peak < limit
    assert places(chunks) == [("a.csv", 2), ("a.csv", 4)]


def test_chunks_stay_small_where_every_row_is_bad(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,name\n" + b"1,2,3\n" * 50_000)
    _, chunks = read_all(tmp_path, {"path": "a.csv"})
    assert len(bad_rows(chunks)) == 50_000
    assert max(len(chunk.bad) for chunk in chunks) * 200 <= CHUNK_BYTES


def test_any_table_arrives_as_it_was_written(tmp_path: Path) -> None:
    """Random cells, written by Python's csv module, read by COPY."""
    chance = random.Random(16)  # noqa: S311 — the same each time
    signs = ["a", "Ö", '"', ",", ";", "\n", "\r\n", "\\", "\\.", " ", "\t", "'", "0", "-1", "€", ""]
    for number in range(60):
        width = chance.randint(2, 5)
        quoting: Literal[0, 1] = csv.QUOTE_ALL if chance.random() < 0.5 else csv.QUOTE_MINIMAL
        delimiter = chance.choice(",;|")
        rows = [
            ["".join(chance.choices(signs, k=chance.randint(0, 4))) for _ in range(width)]
            for _ in range(chance.randint(1, 80))
        ]
        made = io.StringIO(newline="")
        writer = csv.writer(
            made, delimiter=delimiter, quoting=quoting, lineterminator=chance.choice(["\n", "\r\n"])
        )
        writer.writerow([f"c{column}" for column in range(width)])
        writer.writerows(rows)
        (tmp_path / "a.csv").write_bytes(made.getvalue().encode())
        types = {f"c{column}": "text" for column in range(width)}
        spec = {"path": "a.csv", "delimiter": delimiter, "types": types}
        entity, chunks = read_all(tmp_path, spec)
        assert bad_rows(chunks) == [], number
        empty = "" if quoting == csv.QUOTE_ALL else None
        expected = [tuple(cell or empty for cell in row) for row in rows]
        assert load(entity, chunks) == expected, number
