"""Reads readings from CSV or JSON lines, and gives them to a stream in bulks."""

from __future__ import annotations

import csv
import json
import threading
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from queue import Empty, Queue
from typing import IO, Any

from outbox.core.readings import (
    BULK_MAX,
    LINE_MAX,
    Bulk,
    PlainReading,
    encode_plain,
    read_plain_lines,
    sift_readings,
)
from outbox.intake import BulkResult, QueueFull, StreamGone, take_bulk
from outbox.models import Stream

COLUMNS_SHOWN = 20
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


Chunk = Bulk | list[_Line]  # read at full speed, or line by line


class _Counted:
    """Lines of the file, and how many bytes they had so far. A line that is too long comes in pieces."""

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
    chunks = _read_csv(counted, key) if form == "csv" else _read_lines(counted, key)
    done = Imported()
    with closing(_read_ahead(chunks)) as ahead:
        while True:
            try:
                chunk = next(ahead, None)
            except csv.Error as exc:
                raise ImportFailed(f"this is no CSV: {exc}", done) from None
            if chunk is None:
                return
            done = replace(_take(stream, chunk, done), read_bytes=counted.read_bytes)
            yield done


def _read_ahead(chunks: Iterator[Chunk]) -> Generator[Chunk]:
    """The next chunk is read while the database writes the one before it. Raises what the reading raises."""
    ready: Queue[Chunk | BaseException | None] = Queue(1)
    over = threading.Event()

    def read() -> None:
        try:
            for chunk in chunks:
                ready.put(chunk)
                if over.is_set():
                    return
            ready.put(None)
        except BaseException as exc:  # noqa: BLE001 — raised again where the chunks are asked for
            ready.put(exc)

    # A daemon: nobody waits for a pipe from which nothing comes, once the import has failed.
    threading.Thread(target=read, name="import", daemon=True).start()
    try:
        while (chunk := ready.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        over.set()
        with suppress(Empty):
            ready.get_nowait()


def _take(stream: Stream, chunk: Chunk, done: Imported) -> Imported:
    try:
        if isinstance(chunk, Bulk):
            return _add(done, take_bulk(stream, chunk), [])
        return _take_closely(stream, chunk, done)
    except (QueueFull, StreamGone) as exc:
        raise ImportFailed(str(exc), done) from None


def _take_closely(stream: Stream, chunk: Sequence[_Line], done: Imported) -> Imported:
    """Those that are no readings are left out."""
    bad = [(line.number, line.error) for line in chunk if line.error]
    good = [line for line in chunk if not line.error]
    bulk, wrong = sift_readings(line.reading for line in good)
    bad += [(good[at].number, str(fault)) for at, fault in wrong.items()]
    return _add(done, take_bulk(stream, bulk) if len(bulk) else BulkResult(0, 0, 0), bad)


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


def _read_lines(source: Iterable[bytes], key: str) -> Iterator[Chunk]:
    """`{"key", "payload"}` as it is; another object is a payload that holds its key."""
    numbered = enumerate(_join_pieces(source), start=1)
    while chunk := list(islice(numbered, BULK_MAX)):
        plain = read_plain_lines(b"".join(line for _, line in chunk)) if key == "key" else None
        yield plain or [_look_at(number, raw, key) for number, raw in chunk if raw.strip()]


def _join_pieces(source: Iterable[bytes]) -> Iterator[bytes]:
    """Each line, or what a line that is too long begins with."""
    is_within = False
    for piece in source:
        if not is_within:
            yield piece
        is_within = not piece.endswith(b"\n")


def _look_at(number: int, raw: bytes, key: str) -> _Line:
    if len(raw) >= _LINE_BYTES_MAX:
        return _Line(number, None, f"a line of {_LINE_BYTES_MAX} bytes or more")
    try:
        said = json.loads(raw)
    except (ValueError, RecursionError) as exc:
        return _Line(number, None, f"no JSON: {exc}")
    is_reading = isinstance(said, dict) and said.keys() == {"key", "payload"}
    if is_reading and isinstance(said["payload"], dict) and key == "key":
        return _Line(number, said)
    if isinstance(said, dict) and key in said:
        return _Line(number, {"key": _as_text(said[key]), "payload": said})
    return _Line(number, None, f"no object with a field {key}")


def _read_csv(source: Iterable[bytes], key: str) -> Iterator[Chunk]:
    """The first line names the columns; a row is a payload of texts, without the column of the key. A column
    `payload`, alone beside the key, holds JSON. Raises csv.Error."""
    rows = csv.reader(_read_texts(source))
    names = [name.removeprefix("\ufeff") for name in next(rows, [])]
    if not names:
        return
    if key not in names:
        raise csv.Error(f"no column {key} among {_name_columns(names)}")
    if len(set(names)) < len(names):
        twice = [name for name, count in Counter(names).items() if count > 1]
        raise csv.Error(f"two columns have the same name: {_name_columns(twice)}")
    table = _Table(names, names.index(key))
    numbered = ((rows.line_num, row) for row in rows if row)
    while chunk := list(islice(numbered, BULK_MAX)):
        yield table.read_plain(chunk) or [table.look_at(number, row) for number, row in chunk]


def _read_texts(source: Iterable[bytes]) -> Iterator[str]:
    """Bytes that are no UTF-8 stay to be seen. Raises csv.Error."""
    for line in source:
        if len(line) >= _LINE_BYTES_MAX:
            raise csv.Error(f"a line of {_LINE_BYTES_MAX} bytes or more")
        yield line.decode("utf-8", "surrogateescape")


def _name_columns(names: Sequence[str]) -> str:
    more = f" and {len(names) - COLUMNS_SHOWN} more" if len(names) > COLUMNS_SHOWN else ""
    return ", ".join(names[:COLUMNS_SHOWN]) + more


@dataclass(frozen=True, slots=True)
class _Table:
    names: list[str]
    place: int  # of the key

    @property
    def others(self) -> list[str]:
        return self.names[: self.place] + self.names[self.place + 1 :]

    def read_plain(self, rows: Sequence[tuple[int, list[str]]]) -> Bulk | None:
        """None where a closer look is needed."""
        others, place = self.others, self.place
        if others == ["payload"] or any(len(row) != len(self.names) for _, row in rows):
            return None
        return encode_plain(
            [
                PlainReading(row.pop(place), dict(zip(others, row, strict=True)))
                for row in [list(row) for _, row in rows]
            ]
        )

    def look_at(self, number: int, row: list[str]) -> _Line:
        if len(row) != len(self.names):
            return _Line(number, None, f"{len(row)} fields of {len(self.names)}")
        if not _is_unicode("".join(row)):
            return _Line(number, None, "no UTF-8: save the file in that encoding")
        key, values = row[self.place], row[: self.place] + row[self.place + 1 :]
        if self.others != ["payload"]:
            return _Line(
                number, {"key": key, "payload": dict(zip(self.others, values, strict=True))}
            )
        try:
            return _Line(number, {"key": key, "payload": json.loads(values[0])})
        except (ValueError, RecursionError) as exc:
            return _Line(number, None, f"payload: no JSON: {exc}")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _as_text(key: Any) -> Any:
    is_number = isinstance(key, int | float) and not isinstance(key, bool)
    return str(key) if is_number else key
