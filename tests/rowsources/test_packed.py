"""Rows in large pieces are taken apart where somebody asks for one."""

from __future__ import annotations

from farends.rows.packed import PackedRows, count_row_bytes, join_rows


def test_packed_rows_are_the_rows_that_were_packed() -> None:
    packed = PackedRows()
    packed.add(b"1,one\n2,two\n", 2)
    packed.add(b'3,"a\nb"\n')
    rows = [b"1,one\n", b"2,two\n", b'3,"a\nb"\n']
    assert len(packed) == 3
    assert list(packed) == rows
    assert packed[1:] == rows[1:]
    assert packed[-1] == rows[-1]
    assert join_rows(packed) == join_rows(rows) == b"".join(rows)
    assert count_row_bytes(packed) == count_row_bytes(rows) == 20
    packed.add(b"4,\n")
    assert packed[3] == b"4,\n"
