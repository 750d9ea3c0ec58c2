"""Files as they come from other systems, and pipes that fall silent, become readings or are refused by their lines."""

from __future__ import annotations

import csv
import io
import json
import threading
from collections.abc import Iterator
from typing import IO

import pytest

from cli.readings import Imported, ImportFailed, import_readings
from outbox.core.readings import BULK_MAX
from outbox.models import Stream
from tests.outbox.rows import make_stream, readings, stored_lines

pytestmark = pytest.mark.django_db(transaction=True)


def load(stream: Stream, text: bytes | IO[bytes], form: str, key: str = "key") -> Imported:
    source = io.BytesIO(text) if isinstance(text, bytes) else text
    return [Imported(), *import_readings(stream, source, form, key)][-1]


def stored(stream: Stream) -> list[dict[str, object]]:
    return [json.loads(line) for _, line in stored_lines(stream)]


def lines_of(*numbers: int) -> bytes:
    return b"".join(json.dumps(one).encode() + b"\n" for one in readings(*numbers))


TABLE = [{"key": "a", "payload": {"v": "1"}}, {"key": "b", "payload": {"v": "2"}}]


@pytest.mark.parametrize(
    "text",
    [
        b"key,v\na,1\nb,2\n",
        b"\xef\xbb\xbfkey,v\r\na,1\r\nb,2\r\n",
        b'"key","v"\r\n"a","1"\r\n\r\n"b","2"',
        b"v,key\n1,a\n2,b",
    ],
)
def test_tables_of_many_programs_are_the_same_readings(text: bytes) -> None:
    stream = make_stream()
    assert load(stream, text, "csv").told["accepted"] == 2
    assert stored(stream) == TABLE


def test_a_field_may_hold_line_ends_quotes_and_commas() -> None:
    stream = make_stream()
    load(stream, b'key,v\na,"one\r\ntwo, ""three"""\n', "csv")
    assert stored(stream) == [{"key": "a", "payload": {"v": 'one\r\ntwo, "three"'}}]


def test_lines_of_json_with_a_mark_at_the_front_and_windows_ends() -> None:
    stream = make_stream()
    text = b"\xef\xbb\xbf" + lines_of(1, 2).replace(b"\n", b"\r\n") + b"\r\n"
    assert load(stream, text, "jsonl") == Imported(accepted=2, read_bytes=len(text))
    assert stored(stream) == readings(1, 2)


def test_a_payload_of_json_in_a_table() -> None:
    stream = make_stream()
    done = load(stream, b'key,payload\na,"{""v"": 1}"\nb,{nonsense\n', "csv")
    assert (done.told["accepted"], done.told["refused"]) == (1, 1)
    assert stored(stream) == [{"key": "a", "payload": {"v": 1}}]


def test_bytes_that_are_no_utf8_are_refused_and_not_changed() -> None:
    stream = make_stream()
    done = load(stream, b"key,v\na,f\xfcnf\nb,2\n", "csv")
    assert (done.accepted, done.refused) == (1, 1)
    assert done.examples == (("line 2", "no UTF-8: save the file in that encoding"),)
    done = load(stream, b'{"key": "c", "payload": {"v": "f\xfcnf"}}\n' + lines_of(1), "jsonl")
    assert (done.accepted, done.refused) == (1, 1)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"key,v,v\na,1,2\n", "two columns have the same name: v"),
        (b"id,v\na,1\n", "no column key among id, v"),
        (b",".join(b"c%d" % n for n in range(30_000)) + b"\n", "no column key among c0, c1"),
        (b"key," + b",".join(b"c%d" % n for n in range(1_000_000)) + b"\n", "a line of"),
        (b'key,v\na,"' + b"x\n" * 100_000, "field larger than field limit"),
        (b"key,v\na,1\nb," + b"x" * 300_000 + b"\n", "a line of"),
    ],
)
def test_a_table_that_cannot_be_read_is_told_in_few_words(text: bytes, words: str) -> None:
    with pytest.raises(ImportFailed, match=words) as caught:
        load(make_stream(), text, "csv")
    assert len(str(caught.value)) < 500


def test_rows_of_many_columns_are_refused_one_by_one() -> None:
    stream = make_stream()
    names = ["key", *(f"column{number}" for number in range(10_000))]
    text = io.StringIO()
    csv.writer(text).writerows([names, ["a", *["1"] * 10_000], ["b", "1"]])
    done = load(stream, text.getvalue().encode(), "csv")
    assert (done.accepted, done.refused) == (0, 2)
    assert "more than 65536" in done.examples[0][1]


def test_a_line_that_is_too_long_is_one_line() -> None:
    stream = make_stream()
    text = b'{"key": "a", "payload": {"v": "' + b"x" * 1_000_000 + b'"}}\n' + lines_of(1)
    done = load(stream, text, "jsonl")
    assert (done.accepted, done.refused) == (1, 1)
    assert done.examples[0][0] == "line 1"


def test_a_file_of_bad_readings_is_looked_at_once() -> None:
    """Each refusal names few places: the bulk must not be encoded anew for each of them."""
    stream = make_stream()
    bad = json.dumps({"key": "", "payload": {}}).encode() + b"\n"
    done = load(stream, bad * BULK_MAX + lines_of(1), "jsonl")
    assert (done.accepted, done.refused) == (1, BULK_MAX)
    assert len(done.examples) == 20


def test_an_import_that_was_broken_off_is_repeated_without_doubles() -> None:
    stream = make_stream()
    text = lines_of(*range(BULK_MAX + 5))
    begun = import_readings(stream, io.BytesIO(text), "jsonl", "key")
    assert next(begun).accepted == BULK_MAX
    begun.close()  # type: ignore[attr-defined]
    done = load(stream, text, "jsonl")
    assert (done.accepted, done.duplicates) == (5, BULK_MAX)
    assert len(stored(stream)) == BULK_MAX + 5


class Silent(io.BytesIO):
    """A pipe from which nothing comes after its first lines, until somebody hangs up."""

    def __init__(self, text: bytes, over: threading.Event) -> None:
        super().__init__(text)
        self._over = over

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if not line:
            self._over.wait(60)
        return line


@pytest.fixture
def over() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def test_a_failed_import_does_not_wait_for_a_silent_pipe(over: threading.Event) -> None:
    stream = make_stream(max_queued=1)
    with pytest.raises(ImportFailed, match="max_queued"):
        load(stream, Silent(lines_of(*range(BULK_MAX)), over), "jsonl")
    assert not over.is_set()
