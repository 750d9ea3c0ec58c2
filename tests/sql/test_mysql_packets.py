"""Rows out of the bytes of a result, wherever these were cut; and the names of PyMySQL that we lean on."""

from __future__ import annotations

import inspect

import pymysql.connections
from hypothesis import given
from hypothesis import strategies as st
from pymysql.connections import Connection

from farends.sql.mysql.packets import split_rows

EOF = b"\x05\x00\x00\x09\xfe\x00\x00\x02\x00"


def pack(value: bytes | None) -> bytes:
    if value is None:
        payload = b"\xfb"
    elif len(value) < 251:
        payload = bytes([len(value)]) + value
    elif len(value) < 1 << 16:
        payload = b"\xfc" + len(value).to_bytes(2, "little") + value
    else:
        payload = b"\xfd" + len(value).to_bytes(3, "little") + value
    return len(payload).to_bytes(3, "little") + b"\x01" + payload


@given(
    st.lists(st.one_of(st.none(), st.binary(max_size=300), st.just(b"x" * 70_000)), max_size=8),
    st.lists(st.integers(0, 200_000), max_size=6),
)
def test_rows_are_told_apart_wherever_the_bytes_are_cut(
    values: list[bytes | None], cuts: list[int]
) -> None:
    data = b"".join(map(pack, values)) + EOF
    found: list[bytes | None] = []
    kept, last = b"", 0
    ending = None
    for cut in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        split = split_rows(kept + data[last:cut])
        found += split.rows
        kept, last, ending = split.rest, cut, split.ending
        assert ending is not None or split.need > len(kept) or not kept
    assert found == values
    assert ending == EOF[4:]


def test_the_names_that_pymysql_does_not_promise_are_there() -> None:
    methods = ("_execute_command", "_read_packet", "_read_bytes", "_write_bytes", "_force_close", "_create_ssl_ctx", "_process_auth")  # fmt: skip
    for name in methods:
        assert callable(getattr(Connection, name)), name
    assert list(inspect.signature(Connection._create_ssl_ctx).parameters) == ["self", "sslp"]  # type: ignore[attr-defined]  # that is what is tested
    source = inspect.getsource(pymysql.connections)
    assert "self.ctx.wrap_socket(self._sock, server_hostname=self.host)" in source
    assert "elif self._ssl_required:" in source
    assert 'self._rfile = sock.makefile("rb")' in source
