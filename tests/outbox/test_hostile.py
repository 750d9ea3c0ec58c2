"""Client systems that break the protocol, say one thing and mean another, or never come to an end."""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.db import connection

from connectors.secrets import seal
from outbox.contacts import download_configuration, send_heartbeat
from outbox.delivery import deliver
from outbox.intake import QueueFull, take
from outbox.models import (
    Batch,
    BatchState,
    DeadLetter,
    Delivery,
    Stream,
    StreamContact,
    StreamState,
    StreamTail,
)
from outbox.rounds import send_round
from outbox.streams import delete_stream, hurry_stream, save_stream, start_stream, stop_stream
from syncjobs.leases.heart import Heart
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.outbox.hosts import KEY, Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import make_client, make_stream, readings
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

GOOD = b'{"success": true, "accepted": %d}'


@dataclass
class Hostile:
    """Answers the first batches with these bytes, and then as it should; it never takes a batch's key twice."""

    first: list[bytes]
    seen: list[tuple[str, bytes]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)

    def __call__(self, request: Request, conversation: Conversation) -> None:
        self.paths.append(request.target)
        if request.method != "POST" or request.target != "/readings/batch":
            conversation.answer(b"{}")
            return
        self.seen.append((request.fields["idempotency-key"], request.body))
        if self.first:
            for piece in self.first.pop(0).split(b"<PIECE>"):
                conversation.say(piece)
                conversation.wait(0.01)
            conversation.hang_up()
        else:
            conversation.answer(GOOD % json.loads(request.body)["count"])


def head(body: bytes, *fields: str, status: str = "200 OK") -> bytes:
    return (
        "\r\n".join(
            [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
        ).encode()
        + body
    )


def deliver_to(hostile: Hostile, port: int, count: int = 10, tries: int = 1) -> Stream:
    client = make_client(port=port, options={"tls": False, "timeout_s": 5})
    seal(client, {"token": KEY})
    client.save()
    stream = make_stream(client, batch_size=10, configuration_interval_s=0)
    take(stream, readings(*range(count)))
    for _ in range(tries):
        again(stream)
    return stream


def again(stream: Stream) -> None:
    StreamTail.objects.filter(pk=stream.pk).update(not_before=None)
    deliver(stream.pk, Heart("test"))


def done_seq(stream: Stream) -> int:
    return StreamTail.objects.get(pk=stream.pk).done_seq


TOLD = GOOD % 10
TAKEN: dict[str, bytes] = {
    "in pieces": b"<PIECE>".join(bytes([byte]) for byte in head(TOLD)),
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (TOLD[:5], len(TOLD) - 5, TOLD[5:]),
    "after interim answers": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + head(TOLD),
}  # fmt: skip


@pytest.mark.parametrize("name", TAKEN)
def test_a_success_counts_however_it_comes(name: str) -> None:
    hostile = Hostile([TAKEN[name]])
    with scripted_http(hostile) as host:
        stream = deliver_to(hostile, host.port)
    assert done_seq(stream) == 10
    assert len(hostile.seen) == 1


SENT_AGAIN: dict[str, bytes] = {
    "no status line": TOLD,
    "interim answers without end": b"HTTP/1.1 102 Processing\r\n\r\n" * 500,
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "until it hangs up, so that nobody can tell whether it is whole": b"HTTP/1.0 200 OK\r\n\r\n" + TOLD,
    "cut": head(TOLD)[:-4],
    "shorter than it says": head(TOLD).replace(b"Length: ", b"Length: 9"),
    "longer than it says": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n" + TOLD,
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 90\r\n\r\n" + TOLD,
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + TOLD,
    "chunks that are none": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" + TOLD,
    "another batch": head(b'{"success": true, "batch_id": "5d0f1c1e-0000-4000-8000-000000000000"}'),
    "one name twice": head(b'{"success": false, "success": true}'),
    "one name twice, the other way": head(b'{"success": true, "success": false}'),
    "another count": head(GOOD % 9),
    "a count that is none": head(b'{"accepted": "10"}'),
    "a list": head(b"[]"),
    "deep": head(b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}"),
    "long numbers": head(b'{"accepted": ' + b"1" * 10_000 + b"}"),
    "packed": head(gzip.compress(TOLD), "Content-Encoding: gzip"),
    "other people's keys": head(json.dumps({"rejected": [{"key": f"x-{n}"} for n in range(20_000)]}).encode()),
    "one of ours twice": head(json.dumps({"rejected": [{"key": keys(1)[0]}] * 2}).encode()),
    "without end": b"HTTP/1.1 200 OK\r\n\r\n{" + b" " * (2 << 20),
    "a huge list": head(json.dumps({"rejected": [{"key": "k" * 200, "reason": "r" * 500}] * 3000}).encode()),
    "an endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 50_000,
    "NUL in the head": b"HTTP/1.1 500 a\0b\r\nX: \0\r\nContent-Length: 0\r\n\r\n",
    "Retry-After beyond all calendars": head(b"", "Retry-After: 1 Jan 99999999999999999999 10:00:00 GMT", status="503 No"),
    "Retry-After of another age": head(b"", "Retry-After: Fri, 31 Dec 9999 23:59:59 -2359", status="503 No"),
    "Retry-After in the past": head(b"", "Retry-After: Sat, 28 Nov 2020 10:00:00 GMT", status="429 No"),
    "Retry-After of nonsense": head(b"", "Retry-After: -1e400", status="503 No"),
    "a long Retry-After": head(b"", f"Retry-After: {'9' * 5000}", status="503 No"),
}  # fmt: skip


@pytest.mark.parametrize("name", SENT_AGAIN)
def test_what_is_no_success_is_sent_again_as_it_was(name: str) -> None:
    hostile = Hostile([SENT_AGAIN[name]])
    with scripted_http(hostile) as host:
        stream = deliver_to(hostile, host.port)
        assert (done_seq(stream), Delivery.objects.count()) == (0, 1)
        assert StreamTail.objects.get(pk=stream.pk).lease_owner is None
        again(stream)
    stream.refresh_from_db()
    assert (done_seq(stream), stream.state, stream.reason) == (10, "running", "")
    assert len(hostile.seen) == 2
    assert len(set(hostile.seen)) == 1
    assert not DeadLetter.objects.exists()


@pytest.mark.parametrize("status", ["301 Moved", "303 See Other", "308 Permanent Redirect"])
def test_a_redirect_is_followed_by_nobody(status: str) -> None:
    hostile = Hostile([head(b"", "Location: /elsewhere", status=status)])
    with scripted_http(hostile) as host:
        stream = deliver_to(hostile, host.port, tries=3)
    stream.refresh_from_db()
    assert (stream.state, status[:3] in stream.reason) == (StreamState.PAUSED, True)
    assert "/elsewhere" not in hostile.paths
    assert len(hostile.seen) == 1


def test_reasons_that_no_table_can_hold_are_kept_without_what_is_wrong() -> None:
    item = {
        "key": keys(3)[0],
        "code": "a\0b",
        "reason": "no\0 such \ud800 meter\n\x1b[31m",
        "retry": False,
    }
    hostile = Hostile(
        [head(json.dumps({"success": True, "rejected": [item]}).encode(), status="207 Multi")]
    )
    with scripted_http(hostile) as host:
        stream = deliver_to(hostile, host.port)
    letter = DeadLetter.objects.get()
    assert (letter.code, letter.reason) == ("ab", "no such  meter [31m")
    assert done_seq(stream) == 10


def test_a_reading_that_is_wanted_once_more_for_ever_becomes_a_dead_letter(
    tmp_path: Path,
) -> None:
    with running_receiver(tmp_path / "taken.jsonl") as receiver:
        stream = stream_to(receiver)
        take(stream, readings(*range(20)))
        receiver.control(retry=keys(3))
        waits = []
        for _ in range(12):
            again(stream)
            waits.append(StreamTail.objects.get(pk=stream.pk).not_before)
    assert done_seq(stream) == 20
    letter = DeadLetter.objects.get()
    assert (letter.key, "at each try" in letter.reason) == (keys(3)[0], True)
    assert sorted(receiver.keys) == [key for key in keys(*range(20)) if key not in keys(3)]
    assert Batch.objects.filter(count=1).count() == 4  # and the first try of all ten


def test_a_log_in_with_a_token_that_is_no_field_pauses_or_waits() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        conversation.answer(json.dumps({"token": "a\r\nX-Other: b\u20ac"}).encode())

    with scripted_http(script) as host:
        client = make_client(
            port=host.port, options={"tls": False, "timeout_s": 5, "auth": "login"}
        )
        seal(client, {"token": KEY})
        client.save()
        stream = make_stream(client)
        take(stream, readings(1))
        again(stream)
    assert Delivery.objects.count() == 1
    assert not [request for request in host.requests if "x-other" in request.fields]


def test_a_tag_of_a_configuration_that_is_no_field_is_sent_back_or_forgotten() -> None:
    def script(request: Request, conversation: Conversation) -> None:
        conversation.say(
            b'HTTP/1.1 200 OK\r\nETag: "\xff\xe2\x82\xac"\r\nContent-Length: 9\r\n\r\n{"a": 17}'
        )

    with scripted_http(script) as host:
        stream = make_stream(make_client(port=host.port, options={"tls": False, "timeout_s": 5}))
        for _ in range(2):
            download_configuration(stream)
        assert StreamContact.objects.get(pk=stream.pk).check_error == ""
        assert send_heartbeat(stream).status == 200
    assert len(host.requests) == 3


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def in_thread(faults: list[BaseException], work: object) -> threading.Thread:
    def run() -> None:
        try:
            work()  # type: ignore[operator]
        except BaseException as exc:  # noqa: BLE001 — told by the test's own thread
            faults.append(exc)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_a_stream_that_is_deleted_during_a_delivery_is_gone_without_a_fault(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(100)))
    receiver.control(hold=True)
    faults: list[BaseException] = []
    thread = in_thread(faults, lambda: deliver(stream.pk, Heart("test")))
    until(lambda: receiver.seen, "no batch came")
    delete_stream(stream, discard=True)
    receiver.control()
    thread.join()
    assert faults == []
    assert not Stream.objects.exists()
    assert len(receiver.batches) <= 1


def test_stops_starts_and_hurries_beside_a_delivery_lose_and_double_nothing(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(600)))
    receiver.control(max_bytes=400, times=3)
    faults: list[BaseException] = []
    over = threading.Event()

    def press() -> None:
        mine = Stream.objects.get(pk=stream.pk)
        while not over.is_set():
            stop_stream(mine)
            start_stream(mine)
            hurry_stream(mine)
            mine.batch_size = 7 if mine.batch_size == 10 else 10
            save_stream(mine)

    def work() -> None:
        while done_seq(stream) < 600:
            deliver(stream.pk, Heart("test"))

    presser = in_thread(faults, press)
    worker = in_thread(faults, work)
    worker.join()
    over.set()
    presser.join()
    assert faults == []
    assert receiver.keys == keys(*range(600))
    assert receiver.taken["doubles"] == 0


def test_a_stream_that_goes_elsewhere_by_now_sends_nothing_more_to_the_old_one(
    receiver: Receiver, tmp_path: Path
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(50)))
    receiver.control(hold=True)
    with running_receiver(tmp_path / "other.jsonl") as other:
        faults: list[BaseException] = []
        thread = in_thread(faults, lambda: deliver(stream.pk, Heart("test")))
        until(lambda: receiver.seen, "no batch came")
        moved = Stream.objects.get(pk=stream.pk)
        moved.client = stream_to(other).client
        save_stream(moved)
        receiver.control()
        thread.join()
        assert faults == []
        assert receiver.keys == keys(*range(10))
        again(stream)
        assert other.keys == keys(*range(10, 50))


def test_a_paused_client_system_gets_nothing_after_the_batch_under_way(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(50)))
    receiver.control(hold=True)
    faults: list[BaseException] = []
    thread = in_thread(faults, lambda: deliver(stream.pk, Heart("test")))
    until(lambda: receiver.seen, "no batch came")
    type(stream.client).objects.filter(pk=stream.client_id).update(status="paused")
    receiver.control()
    thread.join()
    assert (faults, receiver.keys) == ([], keys(*range(10)))


def test_batches_that_shrink_meanwhile_keep_the_one_that_was_fixed(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(30)))
    receiver.control(status=503, times=1)
    again(stream)
    Stream.objects.update(batch_size=3)
    again(stream)
    assert receiver.keys == keys(*range(30))
    assert receiver.seen[0] == receiver.seen[1]
    counts = list(
        Batch.objects.filter(state=BatchState.DONE)
        .order_by("seq_from")
        .values_list("count", flat=True)
    )
    assert (counts[0], max(counts[1:])) == (10, 3)


def test_senders_that_fill_a_queue_together_do_not_overfill_it() -> None:
    stream = make_stream(max_queued=100)
    faults: list[BaseException] = []
    accepted: list[int] = []
    started = threading.Barrier(4)

    def fill(first: int) -> None:
        started.wait(timeout=60)
        for start in range(first, first + 100, 10):
            try:
                accepted.append(take(stream, readings(*range(start, start + 10))).accepted)
            except QueueFull:
                return

    threads = [in_thread(faults, lambda first=first: fill(first)) for first in range(0, 4000, 1000)]
    for thread in threads:
        thread.join()
    assert (faults, sum(accepted)) == ([], 100)


def test_a_clock_that_was_set_back_holds_nobody_who_is_hurried(receiver: Receiver) -> None:
    """What waits until a time that is far ahead by now goes out at a person's word."""
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE outbox_streamtail SET not_before = now() + interval '1 year', rung_at = now() + interval '1 year'"
        )
    assert not send_round(stream).is_empty or receiver.keys == keys(*range(10))
    assert receiver.keys == keys(*range(10))
