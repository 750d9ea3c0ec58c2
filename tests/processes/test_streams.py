"""Streams through real workers and a beat: readings go out by themselves, whatever dies on the way."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import pytest
import redis
from django.utils import timezone

from connectors.models import FarEndWatch
from embedded.ports import find_free
from farends.errors import Unreachable
from outbox.intake import take
from outbox.models import Batch, Delivery, Stream, StreamTail
from syncjobs.core.states import State
from syncjobs.models import SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.sshd import Sshd
from tests.outbox.hosts import Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import readings
from tests.processes.conftest import Process, Start
from tests.processes.records import until_final
from tests.proxy import proxying
from tests.rows import fill, fresh, make_connector, make_job
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

CHECK_MS = "1000"
WAKE_S = 1 + 5  # a check, and the moment of its own that each stream waits


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def until_all_taken(receiver: Receiver, expected: list[str], *, within_s: float = 30) -> None:
    until(lambda: len(receiver.keys) >= len(expected), "readings did not arrive", within_s=within_s)
    assert receiver.keys == expected


def owner_of(stream: Stream, workers: list[Process]) -> Process:
    owner = StreamTail.objects.get(pk=stream.pk).lease_owner
    assert owner is not None
    return next(one for one in workers if f":{one.popen.pid}:" in owner)


def test_readings_go_out_by_themselves(start: Start, receiver: Receiver) -> None:
    stream = stream_to(receiver, sync_interval_s=3600)
    start("worker")
    start("beat")
    for first in range(0, 60, 20):
        take(stream, readings(*range(first, first + 20)))
        until_all_taken(receiver, keys(*range(first + 20)), within_s=15)


def test_a_client_system_that_was_down_is_found_back(
    start: Start, receiver: Receiver, tmp_path: Path
) -> None:
    """The streams' own next round lies an hour away."""
    stream = stream_to(receiver, sync_interval_s=3600)
    start("worker", CONNECTIVITY_CHECK_INTERVAL_MS=CHECK_MS)
    start("beat", CONNECTIVITY_CHECK_INTERVAL_MS=CHECK_MS)
    take(stream, readings(*range(5)))
    until_all_taken(receiver, keys(*range(5)))
    port = receiver.port
    receiver.stop()
    take(stream, readings(*range(5, 50)))
    until(
        lambda: FarEndWatch.objects.filter(state="offline").exists(), "the outage was not noticed"
    )
    tries = Batch.objects.filter(state="open").values_list("tries", flat=True)
    StreamTail.objects.update(not_before=timezone.now() + timedelta(hours=1))
    assert list(tries) == [0]
    with running_receiver(tmp_path / "taken.jsonl", port) as back:
        up_at = timezone.now()
        until_all_taken(back, keys(*range(50)))
        done = Delivery.objects.filter(at__gte=up_at, outcome="done").order_by("at")
        first = until(done.first, "the delivery was not noted")
        assert first is not None
        assert (first.at - up_at).total_seconds() < WAKE_S + 5  # and what a loaded machine takes
        assert back.taken["doubles"] == 0


def test_records_that_waited_for_the_host_are_woken_too(
    start: Start, sshd: Sshd, source: Path
) -> None:
    start("worker", CONNECTIVITY_CHECK_INTERVAL_MS=CHECK_MS)
    start("beat", CONNECTIVITY_CHECK_INTERVAL_MS=CHECK_MS)
    fill(source, {"a.txt": b"x"})
    port = find_free()
    job = make_job(make_connector(replace(sshd.target(source), port=port)))
    record = enqueue(job, trigger=Trigger.MANUAL)
    until(
        lambda: fresh(record).state == State.QUEUED and record.error_code == Unreachable.code,
        "the record does not wait for its host",
    )
    offline = FarEndWatch.objects.filter(state="offline")
    until(offline.exists, "the outage was not noticed")
    later = timezone.now() + timedelta(hours=1)
    SyncRecord.objects.filter(pk=record.pk).update(not_before=later)
    with proxying(sshd.port, port=port):
        until_final(record)
    assert record.state == State.SUCCEEDED


def test_two_workers_never_deliver_one_stream_at_once(start: Start, receiver: Receiver) -> None:
    stream = stream_to(receiver, batch_size=5)
    take(stream, readings(*range(200)))
    receiver.control(slow_s=0.05)
    for _ in range(2):
        start("worker")
    for _ in range(2):
        start("beat")
    until_all_taken(receiver, keys(*range(200)))
    ids = [seen["id"] for seen in receiver.seen]
    assert len(ids) == len(set(ids)) == 40
    assert receiver.taken["most_at_once"] == 1


def test_a_drained_worker_ends_its_batch_and_hands_the_stream_over(
    start: Start, receiver: Receiver
) -> None:
    stream = stream_to(receiver, batch_size=5)
    receiver.control(hold=True)
    take(stream, readings(*range(50)))
    first = start("worker")
    start("beat")
    until(lambda: receiver.seen, "nothing was sent")
    first.send(signal.SIGTERM)
    first.wait_for_line("Warm shutdown")
    receiver.control()
    first.popen.wait(90)
    assert len(receiver.keys) == 5
    assert not Batch.objects.filter(uncertain=True).exists()
    receiver.control()
    start("worker")
    until_all_taken(receiver, keys(*range(50)))
    ids = [seen["id"] for seen in receiver.seen]
    assert len(ids) == len(set(ids))


def test_what_a_killed_worker_had_sent_goes_again_as_it_was(
    start: Start, receiver: Receiver
) -> None:
    stream = stream_to(receiver)
    workers = [start("worker"), start("worker")]
    start("beat")
    receiver.control(hold=True)
    take(stream, readings(*range(50)))
    until(lambda: receiver.seen, "nothing was sent")
    owner_of(stream, workers).send(signal.SIGKILL)
    receiver.control()
    until_all_taken(receiver, keys(*range(50)))
    ids = [seen["id"] for seen in receiver.seen]
    (again,) = {one for one in ids if ids.count(one) > 1}
    assert len({seen["sha256"] for seen in receiver.seen if seen["id"] == again}) == 1
    assert list(Batch.objects.filter(uncertain=True).values_list("pk", flat=True)) == [UUID(again)]
    assert receiver.taken["doubles"] == 0


def test_a_broker_that_forgets_everything_delays_only(
    start: Start, receiver: Receiver, broker: redis.Redis
) -> None:
    stream = stream_to(receiver)
    beat = start("beat")
    take(stream, readings(*range(10)))
    until(
        lambda: StreamTail.objects.filter(rung_at__isnull=False).exists(), "the stream was not rung"
    )
    beat.end()
    broker.flushall()
    start("beat")
    start("worker")
    until_all_taken(receiver, keys(*range(10)), within_s=45)
