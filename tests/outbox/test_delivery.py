"""Batches go out to a real client system: each reading once, in order, whatever it answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection
from django.utils import timezone
from psycopg import OperationalError

from connectors.models import Connector
from connectors.secrets import seal
from events.models import SyncEvent
from outbox.core.segments import pack_lines
from outbox.delivery import deliver
from outbox.figures import read_status, read_stream_figures
from outbox.intake import QueueFull, take
from outbox.leases import TAILS, HeldStream, claim_stream, release_stream
from outbox.models import (
    Batch,
    BatchState,
    DeadLetter,
    Delivery,
    Stream,
    StreamHour,
    StreamState,
    StreamTail,
)
from outbox.ringing import take_due_streams
from outbox.waking import wake_streams
from syncjobs.claims.reaping import reap
from syncjobs.leases.heart import Heart
from tests.outbox.hosts import KEY, Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import readings, stored_lines
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def run(stream: Stream, *, at_once: bool = True) -> None:
    """Delivers until nothing more goes out by itself; with `at_once` it does not wait for pauses."""
    heart = Heart("test")
    for _ in range(100):
        if at_once:
            StreamTail.objects.filter(pk=stream.pk).update(not_before=None)
        before = Delivery.objects.count()
        more = deliver(stream.pk, heart)
        if not more and Delivery.objects.count() == before:
            return
        if not more and not at_once:
            return


def tail(stream: Stream) -> StreamTail:
    return StreamTail.objects.get(pk=stream.pk)


def test_readings_arrive_once_and_in_order(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(25)))
    run(stream)
    assert receiver.keys == keys(*range(25))
    assert [(batch["from"], batch["to"]) for batch in receiver.batches] == [
        (1, 10),
        (11, 20),
        (21, 25),
    ]
    now = tail(stream)
    assert (now.done_seq, now.lease_owner, now.last_sync_success) == (25, None, True)
    assert now.bytes == Stream.objects.get(pk=stream.pk).head.bytes
    assert set(Batch.objects.values_list("state", flat=True)) == {BatchState.DONE}
    assert sum(hour.readings for hour in StreamHour.objects.all()) == 25


def test_o01_o12_an_answer_that_is_cut_after_the_commit_doubles_nothing(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(30)))
    for mood in ({"cut": True}, {"silent": True}, {"slow_s": 8}):
        receiver.control(**mood, times=1)
        run(stream, at_once=False)
        StreamTail.objects.update(not_before=None)
    run(stream)
    assert receiver.keys == keys(*range(30))
    digests: dict[str, set[str]] = {}
    for seen in receiver.seen:
        digests.setdefault(seen["id"], set()).add(seen["sha256"])
    assert len(receiver.seen) > len(digests) == 3
    assert all(len(of_one) == 1 for of_one in digests.values())


@pytest.mark.parametrize(
    "body", ["<html>Welcome</html>", '{"success": false}', "", '{"accepted": 3}']
)
def test_o13_what_only_looks_like_a_success_is_sent_again(receiver: Receiver, body: str) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(body=body, times=1)
    run(stream, at_once=False)
    assert tail(stream).done_seq == 0
    assert Batch.objects.get().uncertain
    run(stream)
    assert receiver.keys == keys(*range(10))
    assert DeadLetter.objects.count() == 0


def test_o14_readings_refused_by_name_become_dead_letters(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(20)))
    why = dict.fromkeys(keys(2, 5, 7), "no such meter")
    receiver.control(reject=why)
    run(stream)
    assert sorted(receiver.keys) == [key for key in keys(*range(20)) if key not in why]
    dead = list(DeadLetter.objects.order_by("seq"))
    assert [(letter.seq, letter.key, letter.reason, letter.code) for letter in dead] == [
        (number + 1, keys(number)[0], "no such meter", "invalid") for number in (2, 5, 7)
    ]
    assert json.loads(dead[0].payload) == {"value": 2}
    assert tail(stream).done_seq == 20


def test_readings_that_the_client_system_wants_again_go_before_what_follows(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(20)))
    receiver.control(retry=keys(3, 4), times=1)
    run(stream, at_once=False)
    assert tail(stream).done_seq == 0
    assert "once more" in tail(stream).waiting_for
    run(stream)
    assert receiver.keys == keys(0, 1, 2, 5, 6, 7, 8, 9, 3, 4, *range(10, 20))
    second = receiver.batches[1]
    assert (second["from"], second["to"]) == (1, 10)
    assert tail(stream).bytes == Stream.objects.get(pk=stream.pk).head.bytes


def test_o04_o15_one_bad_reading_of_500_costs_few_requests(receiver: Receiver) -> None:
    stream = stream_to(receiver, batch_size=500)
    take(stream, readings(*range(500)))
    receiver.control(refuse=keys(123))
    run(stream)
    assert sorted(receiver.keys) == [key for key in keys(*range(500)) if key not in keys(123)]
    assert list(DeadLetter.objects.values_list("key", flat=True)) == keys(123)
    assert Delivery.objects.count() <= 1 + 2 * 9 + 2
    assert tail(stream).done_seq == 500


def test_nothing_passes_so_the_stream_pauses_before_it_makes_a_million_dead_letters(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver, batch_size=100)
    take(stream, readings(*range(100)))
    receiver.control(status=400)
    run(stream)
    assert DeadLetter.objects.count() == 20
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert "20 single readings" in stream.reason
    assert tail(stream).done_seq == 20


def test_o16_the_size_that_fits_is_learned(receiver: Receiver) -> None:
    stream = stream_to(receiver, batch_size=200)
    take(stream, readings(*range(200)))
    receiver.control(max_bytes=6000)
    run(stream)
    assert receiver.keys == keys(*range(200))
    refused = Delivery.objects.filter(status=413).count()
    take(stream, readings(*range(200, 400)))
    run(stream)
    assert receiver.keys == keys(*range(400))
    assert Delivery.objects.filter(status=413).count() == refused


def test_o16_what_was_learned_grows_again(receiver: Receiver) -> None:
    """A client system that takes more by now is found out; one that does not costs one refused batch."""
    stream = stream_to(receiver, batch_size=200)
    take(stream, readings(*range(200)))
    receiver.control(max_bytes=6000)
    run(stream)
    Stream.objects.update(batch_bytes_at=timezone.now() - timedelta(days=1))
    take(stream, readings(*range(200, 400)))
    before = Delivery.objects.count()
    run(stream)
    assert receiver.keys == keys(*range(400))
    assert Delivery.objects.filter(status=413).count() <= 4
    receiver.control()
    Stream.objects.update(batch_bytes_at=timezone.now() - timedelta(days=1))
    take(stream, readings(*range(400, 600)))
    before = Delivery.objects.count()
    run(stream)
    assert Delivery.objects.count() == before + 1


def test_a_batch_that_was_taken_is_not_judged_anew(receiver: Receiver) -> None:
    """By the sample, as every client system must do: else its readings would go again in other batches."""
    stream = stream_to(receiver)
    for start, mood in enumerate(({"status": 400}, {"max_bytes": 100})):
        take(stream, readings(*range(10 * start, 10 * start + 10)))
        receiver.control(silent=True, times=1)
        run(stream, at_once=False)
        receiver.control(**mood)
        run(stream)
        assert tail(stream).done_seq == 10 * start + 10
    assert receiver.taken["doubles"] == 0


@pytest.mark.parametrize("status", [401, 403, 404, 307])
def test_o05_o17_o18_what_a_person_must_see_to_pauses_the_stream(
    receiver: Receiver, status: int
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=status)
    run(stream)
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert str(status) in stream.reason
    assert Delivery.objects.count() == 1
    receiver.control()
    Stream.objects.update(state=StreamState.RUNNING)
    run(stream)
    assert receiver.keys == keys(*range(10))


def test_o07_o19_retry_after_is_kept(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=429, retry_after=60, times=1)
    run(stream, at_once=False)
    now = tail(stream)
    assert now.not_before is not None
    assert 50 < (now.not_before - timezone.now()).total_seconds() <= 60
    assert "60 s" in now.waiting_for
    assert not deliver(stream.pk, Heart("test"))
    assert Delivery.objects.count() == 1
    run(stream)
    assert receiver.keys == keys(*range(10))


def test_o20_409_waits_and_sends_the_same_bytes(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=409, times=2)
    run(stream)
    assert receiver.keys == keys(*range(10))
    assert len({(seen["id"], seen["sha256"]) for seen in receiver.seen}) == 1
    assert DeadLetter.objects.count() == 0


def test_o20_409_for_ever_pauses(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=409)
    run(stream)
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert Delivery.objects.count() == 5


def test_o21_while_the_client_system_is_away_no_try_is_used_up(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    port = receiver.port
    stream.client.port = 1  # nobody listens there
    seal(stream.client, {"token": KEY})
    stream.client.save()
    take(stream, readings(*range(15)))
    for _ in range(8):
        StreamTail.objects.update(not_before=None)
        deliver(stream.pk, Heart("test"))
    assert Batch.objects.get().tries == 0
    assert "reachable" in tail(stream).waiting_for
    stream.refresh_from_db()
    assert stream.state == StreamState.RUNNING
    stream.client.port = port
    seal(stream.client, {"token": KEY})
    stream.client.save()
    run(stream)
    assert receiver.keys == keys(*range(15))


def test_o02_a_long_time_away_fills_the_queue_and_all_of_it_arrives_in_order(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver, batch_size=500, max_queued=5_000)
    receiver.control(down=True)
    for start in range(0, 5_000, 1_000):
        take(stream, readings(*range(start, start + 1_000)))
        StreamTail.objects.update(not_before=None)
        deliver(stream.pk, Heart("test"))
    status = read_status(stream)
    assert (status.queue_size, status.total_synced) == (5_000, 0)
    assert "reachable" in status.waiting_for
    with pytest.raises(QueueFull) as refused:
        take(stream, readings(5_000))
    assert refused.value.wait_s > 0
    receiver.control()
    run(stream)
    assert receiver.keys == keys(*range(5_000))
    assert take(stream, readings(5_000)).accepted == 1


def test_a_round_ends_and_the_next_one_begins_anew(receiver: Receiver) -> None:
    stream = stream_to(receiver, sync_interval_s=4000)
    take(stream, readings(*range(5)))
    receiver.control(status=500)
    for _ in range(5):
        StreamTail.objects.update(not_before=None)
        deliver(stream.pk, Heart("test"))
    assert Batch.objects.get().tries == 0
    left_s = (tail(stream).not_before - timezone.now()).total_seconds()  # type: ignore[operator]
    assert left_s > 3900


def test_a_log_in_gives_a_token_for_the_batches(receiver: Receiver) -> None:
    stream = stream_to(receiver, {"auth": "login"})
    take(stream, readings(*range(10)))
    run(stream)
    assert receiver.keys == keys(*range(10))


def test_the_key_stands_in_no_log_and_no_answer(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(3)))
    receiver.control(body=f"your key is {KEY}", times=1)
    run(stream)
    said = " ".join(Delivery.objects.values_list("reason", flat=True)) + tail(stream).last_error
    assert "your key is" in said
    assert KEY not in said


def test_a_delivery_that_was_taken_over_writes_nothing(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(hold=True)

    def deliver_slowly() -> None:
        deliver(stream.pk, Heart("slow"))
        connection.close()

    def take_over() -> HeldStream | None:
        StreamTail.objects.update(lease_expires_at=timezone.now() - timedelta(hours=1))
        return claim_stream(stream.pk, "another")

    slow = threading.Thread(target=deliver_slowly)
    slow.start()
    until(lambda: receiver.taken["most_at_once"], "the batch was not sent")
    held = until(take_over, "the stream was not taken over")
    assert held is not None
    receiver.control()
    slow.join()
    assert tail(stream).token == held.token
    assert tail(stream).done_seq == 0
    assert Batch.objects.get().state == BatchState.OPEN
    assert Delivery.objects.count() == 0
    release_stream(held, in_doubt=True)
    run(stream)
    assert receiver.keys == keys(*range(10))
    assert tail(stream).done_seq == 10
    assert Batch.objects.get().state == BatchState.DONE


def test_a_connection_that_was_lost_once_costs_a_check_interval_and_no_round(
    receiver: Receiver,
) -> None:
    """The client system is there at the check that follows, so nobody will find it back."""
    stream = stream_to(receiver, sync_interval_s=4000)
    take(stream, readings(*range(5)))
    receiver.control(silent=True, times=1)
    deliver(stream.pk, Heart("test"))
    left_s = (tail(stream).not_before - timezone.now()).total_seconds()  # type: ignore[operator]
    assert left_s <= 60
    assert Batch.objects.get().uncertain
    run(stream)
    assert receiver.keys == keys(*range(5))
    assert receiver.taken["doubles"] == 0


@pytest.mark.parametrize(
    ("mood", "ends"),
    [
        ({}, {"delivered": 1}),
        ({"reject": {"m-0000001": "no such meter"}}, {"rejected": 1}),
        ({"retry": ["m-0000001"], "times": 1}, {"rejected": 1, "delivered": 1}),
        ({"refuse": ["m-0000001"]}, {"split": 2, "delivered": 2, "rejected": 1}),
        ({"max_bytes": 250}, {"split": 1, "delivered": 2}),
        ({"status": 503, "times": 2}, {"retried": 2, "delivered": 1}),
        ({"body": "<html>", "times": 1}, {"retried": 1, "delivered": 1}),
        ({"down": True, "times": 1}, {"unreachable": 1, "delivered": 1}),
        ({"status": 403}, {"paused": 1}),
        ({"status": 409}, {"retried": 4, "paused": 1}),
    ],
)
def test_each_try_counts_under_what_it_led_to(
    receiver: Receiver, mood: dict[str, object], ends: dict[str, int]
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(4)))
    receiver.control(**mood)
    run(stream)
    with connection.cursor() as cursor:
        [figures] = read_stream_figures(cursor)
    assert {end: count for end, count in figures.ends.items() if count} == ends
    assert sum(ends.values()) == Delivery.objects.count()


def test_a_lease_that_ran_out_is_told_and_leaves_its_batch_in_doubt(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=503, times=1)
    run(stream, at_once=False)
    assert not Batch.objects.filter(uncertain=False).exists()
    Batch.objects.update(uncertain=False)
    StreamTail.objects.update(not_before=None)
    assert claim_stream(stream.pk, "dead") is not None
    StreamTail.objects.update(lease_expires_at=timezone.now() - timedelta(hours=1))
    # The first sweep of a database holds back.
    assert reap((TAILS,), young_s=0) + reap((TAILS,), young_s=0) == 1
    told = SyncEvent.objects.get(event="stream_lease_expired")
    assert (told.stream_id, "may have been taken" in told.reason) == (stream.pk, True)
    receiver.control(reject={keys(3)[0]: "no such meter"})
    run(stream)
    assert DeadLetter.objects.get().maybe_delivered
    assert SyncEvent.objects.filter(event="stream_lease_expired").count() == 1


def test_a_session_that_is_lost_between_send_and_mark_leaves_the_batch_in_doubt(
    receiver: Receiver,
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(hold=True)
    failed: list[BaseException] = []

    def cut_off() -> None:
        try:
            deliver(stream.pk, Heart("cut off"))
        except OperationalError as exc:
            failed.append(exc)
        finally:
            connection.close()

    thread = threading.Thread(target=cut_off)
    thread.start()
    until(lambda: receiver.seen, "no batch came")
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'deliver %'"
        )
    receiver.control()
    thread.join()
    assert failed
    assert Batch.objects.get().state == BatchState.OPEN
    run(stream)
    assert receiver.keys == keys(*range(10))
    assert Batch.objects.get().uncertain
    assert receiver.seen[0] == receiver.seen[1]


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda lines: pack_lines([line.replace(b"7", b"8") for _, line in lines]), "not those that were fixed"),
        (lambda lines: pack_lines([line for _, line in lines])[:-3], "cannot be read"),
    ],
)  # fmt: skip
def test_bytes_that_changed_on_disk_are_not_sent_and_pause_the_stream(
    receiver: Receiver, damage: Callable[[list[tuple[int, bytes]]], bytes], reason: str
) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(10)))
    receiver.control(status=503, times=1)
    run(stream, at_once=False)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_segment SET body = %s", [damage(stored_lines(stream))])
    run(stream)
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert reason in stream.reason
    assert receiver.keys == []
    paused = SyncEvent.objects.get(event="stream_paused")
    assert (paused.stream_id, paused.reason) == (stream.pk, stream.reason)


def test_options_that_cannot_be_used_pause_the_stream(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    Connector.objects.update(options={"ca_certificate": "no certificate"})
    run(stream)
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert tail(stream).lease_owner is None


def test_what_comes_after_a_delivery_is_due_at_once(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    assert take_due_streams() == [stream.pk]
    run(stream)
    take(stream, readings(2))
    assert take_due_streams() == [stream.pk]


def test_a_stream_is_woken_also_while_its_last_delivery_ends(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    later = timezone.now() + timedelta(hours=1)
    StreamTail.objects.update(not_before=later, lease_owner="dead", lease_expires_at=later)
    assert wake_streams([stream.client_id]) == 1
    assert tail(stream).not_before < later  # type: ignore[operator]


def test_a_key_that_was_stored_for_tls_is_never_sent_without(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    client = stream.client
    client.options["tls"] = True
    seal(client, {"token": KEY})
    client.options["tls"] = False
    client.save()
    take(stream, readings(1))
    run(stream)
    stream.refresh_from_db()
    assert stream.state == StreamState.PAUSED
    assert receiver.seen == []
