"""Readings at the door: checked, and put into the form in which they are kept and sent.

A reading is kept as one line of JSON, `{"key":…,"payload":…}` in UTF-8 without a line end. Nothing changes the
line afterwards, so every try of a batch sends the same bytes. What a client system could not read is refused
here and not weeks later: numbers that are not JSON (RFC 8259 §6), integers beyond 2^53 (RFC 7493 §2.2), half a
surrogate pair, NUL.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

BULK_MAX = 10_000  # readings of one request
KEY_MAX = 200  # characters
LINE_MAX = 64 * 1024  # bytes of one reading
DEPTH_MAX = 32
INTEGER_MAX = 2**53
ERRORS_MAX = 20  # that one refusal names

Errors = dict[str, list[str]]


class ReadingsRefused(Exception):
    """Nothing of the bulk is taken. `errors` names the places, as `readings.17.payload`."""

    def __init__(self, errors: Errors) -> None:
        self.errors = errors
        place, (words, *_) = next(iter(errors.items()))
        super().__init__(f"{place}: {words}")


class _Refused(Exception):
    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place = place


@dataclass(frozen=True, slots=True)
class ReadingLine:
    """One reading as it is kept and sent."""

    key: str
    content: bytes

    @property
    def crc(self) -> int:
        """Of the whole line, as a signed integer of 32 bits: another payload under an old key shows."""
        return zlib.crc32(self.content) - 2**31


def encode_bulk(readings: object) -> list[ReadingLine]:
    """Encodes a bulk in the given order; a key that comes twice stands twice. Raises ReadingsRefused with up to 20 places."""
    if not isinstance(readings, Sequence) or isinstance(readings, str | bytes):
        raise ReadingsRefused({"readings": ["give a list of readings"]})
    if not 0 < len(readings) <= BULK_MAX:
        raise ReadingsRefused(
            {"readings": [f"give 1 to {BULK_MAX} readings in a request, not {len(readings)}"]}
        )
    lines: list[ReadingLine] = []
    errors: Errors = {}
    for number, reading in enumerate(readings):
        try:
            lines.append(encode_reading(reading))
        except _Refused as exc:
            errors[f"readings.{number}{exc.place}"] = [str(exc)]
            if len(errors) == ERRORS_MAX:
                break
    if errors:
        raise ReadingsRefused(errors)
    return lines


def encode_reading(reading: object) -> ReadingLine:
    """Raises a refusal that `encode_bulk` turns into ReadingsRefused."""
    if not isinstance(reading, Mapping):
        raise _Refused("", "a reading is an object with `key` and `payload`")
    if reading.keys() != {"key", "payload"}:
        _refuse_fields(reading)
    key, payload = reading["key"], reading["payload"]
    if not isinstance(key, str) or not 0 < len(key) <= KEY_MAX or not key.isprintable():
        raise _Refused(".key", f"give 1 to {KEY_MAX} printable characters")
    if not isinstance(payload, dict):
        raise _Refused(".payload", "give an object")
    _check(payload, 0)
    try:
        text = json.dumps(
            {"key": key, "payload": payload},
            ensure_ascii=False,
            allow_nan=False,
            separators=(",", ":"),
        )
        content = text.encode()
    except UnicodeEncodeError:
        raise _Refused(".payload", "half of a surrogate pair is no character") from None
    except ValueError:
        raise _Refused(
            ".payload", "NaN, infinity and numbers beyond a double are not JSON"
        ) from None
    if len(content) > LINE_MAX:
        raise _Refused("", f"{len(content)} bytes of JSON, more than {LINE_MAX}")
    return ReadingLine(key, content)


def _refuse_fields(reading: Mapping[object, object]) -> None:
    for name in ("key", "payload"):
        if name not in reading:
            raise _Refused(f".{name}", "this field is required")
    raise _Refused("", "a reading has `key` and `payload`, and no other field")


def _check(value: object, depth: int) -> None:
    """What `json.dumps` would let through."""
    if isinstance(value, str):
        if "\0" in value:
            raise _Refused(".payload", "a text holds NUL")
    elif isinstance(value, dict):
        _check_depth(depth)
        for name, item in value.items():
            _check(name, depth)
            _check(item, depth + 1)
    elif isinstance(value, list):
        _check_depth(depth)
        for item in value:
            _check(item, depth + 1)
    elif isinstance(value, int) and abs(value) > INTEGER_MAX:
        raise _Refused(".payload", "an integer beyond 2^53 is not the same number everywhere")


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise _Refused(".payload", f"nested deeper than {DEPTH_MAX}")


def first_of_each(lines: Iterable[ReadingLine]) -> dict[str, ReadingLine]:
    """Returns the first reading of each key: where a bulk gives one key twice, the first counts."""
    known: dict[str, ReadingLine] = {}
    for line in lines:
        known.setdefault(line.key, line)
    return known


def cut_into_segments(lines: Iterable[bytes], count_max: int, bytes_max: int) -> list[list[bytes]]:
    """Neighbours together, at most so many and so many bytes. One line that is larger stands alone."""
    segments: list[list[bytes]] = []
    size = 0
    for line in lines:
        fits = segments and len(segments[-1]) < count_max and size + len(line) + 1 <= bytes_max
        if not fits:
            segments.append([])
            size = 0
        segments[-1].append(line)
        size += len(line) + 1
    return segments
