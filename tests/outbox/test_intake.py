"""Readings come in: each once, in one order, all of a bulk or nothing."""

from __future__ import annotations

import json
import random
import threading

import pytest
from django.db import connection

from outbox.core.images import KEYS_SUM_MODULUS, key_hash
from outbox.core.readings import ReadingsRefused
from outbox.intake import BulkResult, QueueFull, StreamGone, take
from outbox.models import Stream, StreamHead, StreamHour
from tests.outbox.rows import make_stream, readings, stored_lines

pytestmark = pytest.mark.django_db(transaction=True)


def keys(stream: Stream) -> list[str]:
    return [json.loads(line)["key"] for _, line in stored_lines(stream)]


def test_readings_get_numbers_without_gaps_in_the_order_of_the_bulks() -> None:
    stream = make_stream(batch_size=3)
    assert take(stream, readings(5, 1, 4, 2)) == BulkResult(4, 0, 0)
    assert take(stream, readings(9)) == BulkResult(1, 0, 0)
    assert [number for number, _ in stored_lines(stream)] == [1, 2, 3, 4, 5]
    assert keys(stream) == [f"m-{number:07}" for number in (5, 1, 4, 2, 9)]
    assert StreamHead.objects.get(stream=stream).next_seq == 6


def test_o22_a_bulk_that_comes_twice_is_taken_once() -> None:
    stream = make_stream()
    bulk = readings(*range(100))
    assert take(stream, bulk) == BulkResult(100, 0, 0)
    assert take(stream, bulk) == BulkResult(0, 100, 0)
    changed = {"key": bulk[7]["key"], "payload": {"value": "other"}}
    assert take(stream, [changed, *readings(100)]) == BulkResult(1, 1, 1)
    assert len(stored_lines(stream)) == 101
    assert b'"value":7' in stored_lines(stream)[7][1]


def test_a_key_that_stands_twice_in_one_bulk_is_taken_once() -> None:
    stream = make_stream()
    assert take(stream, readings(1, 2, 1)) == BulkResult(2, 1, 0)


def test_o23_one_bad_reading_refuses_the_bulk() -> None:
    stream = make_stream()
    with pytest.raises(ReadingsRefused):
        take(stream, [*readings(1), {"key": "", "payload": {}}])
    assert stored_lines(stream) == []
    assert StreamHead.objects.get(stream=stream).next_seq == 1


def test_o24_a_full_queue_refuses_new_readings_and_knows_old_ones() -> None:
    stream = make_stream(max_queued=5)
    take(stream, readings(*range(5)))
    with pytest.raises(QueueFull) as caught:
        take(stream, readings(5))
    assert caught.value.wait_s > 0
    assert take(stream, readings(*range(5))) == BulkResult(0, 5, 0)
    assert len(stored_lines(stream)) == 5


def test_keys_of_two_streams_are_their_own() -> None:
    one, two = make_stream(), make_stream()
    assert take(one, readings(1)) == take(two, readings(1)) == BulkResult(1, 0, 0)


def test_a_deleted_stream_takes_nothing() -> None:
    stream = make_stream()
    Stream.objects.filter(pk=stream.pk).delete()
    with pytest.raises(StreamGone):
        take(stream, readings(1))


def test_the_hour_knows_how_many_keys_came_and_which() -> None:
    stream = make_stream()
    for start in (0, 50):
        take(stream, readings(*range(start, start + 60)))
    hours = list(StreamHour.objects.filter(stream=stream))
    expected = sum(key_hash(f"m-{number:07}") for number in range(110)) % KEYS_SUM_MODULUS
    assert sum(hour.keys_count for hour in hours) == 110
    assert sum(int(hour.keys_sum) for hour in hours) % KEYS_SUM_MODULUS == expected


def test_keys_with_quotes_commas_and_other_letters_are_kept_apart() -> None:
    stream = make_stream()
    strange = [
        "a,b",
        "a",
        "b",
        "NULL",
        "null",
        "{a}",
        '"',
        "'",
        "\\",
        "ü",
        "u\u0308",
        " ",
        "%s",
        "a b",
    ]
    bulk = [{"key": key, "payload": {}} for key in strange]
    assert take(stream, bulk) == BulkResult(len(strange), 0, 0)
    assert take(stream, bulk) == BulkResult(0, len(strange), 0)
    assert keys(stream) == strange


def test_senders_beside_each_other_leave_no_gap_and_no_double() -> None:
    stream = make_stream(batch_size=7)
    faults: list[BaseException] = []
    started = threading.Barrier(4)

    def send(seed: int) -> None:
        luck = random.Random(seed)  # noqa: S311 — a sample, no secret
        try:
            started.wait(timeout=60)
            for _ in range(15):
                take(stream, readings(*luck.sample(range(200), 20)))
        except BaseException as exc:  # noqa: BLE001 — told by the test's own thread
            faults.append(exc)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []
    found = keys(stream)
    assert len(found) == len(set(found))
    assert [number for number, _ in stored_lines(stream)] == list(range(1, len(found) + 1))
