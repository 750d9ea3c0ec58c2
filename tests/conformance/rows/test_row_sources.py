"""What every source of rows promises. Rows are loaded by COPY, as the product loads them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest

from farends.errors import RootMissing
from farends.rows.contract import CHUNK_BYTES, Begun, Chunk, CursorOrder, Mark, Reading, RowSource
from tests.conformance.rows.loading import Loader
from tests.conformance.rows.sources import Item, RowHost
from tests.hosts.sinks import loopback_context

_numbers = itertools.count()
AT = "2026-01-02 03:04:05"
ODD = ("", " ", "tab\tnew\nline\r", "back\\slash \\N", "NULL", "quote ' \" `", "%s {}", "x; DROP TABLE y;--", "👩‍👩‍👧 Größe")  # fmt: skip


@pytest.fixture
def name() -> str:
    return f"items_{next(_numbers)}"


def begin(
    source: RowSource,
    host: RowHost,
    spec: Mapping[str, Any],
    cursor: CursorOrder | None = None,
    since: Mark | None = None,
) -> Begun:
    found = source.describe(spec)
    return source.begin(Reading(spec, found.columns, host.key, cursor, since))


def numbers(rows: Iterable[Mapping[str, str | None]]) -> list[int]:
    return sorted(int(row["id"] or 0) for row in rows)


def test_an_entity_is_described_and_listed(
    row_host: RowHost, row_source: RowSource, name: str
) -> None:
    spec = row_host.put(name, [Item(1, "one", AT)])
    found = row_source.describe(spec)
    assert [column.name for column in found.columns] == ["id", "name", "updated"]
    assert found.columns[0].type in ("bigint", "integer", "smallint")
    assert found.columns[1].type == "text"
    assert name in found.name
    listed = [one for one in row_source.entities() if one.spec == found.spec]
    assert listed == [found]
    assert [one.name for one in row_source.entities(found.name)] == [found.name]
    assert list(row_source.entities("no such prefix")) == []


def test_what_is_not_there_is_said(row_host: RowHost, row_source: RowSource, name: str) -> None:
    spec = row_host.put(name, [])
    missing = {key: value.replace(name, "nowhere") for key, value in spec.items()}
    with pytest.raises(RootMissing):
        row_source.describe(missing)
    assert row_source.describe(spec).columns


def test_a_whole_reading_is_equal_to_the_source(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    spec = row_host.put(name, [Item(at, text, AT) for at, text in enumerate(ODD)] + [Item(99)])
    begun = begin(row_source, row_host, spec)
    assert begun.mark is None
    rows = loader.load(row_source.read())
    assert [(row["id"], row["name"]) for row in rows] == [
        *((str(at), text) for at, text in enumerate(ODD)),
        ("99", None),
    ]
    assert {row["updated"] for row in rows} == {AT, None}
    assert not row_source.drifted


def test_each_element_of_a_chunk_is_one_row(
    row_host: RowHost, row_source: RowSource, name: str
) -> None:
    spec = row_host.put(name, [Item(at, "two\nlines", AT) for at in range(100)])
    begin(row_source, row_host, spec)
    assert sum(len(chunk.rows) for chunk in row_source.read()) == 100


def test_a_source_without_rows_says_so(row_host: RowHost, row_source: RowSource, name: str) -> None:
    begin(row_source, row_host, row_host.put(name, []))
    assert [chunk for chunk in row_source.read() if chunk.rows] == []


def test_a_cut_reading_goes_on_behind_what_is_kept(
    row_host: RowHost, opened_rows: Callable[..., RowSource], loader: Loader, name: str
) -> None:
    source = opened_rows()
    if not source.capabilities.resumes:
        return
    spec = row_host.put(name, [Item(at, "x" * (1 << 20), AT) for at in range(20)])
    begin(source, row_host, spec)
    chunks = list(source.read())
    assert len(chunks) > 2
    assert all(sum(map(len, chunk.rows)) < CHUNK_BYTES + (2 << 20) for chunk in chunks)
    for kept in range(1, len(chunks) + 1):
        again = opened_rows()
        begin(again, row_host, spec)
        rest = list(again.read(chunks[kept - 1].resume))
        assert numbers(loader.load([*chunks[:kept], *rest])) == list(range(20))


def test_a_reading_that_was_left_does_not_spoil_the_next(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    spec = row_host.put(name, [Item(at, "x" * (1 << 20), AT) for at in range(20)])
    begin(row_source, row_host, spec)
    reading = row_source.read()
    next(iter(reading))
    reading.close()  # type: ignore[attr-defined]  # it is a generator, as the contract's iterators are
    assert numbers(loader.load(row_source.read())) == list(range(20))


def test_new_rows_are_read_from_the_mark_on(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    """A row that has the mark's own value is not missed."""
    if row_host.cursor is None:
        return
    spec = row_host.put(name, [Item(1, "old", "2025-01-01 00:00:00"), Item(2, "last", AT)])
    mark = begin(row_source, row_host, spec, row_host.cursor).mark
    chunks = list(row_source.read())
    mark = chunks[-1].mark or mark  # some sources learn it by reading
    assert mark is not None
    assert numbers(loader.load(chunks)) == [1, 2]
    row_host.add(name, [Item(3, "same", AT), Item(4, "later", "2026-02-02 00:00:00")])
    begun = begin(row_source, row_host, spec, row_host.cursor, mark)
    assert begun.lost is None
    assert {3, 4} <= set(numbers(loader.load(row_source.read()))) <= {2, 3, 4}
    assert Mark.from_json(mark.to_json()) == mark


def test_rows_without_a_cursor_are_always_read_and_counted(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    if row_host.cursor is None or row_host.cursor.param:
        return
    spec = row_host.put(name, [Item(1, "old", AT), Item(2, "none"), Item(3, "none")])
    mark = begin(row_source, row_host, spec, row_host.cursor).mark
    for since in (None, mark):
        begin(row_source, row_host, spec, row_host.cursor, since)
        chunks = list(row_source.read())
        assert {2, 3} <= set(numbers(loader.load(chunks)))
        assert sum(chunk.without_cursor for chunk in chunks) == 2


def test_the_keys_are_read_alone(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    if not row_source.capabilities.sweeps_keys:
        return
    begin(row_source, row_host, row_host.put(name, [Item(at, "x", AT) for at in range(50)]))
    rows = loader.load(row_source.read_keys())
    assert numbers(rows) == list(range(50))
    assert set(rows[0]) == set(row_host.key)


def test_rows_are_read_again_by_key(
    row_host: RowHost, row_source: RowSource, loader: Loader, name: str
) -> None:
    if not row_source.capabilities.reads_by_key:
        return
    spec = row_host.put(name, [Item(at, f"n{at}", AT) for at in range(50)])
    begin(row_source, row_host, spec)
    rows = loader.load(row_source.read_rows([{"id": "7"}, {"id": "41"}, {"id": "5000"}]))
    assert [(row["id"], row["name"]) for row in rows] in ([("7", "n7"), ("41", "n41")], [("41", "n41"), ("7", "n7")])  # fmt: skip


def test_a_preview_shows_some_rows(row_host: RowHost, row_source: RowSource, name: str) -> None:
    spec = row_host.put(name, [Item(at, "x", AT) for at in range(5)])
    some = row_source.preview(spec, 3)
    assert len(some.rows) == 3
    assert not some.complete
    whole = row_source.preview(spec, 5)
    assert whole.complete
    assert sorted(row[:2] for row in whole.rows) == [(str(at), "x") for at in range(5)]
    assert {row[2] for row in whole.rows} == {AT}
    assert [column.name for column in whole.columns] == ["id", "name", "updated"]


class _Over(Exception):
    """The work is over."""


def test_work_that_is_over_ends_the_reading(
    row_host: RowHost, opened_rows: Callable[..., RowSource], name: str
) -> None:
    over = False

    def check() -> None:
        if over:
            raise _Over

    source = opened_rows(loopback_context(check=check))
    spec = row_host.put(name, [Item(at, "x" * (1 << 20), AT) for at in range(40)])
    begin(source, row_host, spec)
    reading = source.read()
    next(iter(reading))
    over = True
    with pytest.raises(_Over):
        exhaust(reading)


def exhaust(chunks: Iterable[Chunk]) -> None:
    for _ in chunks:
        pass
