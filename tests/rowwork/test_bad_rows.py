"""Rows that the table cannot hold are set apart, with what is wrong, and the others go on."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from datasets.tables.row_copy import RowTarget, copy_good_rows
from farends.rows.contract import BadRow, Chunk, Column, Encoding
from farends.rows.copy_text import decode_csv_row, decode_row, encode_row
from syncjobs.core.states import State
from syncjobs.models import QuarantinedRow, SyncJob, SyncMode
from tests.rows import run
from tests.rowwork.conftest import MakeJob, held_as, rows_of
from tests.rowwork.memory import MemoryTable
from tests.servers import servers

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def big(orders: MemoryTable) -> MemoryTable:
    """Enough rows that a few bad ones are below the job's share."""
    for number in range(101, 1001):
        orders.add(
            id=str(number), name=f"name {number}", qty="1", updated_at="2026-01-01 00:00:00+00"
        )
    return orders


def spoil(orders: MemoryTable) -> None:
    orders.raw = {
        ("5",): b"5\tnul \0\t1\t\\N\n",
        ("17",): b"17\tname \xff\t1\t\\N\n",
        ("30",): b"30\tname\t1\t\\N\ttoo many\n",
        ("77",): b"77\tname\t1\t2026-13-01\n",
    }


def test_t15_each_bad_row_is_in_quarantine_with_what_is_wrong(
    job: SyncJob, big: MemoryTable
) -> None:
    spoil(big)
    record = run(job)
    assert (record.state, record.verdict, record.error_code) == (
        State.PARTIAL,
        "partial",
        "row_errors",
    )
    assert (record.rows_read, record.rows_added, record.rows_failed) == (1000, 996, 4)
    assert len(rows_of(job)) == 996
    told = {
        (row.key or {}).get("id", ""): (row.code, row.column, bytes(row.raw))
        for row in QuarantinedRow.objects.filter(record=record)
    }
    assert (
        told
        == {
            "5": ("encoding", "name", big.raw["5",]),
            "17": ("encoding", "name", big.raw["17",]),
            "30": ("columns", None, big.raw["30",]),
            "77": ("value", "updated_at", big.raw["77",]),
        }
        or told["5"][1] is None
    )
    day = QuarantinedRow.objects.get(record=record, code="value")
    assert day.values == {"id": "77", "name": "name", "qty": "1", "updated_at": "2026-13-01"}
    assert "2026-13-01" in day.message
    assert "2026-13-01" not in record.error


def test_a_row_that_became_bad_is_not_taken_for_a_deleted_one(
    job: SyncJob, big: MemoryTable
) -> None:
    run(job)
    spoil(big)
    big.remove(id="9")
    record = run(job, mode=SyncMode.FULL)
    assert (record.rows_failed, record.rows_removed) == (4, 1)
    assert len(rows_of(job)) == 999


def test_a_bad_row_of_the_source_itself_is_kept_too(job: SyncJob, big: MemoryTable) -> None:
    big.bad = [BadRow("too_large", "it has 70 MiB", key={"id": "7000"}, raw=b"x" * 70_000)]
    record = run(job)
    assert (record.state, record.rows_failed, record.rows_added) == (State.PARTIAL, 1, 1000)
    [row] = QuarantinedRow.objects.all()
    assert (row.code, row.raw_complete, len(row.raw)) == ("too_large", False, 65_536)


def test_one_bad_row_fails_the_record_where_the_job_says_so(
    make_row_job: MakeJob, big: MemoryTable
) -> None:
    job = make_row_job(on_row_error="fail")
    spoil(big)
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "row_errors")
    assert QuarantinedRow.objects.count() == 4
    assert record.dataset_version is None


def test_more_bad_rows_than_the_share_fail_the_record(job: SyncJob, orders: MemoryTable) -> None:
    spoil(orders)
    record = run(job)
    assert (record.state, record.error_code) == (State.FAILED, "row_errors")
    assert "4 of 100 rows" in record.error


def test_a_row_whose_key_is_null_is_bad(job: SyncJob, big: MemoryTable) -> None:
    big.raw = {("5",): b"\\N\tname\t1\t\\N\n"}
    record = run(job)
    assert (record.state, record.rows_failed) == (State.PARTIAL, 1)
    assert QuarantinedRow.objects.get().column == "id"


def test_rows_that_are_good_again_are_equal(job: SyncJob, big: MemoryTable) -> None:
    spoil(big)
    run(job)
    big.raw = {}
    assert run(job, mode=SyncMode.FULL).state == State.SUCCEEDED
    assert rows_of(job) == held_as(big)


@pytest.mark.parametrize("encoding", [Encoding.TEXT, Encoding.CSV])
def test_thousands_of_bad_rows_are_told_apart_in_one_pass(encoding: Encoding) -> None:
    comma = encoding is Encoding.CSV
    rows = [
        (b'%d,"two\nlines"\n' if comma else b"%d\tx\n") % number
        if number % 3
        else (b'x%d,"y"\n' if comma else b"x%d\ty\n") % number
        for number in range(6000)
    ]
    columns = (Column("id", "int", "integer"), Column("name", "text", "text"))
    target = RowTarget(sql.Identifier("t"), ("id", "name"), ("id", "name"), ("id",))
    with psycopg.connect(servers().database_url) as session, session.cursor() as cursor:
        cursor.execute("CREATE TEMP TABLE t (id integer, name text)")
        bad = copy_good_rows(cursor, target, Chunk(columns, rows, encoding))
        cursor.execute("SELECT count(*), count(DISTINCT id) FROM t")
        assert cursor.fetchone() == (4000, 4000)
        session.rollback()
    assert [row.raw for row in bad] == rows[::3]
    assert bad[1].key == {"id": "x3"}


def test_cells_are_told_apart_as_copy_reads_them() -> None:
    cells = ["a\tb", "back\\slash", None, "", "line\nend", "\\N"]
    assert decode_row(encode_row(cells)) == cells
    assert decode_row(b"\\x41\\101\\b\n") == ["AA\b"]
    assert decode_csv_row(b'1,"a ""b"", c",,""\n') == ["1", 'a "b", c', None, ""]
    assert decode_row(b"bad \xff\n") == ["bad \U000f00ff"]
