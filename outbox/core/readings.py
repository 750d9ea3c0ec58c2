"""Readings at the door: checked, and put into the form in which they are kept and sent.

A reading is kept as one line of JSON, `{"key":…,"payload":…}` in UTF-8 without a line end. Nothing changes the
line afterwards, so every try of a batch sends the same bytes. What a client system could not read is refused
here and not weeks later: numbers that are not JSON (RFC 8259 §6), integers beyond 2^53 (RFC 7493 §2.2), half a
surrogate pair, NUL.

Readings come by the thousand, and nearly all are good. `read_plain` and its siblings read a whole bulk with few
steps of Python, and give up where anything may be wrong; then `encode_bulk` looks at each reading and says what.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

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


class ReadingFault(Exception):
    """Why one reading is none. `place` is within it, as `.payload`."""

    def __init__(self, place: str, words: str) -> None:
        super().__init__(words)
        self.place = place


@dataclass(frozen=True, slots=True)
class Bulk:
    """Readings side by side: the key of each, and its line as it is kept and sent."""

    keys: Sequence[str]
    lines: Sequence[bytes]

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def crcs(self) -> list[int]:
        """Of each whole line, as a signed integer of 32 bits: another payload under an old key shows."""
        return [crc - 2**31 for crc in map(zlib.crc32, self.lines)]

    def choose(self, places: Iterable[int]) -> Bulk:
        chosen = list(places)
        return Bulk([self.keys[at] for at in chosen], [self.lines[at] for at in chosen])


class PlainReading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A reading as it is read and written at full speed."""

    key: str
    payload: dict[str, Any]


class _PlainBody(msgspec.Struct, forbid_unknown_fields=True):
    readings: list[PlainReading]


_read_body = msgspec.json.Decoder(_PlainBody).decode
_read_lines = msgspec.json.Decoder(PlainReading).decode_lines
_encoder = msgspec.json.Encoder()
_ONES = bytes(0x31 if 0x30 <= byte <= 0x39 else 0x20 for byte in range(256))  # digits, and the rest
_LONG_NUMBER = b"1" * len(str(INTEGER_MAX))
_NUL = b"\\u0000"


def read_plain(body: bytes) -> Bulk | None:
    """The bulk of `{"readings": [{"key", "payload"}]}`. None where a closer look is needed: it may be wrong."""
    try:
        return encode_plain(_read_body(body).readings)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def read_plain_lines(lines: bytes) -> Bulk | None:
    """As `read_plain`, of one reading a line."""
    try:
        return encode_plain(_read_lines(lines))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def encode_plain(readings: list[PlainReading]) -> Bulk | None:
    """What came from JSON, so that a number is finite. None where a closer look is needed."""
    keys = [reading.key for reading in readings]
    if not 0 < len(keys) <= BULK_MAX or not _are_plain(keys):
        return None
    try:
        text = _encoder.encode_lines(readings)
    except (UnicodeError, RecursionError):
        return None
    lines = text[:-1].split(b"\n")
    if max(map(len, lines)) > LINE_MAX:
        return None
    return Bulk(keys, lines) if _holds_good(text, readings, lines) else None


def _are_plain(keys: Sequence[str]) -> bool:
    """As `encode_reading` looks at each."""
    lengths = list(map(len, keys))
    return min(lengths) > 0 and max(lengths) <= KEY_MAX and all(map(str.isprintable, keys))


def _holds_good(text: bytes, readings: Sequence[PlainReading], lines: Sequence[bytes]) -> bool:
    """Looks closely only at readings that may hold what `_check` refuses."""
    if _NUL in text:
        return False
    may_be_deep = text.count(b"{") + text.count(b"[") >= 2 * len(lines) + DEPTH_MAX
    if not may_be_deep and _LONG_NUMBER not in text.translate(_ONES):
        return True
    try:
        for reading, line in zip(readings, lines, strict=True):
            if may_be_deep or _LONG_NUMBER in line.translate(_ONES):
                _check(reading.payload, 0)
    except ReadingFault:
        return False
    return True


def encode_bulk(readings: object) -> Bulk:
    """Encodes a bulk in the given order; a key that comes twice stands twice. Raises ReadingsRefused with up to 20 places."""
    if not isinstance(readings, Sequence) or isinstance(readings, str | bytes):
        raise ReadingsRefused({"readings": ["give a list of readings"]})
    if not 0 < len(readings) <= BULK_MAX:
        raise ReadingsRefused(
            {"readings": [f"give 1 to {BULK_MAX} readings in a request, not {len(readings)}"]}
        )
    bulk, wrong = sift_readings(readings, ERRORS_MAX)
    if wrong:
        errors = {f"readings.{at}{fault.place}": [str(fault)] for at, fault in wrong.items()}
        raise ReadingsRefused(errors)
    return bulk


def sift_readings(
    readings: Iterable[object], faults_max: int | None = None
) -> tuple[Bulk, dict[int, ReadingFault]]:
    """The good ones, and by their places those that are none; at most so many of these."""
    keys: list[str] = []
    lines: list[bytes] = []
    wrong: dict[int, ReadingFault] = {}
    for number, reading in enumerate(readings):
        try:
            key, line = encode_reading(reading)
        except ReadingFault as exc:
            wrong[number] = exc
            if len(wrong) == faults_max:
                break
        else:
            keys.append(key)
            lines.append(line)
    return Bulk(keys, lines), wrong


def encode_reading(reading: object) -> tuple[str, bytes]:
    """Key and line. Raises ReadingFault."""
    if not isinstance(reading, Mapping):
        raise ReadingFault("", "a reading is an object with `key` and `payload`")
    if reading.keys() != {"key", "payload"}:
        _refuse_fields(reading)
    key, payload = reading["key"], reading["payload"]
    if not isinstance(key, str) or not 0 < len(key) <= KEY_MAX or not key.isprintable():
        raise ReadingFault(".key", f"give 1 to {KEY_MAX} printable characters")
    if not isinstance(payload, dict):
        raise ReadingFault(".payload", "give an object")
    _check(payload, 0)
    try:
        content = _encoder.encode(PlainReading(key, payload))
    except UnicodeEncodeError:
        raise ReadingFault(".payload", "half of a surrogate pair is no character") from None
    except TypeError:
        raise ReadingFault(".payload", "a name within it is no text") from None
    if len(content) > LINE_MAX:
        raise ReadingFault("", f"{len(content)} bytes of JSON, more than {LINE_MAX}")
    return key, content


def _refuse_fields(reading: Mapping[object, object]) -> None:
    for name in ("key", "payload"):
        if name not in reading:
            raise ReadingFault(f".{name}", "this field is required")
    raise ReadingFault("", "a reading has `key` and `payload`, and no other field")


def _check(value: object, depth: int) -> None:
    """What the encoder would let through."""
    if isinstance(value, str):
        if "\0" in value:
            raise ReadingFault(".payload", "a text holds NUL")
    elif isinstance(value, dict):
        _check_depth(depth)
        for name, item in value.items():
            _check_name(name)
            _check(item, depth + 1)
    elif isinstance(value, list):
        _check_depth(depth)
        for item in value:
            _check(item, depth + 1)
    else:
        _check_plain(value)


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise ReadingFault(".payload", "a name within it is no text")
    _check(name, 0)


def _check_plain(value: object) -> None:
    if isinstance(value, float):
        if not math.isfinite(value):
            words = "NaN, infinity and numbers beyond a double are not JSON"
            raise ReadingFault(".payload", words)
    elif isinstance(value, int):
        if abs(value) > INTEGER_MAX:
            words = "an integer beyond 2^53 is not the same number everywhere"
            raise ReadingFault(".payload", words)
    elif value is not None:
        raise ReadingFault(".payload", f"a {type(value).__name__} is no JSON")


def _check_depth(depth: int) -> None:
    if depth >= DEPTH_MAX:
        raise ReadingFault(".payload", f"nested deeper than {DEPTH_MAX}")


def first_of_each(bulk: Bulk) -> Bulk:
    """The first reading of each key: where a bulk gives one key twice, the first counts."""
    if len(set(bulk.keys)) == len(bulk.keys):
        return bulk
    first: dict[str, int] = {}
    for place, key in enumerate(bulk.keys):
        first.setdefault(key, place)
    return bulk.choose(first.values())


def cut_into_segments(
    lines: Sequence[bytes], count_max: int, bytes_max: int
) -> list[Sequence[bytes]]:
    """Neighbours together, at most so many and so many bytes. One line that is larger stands alone."""
    segments: list[Sequence[bytes]] = []
    for first in range(0, len(lines), count_max):
        some = lines[first : first + count_max]
        if sum(map(len, some)) + len(some) <= bytes_max:
            segments.append(some)
        else:
            segments += _cut_by_size(some, bytes_max)
    return segments


def _cut_by_size(lines: Sequence[bytes], bytes_max: int) -> list[list[bytes]]:
    segments: list[list[bytes]] = []
    size = 0
    for line in lines:
        if not segments or size + len(line) + 1 > bytes_max:
            segments.append([])
            size = 0
        segments[-1].append(line)
        size += len(line) + 1
    return segments
