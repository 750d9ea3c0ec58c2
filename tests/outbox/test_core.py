"""Readings at the door, images, answers, waits and splits: values in, values out."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

import pytest

from outbox.core.answers import (
    ClientAnswer,
    Judgement,
    Rejected,
    SentBatch,
    SuccessRule,
    TryOutcome,
    judge_answer,
)
from outbox.core.images import make_head, make_image
from outbox.core.readings import (
    LINE_MAX,
    ReadingsRefused,
    cut_into_segments,
    encode_bulk,
    first_of_each,
    read_plain,
    read_plain_lines,
    sift_readings,
)
from outbox.core.retries import decide_wait
from outbox.core.splitting import BatchPart, halve, keep, learn_bytes

NOW = datetime(2026, 11, 28, 10, 0, tzinfo=UTC)
SENT = SentBatch("b-1", 3, frozenset({"a", "b", "c"}))
RULE = SuccessRule()


def reading(key: object = "m-1", **payload: object) -> dict[str, object]:
    return {"key": key, "payload": payload}


REFUSED: dict[str, tuple[object, str]] = {
    "no list": ({"key": "a"}, "readings"),
    "none": ([], "readings"),
    "too many": ([reading()] * 10_001, "readings"),
    "no object": ([7], "readings.0"),
    "no key": ([{"payload": {}}], "readings.0.key"),
    "no payload": ([{"key": "a"}], "readings.0.payload"),
    "another field": ([reading() | {"at": 1}], "readings.0"),
    "an empty key": ([reading("")], "readings.0.key"),
    "a number as key": ([reading(7)], "readings.0.key"),
    "a long key": ([reading("k" * 201)], "readings.0.key"),
    "NUL in a key": ([reading("a\0")], "readings.0.key"),
    "half a surrogate as key": ([reading("\ud800")], "readings.0.key"),
    "a text as payload": ([{"key": "a", "payload": "x"}], "readings.0.payload"),
    "NaN": ([reading(v=float("nan"))], "readings.0.payload"),
    "infinity": ([reading(v=float("inf"))], "readings.0.payload"),
    "beyond 2^53": ([reading(v=2**53 + 1)], "readings.0.payload"),
    "NUL": ([reading(v=["\0"])], "readings.0.payload"),
    "NUL in a name": ([{"key": "a", "payload": {"\0": 1}}], "readings.0.payload"),
    "half a surrogate": ([reading(v="\ud800")], "readings.0.payload"),
    "too large": ([reading(v="x" * LINE_MAX)], "readings.0"),
    "the second one": ([reading(), reading("")], "readings.1.key"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_o10_o23_what_a_client_system_could_not_read_is_refused_at_the_door(name: str) -> None:
    bulk, place = REFUSED[name]
    with pytest.raises(ReadingsRefused) as caught:
        encode_bulk(bulk)
    assert list(caught.value.errors) == [place]
    assert all(words for words in caught.value.errors.values())


def test_o23_deep_nesting_is_refused() -> None:
    value: object = 1
    for _ in range(40):
        value = [value]
    with pytest.raises(ReadingsRefused):
        encode_bulk([reading(v=value)])


def test_readings_are_sifted_one_by_one() -> None:
    bulk, wrong = sift_readings([reading("a"), 7, reading(""), reading("b")])
    assert list(bulk.keys) == ["a", "b"]
    assert {at: fault.place for at, fault in wrong.items()} == {1: "", 2: ".key"}


def test_a_reading_is_one_line_of_json() -> None:
    bulk = encode_bulk(
        [reading("ü \N{SNOWMAN}", text="a\nb\r\u2028", whole=2**53, part=0.1, no=None)]
    )
    (line,), (crc,) = bulk.lines, bulk.crcs
    assert b"\n" not in line
    assert json.loads(line)["payload"] == {
        "text": "a\nb\r\u2028", "whole": 2**53, "part": 0.1, "no": None,
    }  # fmt: skip
    assert -(2**31) <= crc < 2**31


def test_the_first_of_two_equal_keys_counts() -> None:
    bulk = first_of_each(encode_bulk([reading("a", v=1), reading("b"), reading("a", v=2)]))
    assert list(bulk.keys) == ["a", "b"]
    assert b'"v":1' in bulk.lines[0]


PLAIN: dict[str, list[dict[str, object]]] = {
    "many": [reading(f"m-{number}", v=number / 7, at="2026-11-28T10:00Z") for number in range(50)],
    "letters": [reading("ü \N{SNOWMAN}", text='a\nb\r\u2028"\\', none=None, yes=True)],
    "long numbers": [reading(v=2**53, w=-(2**53), x=0.30000000000000004, y=1e300, z=-0.0)],
    "deep": [reading(v=json.loads("[" * 30 + "]" * 30))],
    "a text like an escaped NUL": [reading(v="\\u0000")],
    "digits in a text": [reading(v="12345678901234567890")],
    "no values": [reading("a"), reading("b", v={}, w=[])],
    "the longest": [reading("k" * 200, v="x" * (LINE_MAX - 300))],
}


@pytest.mark.parametrize("name", PLAIN)
def test_readings_that_are_read_fast_become_the_same_lines(name: str) -> None:
    body = json.dumps({"readings": PLAIN[name]}).encode()
    slow, fast = encode_bulk(PLAIN[name]), read_plain(body)
    assert fast == slow or (name == "a text like an escaped NUL" and fast is None)
    lines = b"\n".join(json.dumps(one).encode() for one in PLAIN[name])
    assert read_plain_lines(lines) == fast


@pytest.mark.parametrize("name", sorted(REFUSED.keys() - {"half a surrogate as key"}))
def test_what_is_refused_is_never_read_fast(name: str) -> None:
    bulk, _ = REFUSED[name]
    assert read_plain(json.dumps({"readings": bulk}).encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{}", b'{"readings": []}', b'{"readings": [{"key": "a", "payload": {"v": 1e400}}]}',
        b'{"readings": [{"key": "a", "payload": {"v": "\\ud800"}}]}', b'{"readings": [{"key": "\xff", "payload": {}}]}',
        b'{"readings": [{"key": "a", "payload": {}}], "more": 1}', b'\xef\xbb\xbf{"readings": [{"key": "a", "payload": {}}]}',
        b'{"readings": [{"key": "a", "payload": {}}]} x', b'{"readings": ' + b"[" * 100_000,
        b'{"readings": [{"key": "a", "payload": {"v": 9007199254740993}}]}',
        b'{"readings": [{"key": "a", "payload": {"v": ' + b"1" * 5000 + b"}}]}",
        b'{"readings": [{"key": "a", "payload": {"v": ' + b"[" * 40 + b"]" * 40 + b"}}]}",
    ],
)  # fmt: skip
def test_a_body_that_needs_a_closer_look_is_not_read_fast(body: bytes) -> None:
    assert read_plain(body) is None


@pytest.mark.parametrize(
    "value", [{1, 2}, (1, 2), NOW, uuid.UUID(int=1), b"x", {1: 2}, [float("nan")], [{"a": {3: 4}}]]
)
def test_o23_what_python_has_and_json_has_not_is_refused(value: object) -> None:
    with pytest.raises(ReadingsRefused) as caught:
        encode_bulk([reading(v=value)])
    assert list(caught.value.errors) == ["readings.0.payload"]


def test_segments_keep_order_and_bounds() -> None:
    lines = [b"x" * size for size in (10, 10, 10, 200, 10)]
    segments = cut_into_segments(lines, 2, 100)
    assert [len(segment) for segment in segments] == [2, 1, 1, 1]
    assert [line for segment in segments for line in segment] == lines
    assert cut_into_segments([], 2, 100) == []


def test_an_image_is_json_and_its_digest_is_of_its_bytes() -> None:
    batch_id = uuid.uuid4()
    lines = encode_bulk([reading("a", v=1), reading("b")]).lines
    image = make_image(make_head(batch_id, "meters", 7, 8, 2), lines)
    assert json.loads(image.body) == {
        "batch_id": str(batch_id), "stream": "meters", "sequence_from": 7, "sequence_to": 8, "count": 2,
        "readings": [{"key": "a", "payload": {"v": 1}}, {"key": "b", "payload": {}}],
    }  # fmt: skip
    assert image.content_digest.startswith("sha-256=:")


def told(body: object = None, status: int = 200, **fields: str) -> Judgement:
    raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in fields.items()}
    return judge_answer(ClientAnswer(status, names, raw), SENT, RULE, NOW)


DONE: list[tuple[object, int]] = [
    ({}, 200), ({"success": True, "accepted": 3}, 200), (None, 204),
    ({"accepted": 3, "batch_id": "b-1"}, 201), ({"rejected": []}, 202),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), DONE)
def test_a_success(body: object, status: int) -> None:
    assert told(body, status).outcome is TryOutcome.DONE


NO_SUCCESS: list[tuple[object, int]] = [
    (b"<html>Welcome</html>", 200), ({"success": False}, 200), (None, 200), ([], 200), (b"{", 200),
    ({"accepted": 2}, 200), ({"accepted": True}, 200), ({"accepted": "3"}, 200),
    ({"batch_id": "b-0"}, 200), ({}, 207), ({"rejected": [{"key": "z"}]}, 207),
    ({"rejected": [{"key": "a"}, {"key": "a"}]}, 207), ({"rejected": ["a"]}, 207),
    ({"rejected": [{"key": "a"}], "accepted": 3}, 207), ({"rejected": "a"}, 207),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status"), NO_SUCCESS)
def test_o13_a_success_that_fails_the_rule_is_none(body: object, status: int) -> None:
    judgement = told(body, status)
    assert judgement.outcome is TryOutcome.LATER
    assert judgement.uncertain
    assert judgement.reason


def test_o14_readings_that_are_refused_by_name() -> None:
    rejected = [
        {"key": "b", "code": "invalid", "reason": "no such meter"},
        {"key": "c", "retry": True},
    ]
    judgement = told({"success": True, "accepted": 1, "rejected": rejected}, 207)
    assert judgement.outcome is TryOutcome.PARTLY
    assert judgement.rejected == (
        Rejected("b", "invalid", "no such meter"), Rejected("c", retry=True)
    )  # fmt: skip


@pytest.mark.parametrize("accepted", [2, 3])
def test_a_reading_that_the_client_system_has_already_is_delivered(accepted: int) -> None:
    rule = SuccessRule(duplicate_code="known")
    body = json.dumps({"accepted": accepted, "rejected": [{"key": "b", "code": "known"}]}).encode()
    assert judge_answer(ClientAnswer(207, {}, body), SENT, rule, NOW).outcome is TryOutcome.DONE


RULES: list[tuple[int, TryOutcome]] = [
    (400, TryOutcome.REFUSED), (422, TryOutcome.REFUSED), (413, TryOutcome.TOO_LARGE), (401, TryOutcome.PAUSE),
    (403, TryOutcome.PAUSE), (404, TryOutcome.PAUSE), (405, TryOutcome.PAUSE), (410, TryOutcome.PAUSE),
    (415, TryOutcome.PAUSE), (301, TryOutcome.PAUSE), (307, TryOutcome.PAUSE), (304, TryOutcome.PAUSE),
    (418, TryOutcome.PAUSE), (203, TryOutcome.PAUSE), (408, TryOutcome.LATER), (409, TryOutcome.LATER),
    (425, TryOutcome.LATER), (429, TryOutcome.LATER), (500, TryOutcome.LATER), (503, TryOutcome.LATER),
    (599, TryOutcome.LATER),
]  # fmt: skip


@pytest.mark.parametrize(("status", "outcome"), RULES)
def test_what_each_status_means(status: int, outcome: TryOutcome) -> None:
    assert told({"detail": "words"}, status).outcome is outcome


def test_named_readings_of_a_400() -> None:
    assert told({"errors": [{"key": "b", "message": "bad"}]}, 400).rejected == (
        Rejected("b", reason="bad"),
    )
    assert told({"errors": [{"key": "z"}]}, 400).rejected == ()
    assert told({"errors": {"b": "bad"}}, 400).rejected == ()


def test_a_401_asks_for_a_log_in_where_there_is_one() -> None:
    rule = SuccessRule(logs_in=True)
    assert judge_answer(ClientAnswer(401, {}, b""), SENT, rule, NOW).outcome is TryOutcome.LOG_IN


def test_a_saved_500_does_not_change() -> None:
    assert told(status=500, idempotent_replayed="true").outcome is TryOutcome.PAUSE


@pytest.mark.parametrize(
    ("text", "wait_s"),
    [
        ("6", 6.0), ("0", 0.0), ("999999", 3600.0), ("9" * 400, 3600.0), ("-1", None), ("soon", None),
        ("Sat, 28 Nov 2026 10:00:30 GMT", 30.0), ("Sat, 28 Nov 2026 09:00:00 GMT", 0.0), ("", None),
    ],
)  # fmt: skip
def test_o19_retry_after_is_heeded_up_to_an_hour(text: str, wait_s: float | None) -> None:
    assert told(status=429, retry_after=text).wait_s == wait_s


def test_o19_a_time_to_come_back_is_read_by_the_client_systems_own_clock() -> None:
    fields = {
        "date": "Sat, 28 Nov 2020 10:00:00 GMT",
        "retry-after": "Sat, 28 Nov 2020 10:00:30 GMT",
    }
    assert judge_answer(ClientAnswer(429, fields, b""), SENT, SuccessRule(), NOW).wait_s == 30


def test_a_reason_quotes_no_control_characters() -> None:
    judgement = told(b"\x1b[31m" + b"no\n" * 500, 500)
    assert judgement.reason.isprintable()
    assert len(judgement.reason) < 500


def later(status: int = 503, wait_s: float | None = None) -> Judgement:
    return Judgement(TryOutcome.LATER, status=status, wait_s=wait_s)


def test_waits_grow_and_the_round_ends() -> None:
    waits = [decide_wait(later(), n, tries_max=5, round_s=300, luck=0.5) for n in range(5)]
    assert [wait.wait_s for wait in waits] == [2, 4, 8, 16, 300]
    assert [wait.tries for wait in waits] == [1, 2, 3, 4, 0]
    assert decide_wait(later(), 0, tries_max=5, round_s=300, luck=0.0).wait_s == 1.5
    assert decide_wait(later(), 9, tries_max=99, round_s=300, luck=0.5).wait_s == 32


def test_what_the_client_system_asks_leads() -> None:
    assert decide_wait(later(wait_s=6), 0, tries_max=5, round_s=300, luck=0.9).wait_s == 6
    assert decide_wait(later(wait_s=900), 4, tries_max=5, round_s=300, luck=0.9).wait_s == 900


def test_o20_a_409_pauses_only_after_all_tries() -> None:
    waits = [decide_wait(later(409), n, tries_max=5, round_s=300, luck=0.5) for n in range(5)]
    assert [wait.pauses for wait in waits] == [False] * 4 + [True]


def test_o21_a_host_that_is_away_uses_up_no_try() -> None:
    wait = decide_wait(Judgement(TryOutcome.OFFLINE), 3, tries_max=5, round_s=60, luck=0.5)
    assert (wait.wait_s, wait.tries) == (60, 3)


def test_o15_halves_keep_every_reading_once() -> None:
    whole = BatchPart(10, 16)
    left, right = halve(whole)
    assert (left.sequence_from, left.sequence_to, right.sequence_from, right.sequence_to) == (
        10,
        12,
        13,
        16,
    )
    chosen = keep(whole, [0, 3, 6])
    assert [chosen.sequence_of(index) for index in range(chosen.count)] == [10, 13, 16]
    first, second = halve(chosen)
    assert [first.sequence_of(0)] == [10]
    assert [second.sequence_of(index) for index in range(2)] == [13, 16]
    assert (second.sequence_from, second.sequence_to) == (10, 16)


def test_o16_the_size_that_fits_is_learned() -> None:
    assert learn_bytes(1 << 20, 12_000) == 6_000
    assert learn_bytes(5_000, 12_000) == 5_000
    assert learn_bytes(1 << 20, 1_000) == 1_024
