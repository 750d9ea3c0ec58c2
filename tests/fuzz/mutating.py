"""Listings of files in every form that is read, and what may happen to a row on its way.

A protocol adds its forms to a table of its own: how a row is written, and a host that serves the rows.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass

from hypothesis import strategies as st

from farends.contract import INCOMPLETE, RemoteEntry, Seen, Skipped, Transport
from farends.errors import NotAListing, TransportError

# No name is the end or the beginning of another: a row that lost a part is the name of no other file.
FILES = (
    "alpha.csv",
    "bravo 1.txt",
    "Charlie-2023",
    "delta Nov 14",
    "echo;1=2",
    "größe.dat",
    "hotel",
    "india",
)


@dataclass
class Served:
    """What the host has, and what it lists."""

    body: bytes = b""
    files: tuple[str, ...] = FILES


@dataclass(frozen=True)
class Form:
    """`write` makes the row of a file. `names_are_asked`: the host is asked for each file, so that damage
    to a name shows; else the damage ends before the name."""

    write: Callable[[str], bytes]
    serve: Callable[[Served], contextlib.AbstractContextManager[Transport]]
    names_are_asked: bool
    begin: bytes = b""
    end: bytes = b""
    row_end: bytes = b"\r\n"


DATES = (
    b"14/11/23 22:13",
    b"Nov 14",
    b"2023",
    b"22:13",
    b"14 Brumaire CCXXXII",
    b"2023-11-14T22:13:21Z",
    b"",
)


@st.composite
def bodies(draw: st.DrawFn, form: Form) -> bytes:
    """A listing of FILES of which some rows were damaged."""
    rows = []
    for name in FILES:
        row = form.write(name)
        if draw(st.booleans()):
            limit = len(row) if form.names_are_asked else max(row.find(name.encode()) - 1, 0)
            # A row of which nothing is left is a file that the host does not list.
            damaged = draw(st.sampled_from(_MUTATIONS))(draw, row, limit)
            row = damaged if damaged.strip() else row
        rows.append(row)
        if draw(st.integers(0, 9)) == 0:
            rows.append(draw(_JUNK))
    return form.begin + b"".join(row + form.row_end for row in rows) + form.end


_JUNK = st.binary(min_size=1, max_size=30).map(
    lambda raw: raw.replace(b"\n", b"?").replace(b"\r", b"?")
)
Mutation = Callable[[st.DrawFn, bytes, int], bytes]


def _cut(draw: st.DrawFn, row: bytes, limit: int) -> bytes:
    return row[: draw(st.integers(1, max(limit, 1)))]


def _insert(draw: st.DrawFn, row: bytes, limit: int) -> bytes:
    at = draw(st.integers(0, limit))
    return row[:at] + draw(_JUNK) + row[at:]


def _lose_column(draw: st.DrawFn, row: bytes, limit: int) -> bytes:
    """With the blanks after it."""
    columns = row[:limit].split(b" ")
    lost = draw(st.integers(0, len(columns) - 1))
    return b" ".join(columns[:lost] + columns[lost + 1 :]) + row[limit:]


def _replace_date(draw: st.DrawFn, row: bytes, limit: int) -> bytes:
    """Some columns become those of a date in another form."""
    columns = row[:limit].split(b" ")
    at = draw(st.integers(0, len(columns) - 1))
    count = draw(st.integers(1, 3))
    date = draw(st.sampled_from(DATES))
    return b" ".join([*columns[:at], date, *columns[at + count :]]) + row[limit:]


_MUTATIONS: list[Mutation] = [_cut, _insert, _lose_column, _replace_date]


def assert_nothing_is_lost(walk: Callable[[], list[Seen]]) -> None:
    """Each file that the source has is listed under its name, or the listing says that it is not whole."""
    try:
        seen = walk()
    except (NotAListing, TransportError):
        return
    if any(isinstance(item, Skipped) and item.reason in INCOMPLETE for item in seen):
        return
    listed = {item.path for item in seen if isinstance(item, RemoteEntry)}
    assert set(FILES) <= listed
