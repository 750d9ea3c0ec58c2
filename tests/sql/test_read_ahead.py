"""A reading that is one chunk ahead: in order, never further, and ended by whoever leaves."""

from __future__ import annotations

import threading
from collections.abc import Generator

import pytest

from farends.errors import ConnectionLost
from farends.rows.contract import Chunk
from farends.rows.read_ahead import read_ahead


class Source:
    """Makes chunks that hold their number."""

    def __init__(self, count: int, error: Exception | None = None) -> None:
        self.made = 0
        self.closed = False
        self.thread: str | None = None
        self._count = count
        self._error = error

    def chunks(self) -> Generator[Chunk, None, None]:
        self.thread = threading.current_thread().name
        try:
            for number in range(self._count):
                self.made += 1
                yield Chunk((), [b"%d" % number])
            if self._error is not None:
                raise self._error
        finally:
            self.closed = True


def never() -> None:
    raise AssertionError("nothing was waited for")


def numbers(chunks: Generator[Chunk, None, None]) -> list[bytes]:
    return [row for chunk in chunks for row in chunk.rows]


def test_chunks_come_in_order_from_another_thread() -> None:
    source = Source(100)
    assert numbers(read_ahead(source.chunks(), leave=never)) == [b"%d" % n for n in range(100)]
    assert source.closed
    assert source.thread != threading.current_thread().name


def test_it_is_never_more_than_one_chunk_ahead() -> None:
    source = Source(50)
    for used, _ in enumerate(read_ahead(source.chunks(), leave=never), 1):
        assert source.made <= used + 1


def test_an_error_comes_after_the_chunks_before_it() -> None:
    source = Source(3, ConnectionLost("cut"))
    came: list[Chunk] = []
    with pytest.raises(ConnectionLost, match="cut"):
        came.extend(iter(read_ahead(source.chunks(), leave=never)))
    assert source.closed


def test_who_leaves_ends_what_is_waited_for() -> None:
    waits, freed = threading.Event(), threading.Event()

    def chunks() -> Generator[Chunk, None, None]:
        yield Chunk((), [])
        waits.set()
        assert freed.wait(10)
        yield Chunk((), [])
        raise AssertionError("nobody wants more")

    reading = read_ahead(chunks(), leave=freed.set)
    next(reading)
    assert waits.wait(10)
    reading.close()
    assert freed.is_set()


def test_what_nobody_begins_to_read_begins_nothing() -> None:
    source = Source(1)
    read_ahead(source.chunks(), leave=never).close()
    assert source.made == 0
