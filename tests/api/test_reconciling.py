"""Hours are compared with a real client system: one that lost some, has more, or does not tell."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from outbox.dead_letters import redrive
from outbox.intake import take
from outbox.models import DeadLetter, Stream, StreamTail
from outbox.rounds import send_round
from tests.api.asking import Asker, asker
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.outbox.hosts import Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import make_client, make_stream, readings
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

Compare = Callable[[], dict[str, int]]
NOTHING = {"differing": 0, "resent": 0}


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


@pytest.fixture
def stream(receiver: Receiver) -> Stream:
    return stream_to(receiver, {"paths.digest": "/digest"}, name="meters")


@pytest.fixture(params=["REST", "command"])
def compare(
    request: pytest.FixtureRequest, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> Compare:
    def by_rest() -> dict[str, int]:
        answer = asker(Role.OPERATOR).post("streams/meters/reconcile")
        assert answer.status_code == 202, answer.content
        told: dict[str, int] = answer.json()
        return told

    def by_command() -> dict[str, int]:
        capsys.readouterr()
        call_command("stream", "meters", "reconcile")
        told: dict[str, int] = json.loads(capsys.readouterr().out)
        return told

    return by_rest if request.param == "REST" else by_command


def send(stream: Stream) -> None:
    StreamTail.objects.update(not_before=None)
    send_round(stream)


def pass_an_hour(receiver: Receiver) -> None:
    """For both sides."""
    receiver.age(1)
    with connection.cursor() as cursor:
        for hours in (-1_001, 1_000):  # in two steps no hour meets another
            cursor.execute(
                "UPDATE outbox_streamhour SET hour = hour + make_interval(hours => %s)", [hours]
            )
        cursor.execute("UPDATE outbox_segment SET at = at - interval '1 hour'")


def fill_hours(stream: Stream, receiver: Receiver, *counts: int) -> None:
    """Hours of so many readings, the oldest first; the last one is now."""
    first = 0
    for count in counts:
        pass_an_hour(receiver)
        take(stream, readings(*range(first, first + count)))
        send(stream)
        first += count


def test_hours_are_compared_one_by_one(
    stream: Stream, receiver: Receiver, compare: Compare
) -> None:
    fill_hours(stream, receiver, 20, 10, 30)
    assert compare() == {"hours": 3, **NOTHING}
    receiver.lose(*keys(*range(20, 30)))  # the whole hour in the middle
    assert compare() == {"hours": 3, "differing": 1, "resent": 10}
    send(stream)
    assert compare()["resent"] == 0  # they came in a later hour by now
    receiver.lose(*keys(3, 45))
    # What came later than its hour is told apart only where the sums meet again: too much is sent, each taken once.
    assert compare()["resent"] >= 2
    send(stream)
    assert sorted(set(receiver.keys)) == keys(*range(60))
    assert compare()["differing"] == 0
    assert receiver.taken["readings"] == 60


def test_dead_letters_are_missed_by_nobody(
    stream: Stream, receiver: Receiver, compare: Compare
) -> None:
    receiver.control(reject=dict.fromkeys(keys(3, 12, 13), "no such meter"))
    fill_hours(stream, receiver, 10, 10)
    receiver.control()
    assert DeadLetter.objects.count() == 3
    assert compare() == {"hours": 2, **NOTHING}
    receiver.lose(*keys(4, 5))
    assert compare() == {"hours": 2, "differing": 1, "resent": 9}
    send(stream)
    assert receiver.taken["readings"] == 17


def test_readings_that_were_sent_again_are_found_in_the_hour_in_which_they_arrived(
    stream: Stream, receiver: Receiver, compare: Compare
) -> None:
    receiver.control(reject=dict.fromkeys(keys(3), "no such meter"))
    fill_hours(stream, receiver, 10, 10)
    receiver.control()
    pass_an_hour(receiver)
    assert redrive(stream, None) == 1
    send(stream)
    assert receiver.taken["readings"] == 20
    assert compare() == {"hours": 2, **NOTHING}
    receiver.lose(*keys(3))
    assert compare()["resent"] >= 1
    send(stream)
    assert receiver.taken["readings"] == 20
    assert compare()["differing"] == 0


def test_a_client_system_that_has_more_lacks_nothing_and_hides_nothing(
    stream: Stream, receiver: Receiver, compare: Compare
) -> None:
    fill_hours(stream, receiver, 10, 10, 10)
    with receiver.kept.lock:
        receiver.kept._count(["of another sender"], "2020-01-01T10:00:00+00:00")
    hours = sorted(receiver.kept.hours)
    with receiver.kept.lock:
        receiver.kept._count(["and one more"], hours[-2])
    assert compare() == {"hours": 3, **NOTHING}
    receiver.lose(*keys(25))  # of the newest hour
    told = compare()
    assert (told["hours"], told["resent"] >= 1) == (3, True)
    send(stream)
    assert set(keys(*range(30))) <= receiver.kept.keys


@pytest.fixture
def operator(stream: Stream) -> Asker:
    return asker(Role.OPERATOR)


@pytest.mark.parametrize(
    ("said", "status", "words"),
    [
        (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", 409, "answered 500"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", 409, "answered 404"),
        (b"HTTP/1.1 302 Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 409, "answered 302"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", 502, "not JSON"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]", 409, "cannot be read"),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 26\r\n\r\n{"items": [{"hour": "no"}]}', 502, "."),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 27\r\n\r\n{"items": [{"hour": "no"}]}', 409, "hour, count and keys_sum"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\n{", 502, "."),
        (b"", 502, "."),
    ],
)  # fmt: skip
def test_digests_that_cannot_be_had_send_nothing_and_say_why(
    said: bytes, status: int, words: str
) -> None:
    def script(request: Request, conversation: Conversation) -> None:
        assert request.target.startswith("/digest?stream=lines&since=")
        conversation.say(said)
        conversation.hang_up()

    with scripted_http(script) as host:
        client = make_client(
            port=host.port, options={"tls": False, "timeout_s": 5, "paths.digest": "/digest"}
        )
        stream = make_stream(client, name="lines")
        take(stream, readings(1))
        answer = asker(Role.OPERATOR).post("streams/lines/reconcile")
        assert (answer.status_code, words in answer.json()["detail"]) == (status, True)
        with pytest.raises(CommandError, match=words):
            call_command("stream", "lines", "reconcile")
    assert stream.head.__class__.objects.get(pk=stream.pk).next_seq == 2
