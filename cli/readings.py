"""Reads readings from CSV or JSON lines, and gives them to a stream in bulks."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import IO, Any

from outbox.core.readings import BULK_MAX, LINE_MAX, ReadingsRefused
from outbox.intake import BulkResult, QueueFull, StreamGone, take
from outbox.models import Stream

EXAMPLES_MAX = 20
_LINE_BYTES_MAX = 4 * LINE_MAX  # of the file: escapes may make a line longer than the reading


@dataclass(frozen=True, slots=True)
class Imported:
    accepted: int = 0
    duplicates: int = 0
    conflicts: int = 0
    refused: int = 0
    read_bytes: int = 0
    examples: tuple[tuple[str, str], ...] = field(default=())  # of what was refused: place, words

    @property
    def told(self) -> dict[str, int]:
        return {
            "accepted": self.accepted,
            "duplicates": self.duplicates,
            "conflicts": self.conflicts,
            "refused": self.refused,
        }


class ImportFailed(Exception):
    """The rest was not taken. `done` is what was: the same import may be started again."""

    def __init__(self, words: str, done: Imported) -> None:
        super().__init__(words)
        self.done = done


@dataclass(slots=True)
class _Line:
    number: int  # of the file
    reading: Any
    error: str = ""


class _Counted:
    """Lines of the file, and how many bytes they had so far."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.read_bytes = 0

    def __iter__(self) -> Iterator[bytes]:
        while line := self._source.readline(_LINE_BYTES_MAX):
            self.read_bytes += len(line)
            yield line


def import_readings(stream: Stream, source: IO[bytes], form: str, key: str) -> Iterator[Imported]:
    """Yields what is done after each bulk. Each bulk is committed by itself; a reading that is no reading is left
    out and counted. Raises ImportFailed."""
    counted = _Counted(source)
    lines = _read_csv(counted, key) if form == "csv" else _read_lines(counted, key)
    done = Imported()
    while True:
        try:
            bulk = list(islice(lines, BULK_MAX))
        except csv.Error as exc:
            raise ImportFailed(f"this is no CSV: {exc}", done) from None
        if not bulk:
            return
        done = replace(_take(stream, bulk, done), read_bytes=counted.read_bytes)
        yield done


def _take(stream: Stream, bulk: list[_Line], done: Imported) -> Imported:
    good = [line for line in bulk if not line.error]
    bad = [(line.number, line.error) for line in bulk if line.error]
    while good:
        try:
            taken = take(stream, [line.reading for line in good])
        except ReadingsRefused as exc:
            # All of a bulk or nothing: those that it names are left out, and the others tried once more.
            wrong = {int(place.split(".")[1]): words for place, words in exc.errors.items()}
            bad += [(good[index].number, " ".join(words)) for index, words in wrong.items()]
            good = [line for index, line in enumerate(good) if index not in wrong]
        except (QueueFull, StreamGone) as exc:
            raise ImportFailed(str(exc), done) from None
        else:
            return _add(done, taken, bad)
    return _add(done, BulkResult(0, 0, 0), bad)


def _add(done: Imported, taken: BulkResult, bad: list[tuple[int, str]]) -> Imported:
    examples = [*done.examples, *((f"line {number}", words) for number, words in sorted(bad))]
    return replace(
        done,
        accepted=done.accepted + taken.accepted,
        duplicates=done.duplicates + taken.duplicates,
        conflicts=done.conflicts + taken.conflicts,
        refused=done.refused + len(bad),
        examples=tuple(examples[:EXAMPLES_MAX]),
    )


def _read_lines(source: Iterable[bytes], key: str) -> Iterator[_Line]:
    """`{"key", "payload"}` as it is; another object is a payload that holds its key."""
    for number, raw in enumerate(source, start=1):
        if not raw.strip():
            continue
        try:
            said = json.loads(raw)
        except (ValueError, RecursionError) as exc:
            yield _Line(number, None, f"no JSON: {exc}")
            continue
        is_reading = isinstance(said, dict) and said.keys() == {"key", "payload"}
        if is_reading and isinstance(said["payload"], dict) and key == "key":
            yield _Line(number, said)
        elif isinstance(said, dict) and key in said:
            yield _Line(number, {"key": _as_text(said[key]), "payload": said})
        else:
            yield _Line(number, None, f"no object with a field {key}")


def _read_csv(source: Iterable[bytes], key: str) -> Iterator[_Line]:
    """The first line names the columns; a row is a payload of texts, without the column of the key. A column
    `payload`, alone beside the key, holds JSON."""
    rows = csv.reader(line.decode("utf-8", "replace") for line in source)
    names = [name.removeprefix("\ufeff") for name in next(rows, [])]
    if names and key not in names:
        raise csv.Error(f"no column {key} among {', '.join(names)}")
    place = names.index(key) if names else 0
    others = [name for name in names if name != key]
    for row in rows:
        if not row:
            continue
        if len(row) != len(names):
            yield _Line(rows.line_num, None, f"{len(row)} fields of {len(names)}")
            continue
        values = row[:place] + row[place + 1 :]
        yield _of_row(rows.line_num, row[place], others, values)


def _of_row(number: int, key: str, names: list[str], values: list[str]) -> _Line:
    if names != ["payload"]:
        return _Line(number, {"key": key, "payload": dict(zip(names, values, strict=True))})
    try:
        return _Line(number, {"key": key, "payload": json.loads(values[0])})
    except (ValueError, RecursionError) as exc:
        return _Line(number, None, f"payload: no JSON: {exc}")


def _as_text(key: Any) -> Any:
    is_number = isinstance(key, int | float) and not isinstance(key, bool)
    return str(key) if is_number else key
