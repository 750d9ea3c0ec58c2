"""Rows of one column out of the bytes of a result (MySQL docs, "Text Resultset", "MySQL Packets"). Pure."""

from __future__ import annotations

from dataclasses import dataclass

PACKET_MAX = 0xFFFFFF  # a packet of this size is gone on with in the next
_NULL, _EIGHT = 251, 254
_EOF_BYTES_MAX = 9
# How many bytes the length of a value takes, by the first of them.
_LENGTHS = {252: 3, 253: 4, _EIGHT: 9}


@dataclass(frozen=True, slots=True)
class SplitRows:
    """`rows` are the values that are whole; None is NULL. `rest` is the beginning of what comes next, and `need` how
    many bytes that has at least. `ending` is the packet that ended the result: EOF, or an error."""

    rows: list[bytes | None]
    rest: bytes
    need: int
    ending: bytes | None = None

    @property
    def is_long(self) -> bool:
        """Whether a value of several packets comes next."""
        return self.need == 4 + PACKET_MAX


def split_rows(data: bytes) -> SplitRows:
    rows: list[bytes | None] = []
    at, length, need = 0, len(data), 4
    while length - at >= 4:
        size = data[at] | data[at + 1] << 8 | data[at + 2] << 16
        need = 4 + size
        end = at + need
        if end > length or size == PACKET_MAX:
            break
        first = data[at + 4] if size else _NULL
        if first < _NULL:
            rows.append(data[at + 5 : end])
        elif first == _NULL:
            rows.append(None)
        elif first in _LENGTHS and not (first == _EIGHT and size < _EOF_BYTES_MAX):
            rows.append(data[at + 4 + _LENGTHS[first] : end])
        else:
            return SplitRows(rows, data[end:], 0, data[at + 4 : end])
        at, need = end, 4
    return SplitRows(rows, data[at:], need)


def open_value(payload: bytes) -> bytes:
    """The value of a row's one column."""
    return payload[_LENGTHS.get(payload[0], 1) :]
