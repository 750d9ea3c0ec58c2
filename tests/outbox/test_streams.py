"""Streams are started, stopped, hurried and deleted; what they tell of themselves; dead letters; contacts; the ring."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.utils import timezone

from events.models import SyncEvent
from outbox.contacts import download_configuration, send_heartbeat, take_due_contacts
from outbox.core.configuration import check_schema
from outbox.core.readings import ReadingsRefused
from outbox.dead_letters import LetterToSend, NoSuchLetter, redrive
from outbox.delivery import deliver
from outbox.figures import read_stats, read_status
from outbox.intake import take
from outbox.models import (
    ClientConfiguration,
    DeadLetter,
    Delivery,
    Ring,
    Stream,
    StreamContact,
    StreamState,
    StreamTail,
)
from outbox.retention import drop_old_deliveries
from outbox.ring import turn_ring
from outbox.ringing import forget_rung_streams, take_due_streams
from outbox.streams import (
    StreamPaused,
    UnsentReadings,
    delete_stream,
    hurry_stream,
    save_stream,
    start_stream,
    stop_stream,
)
from syncjobs.leases.heart import Heart
from tests.outbox.hosts import Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import make_client, make_stream, readings, stored_lines
from tests.racing import meet
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def send_all(stream: Stream) -> None:
    for _ in range(50):
        StreamTail.objects.filter(pk=stream.pk).update(not_before=None)
        if not deliver(stream.pk, Heart("test")) and not read_status(stream).queue_size:
            return


def test_a_stream_needs_a_client_system_of_its_workspace() -> None:
    elsewhere, host = make_client("elsewhere"), make_client()
    with pytest.raises(ValidationError, match="of this workspace"):
        save_stream(Stream(workspace=make_workspace(), name="x", client=elsewhere))
    host.kind = "sftp"
    with pytest.raises(ValidationError, match="kind client"):
        save_stream(Stream(workspace=make_workspace(), name="x", client=host))


def test_stopping_and_starting_is_told_and_nothing_goes_out_meanwhile(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    stop_stream(stream)
    assert take_due_streams() == []
    assert not deliver(stream.pk, Heart("test"))
    with pytest.raises(StreamPaused, match="start it first"):
        hurry_stream(stream)
    start_stream(stream)
    assert take_due_streams() == [stream.pk]
    send_all(stream)
    assert receiver.keys == keys(1)
    told = SyncEvent.objects.filter(stream_id=stream.pk).values_list("event", flat=True)
    assert list(told.order_by("id")) == ["stream_stopped", "stream_started"]


def test_a_stream_is_rung_once_until_somebody_answers(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    assert take_due_streams() == []  # nothing waits
    take(stream, readings(1))
    assert take_due_streams() == [stream.pk]
    assert take_due_streams() == []
    forget_rung_streams([stream.pk])
    assert take_due_streams() == [stream.pk]
    StreamTail.objects.update(rung_at=None, not_before=timezone.now() + timedelta(hours=1))
    assert take_due_streams() == []
    hurry_stream(stream)
    assert take_due_streams() == [stream.pk]


def test_a_paused_connector_holds_its_streams(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    stream.client.status = "paused"
    stream.client.save()
    assert take_due_streams() == []
    assert not deliver(stream.pk, Heart("test"))


def test_o26_status_and_statistics_equal_what_the_client_system_has(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(25)))
    before = read_status(stream)
    assert (before.queue_size, before.total_synced, before.last_sync_success) == (25, 0, None)
    assert before.oldest_reading_age_s is not None
    assert before.queue_bytes > 25 * 20
    receiver.control(reject={keys(3)[0]: "no"}, times=1)
    send_all(stream)
    status, stats = read_status(stream), read_stats(stream, 24)
    assert (status.queue_size, status.queue_bytes, status.oldest_reading_age_s) == (0, 0, None)
    assert (status.total_synced, status.total_failed, status.dead_letters) == (24, 1, 1)
    assert len(receiver.keys) == stats.total_readings_synced == 24
    assert (stats.total_syncs, stats.failed_syncs, stats.success_rate) == (3, 0, 1.0)
    assert read_stats(make_stream(), 24).success_rate == 1.0


def test_deleting_asks_before_readings_are_lost() -> None:
    stream = make_stream()
    take(stream, readings(1, 2))
    with pytest.raises(UnsentReadings, match="2 readings"):
        delete_stream(stream)
    delete_stream(stream, discard=True)
    assert not Stream.objects.exists()


def test_o25_a_dead_letter_is_edited_and_sent_again(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(3)))
    receiver.control(reject={keys(1)[0]: "no such meter"}, times=1)
    send_all(stream)
    letter = DeadLetter.objects.get()
    with pytest.raises(NoSuchLetter):
        redrive(stream, [LetterToSend(letter.pk), LetterToSend(letter.pk + 1)])
    with pytest.raises(ReadingsRefused):
        redrive(stream, [LetterToSend(letter.pk, {"v": float("nan")})])
    assert redrive(stream, [LetterToSend(letter.pk, {"value": "mended"})]) == 1
    assert b"mended" in stored_lines(stream)[-1][1]
    send_all(stream)
    assert sorted(receiver.keys) == keys(0, 1, 2)
    assert read_status(stream).dead_letters == 0
    assert redrive(stream, None) == 0


def test_o25_a_dead_letter_whose_stream_is_deleted_meanwhile_is_gone(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(0))
    receiver.control(reject={keys(0)[0]: "no such meter"}, times=1)
    send_all(stream)
    letter, stream_id = DeadLetter.objects.get(), stream.pk
    with pytest.raises(NoSuchLetter):
        meet(
            lambda: redrive(Stream.objects.get(pk=stream_id), [LetterToSend(letter.pk)]),
            hold=lambda: delete_stream(stream, discard=True),
            rest=lambda: None,
        )


def test_all_dead_letters_go_again_and_keep_their_keys(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(*range(9)))
    receiver.control(reject=dict.fromkeys(keys(1, 4, 7), "no"), times=1)
    send_all(stream)
    assert redrive(stream, None) == 3
    send_all(stream)
    assert sorted(receiver.keys) == keys(*range(9))
    assert take(stream, readings(4)).duplicates == 1


def test_o27_a_heartbeat_tells_how_the_stream_does(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1, 2))
    beat = send_heartbeat(stream)
    assert (beat.status, beat.error) == (200, None)
    contact = StreamContact.objects.get(pk=stream.pk)
    assert contact.heartbeat_status == 200
    assert receiver.taken["heartbeats"] == 1
    stream.client.port = 1
    stream.client.sealed_secret = ""
    stream.client.save()
    assert send_heartbeat(stream).error


def test_o27_a_configuration_changes_the_stream_and_a_bad_one_does_not(receiver: Receiver) -> None:
    stream = stream_to(
        receiver,
        configuration_schema={"type": "object", "properties": {"mode": {"type": "string"}}},
    )
    receiver.ask("/configuration", {"batch_size": 7, "sync_interval_s": 99_999_999, "mode": "a"})
    contact = download_configuration(stream)
    stream.refresh_from_db()
    assert (stream.batch_size, stream.sync_interval_s, contact.check_error) == (7, 300, "")
    download_configuration(stream)  # 304
    assert ClientConfiguration.objects.count() == 1
    receiver.ask("/configuration", {"batch_size": 9, "mode": 5})
    download_configuration(stream)
    stream.refresh_from_db()
    refused = ClientConfiguration.objects.get(number=2)
    assert (stream.batch_size, refused.is_current) == (7, False)
    assert "mode" in refused.refusal
    assert ClientConfiguration.objects.get(is_current=True).number == 1
    told = (
        SyncEvent.objects.filter(stream_id=stream.pk).order_by("id").values_list("event", flat=True)
    )
    assert list(told) == ["configuration_changed", "configuration_refused"]


@pytest.mark.parametrize("said", [b"<html>", b"[]", b"{", b'{"a": "' + b"x" * (1 << 20) + b'"}'])
def test_an_unusable_configuration_leaves_the_old_one(said: bytes, receiver: Receiver) -> None:
    from outbox.core.configuration import read_configuration

    assert read_configuration(said, None).refusal


@pytest.mark.parametrize(
    "schema", [7, {"type": "objekt"}, {"$ref": "http://127.0.0.1:9/x"}, {"pattern": "("}]
)
def test_what_is_no_schema_is_refused(schema: object) -> None:
    assert check_schema(schema)
    assert check_schema({"type": "object"}) == ""


def test_heartbeats_and_downloads_come_when_they_are_due() -> None:
    stream = make_stream(heartbeat_interval_s=60, configuration_interval_s=0)
    (due,) = take_due_contacts()
    assert (due.stream_id, due.heartbeat, due.configuration) == (stream.pk, True, False)
    assert take_due_contacts() == []
    StreamContact.objects.update(heartbeat_due_at=timezone.now())
    assert len(take_due_contacts()) == 1
    stop_stream(stream)
    StreamContact.objects.update(heartbeat_due_at=timezone.now())
    assert take_due_contacts() == []


def test_the_ring_turns_only_over_what_is_sent_and_old(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    assert turn_ring() is None  # not time yet
    assert turn_ring(after_s=0) == 1
    take(stream, readings(2))
    assert {slot for _, slot in _slots(stream)} == {0, 1}
    for slot in range(2, 16):
        assert turn_ring(after_s=0, keep_s=0) == slot
    assert turn_ring(after_s=0, keep_s=0) is None  # slot 0 holds what was not sent
    send_all(stream)
    assert receiver.keys == keys(1, 2)
    assert turn_ring(after_s=0) is None  # sent, but not old
    assert turn_ring(after_s=0, keep_s=0) == 0
    assert _slots(stream) == []
    assert Ring.objects.get().slot == 0
    assert take(stream, readings(1)).accepted == 1  # its key went with its slot


def test_a_slot_is_emptied_as_soon_as_all_in_it_is_sent_and_old(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    send_all(stream)
    assert turn_ring() is None
    assert turn_ring(after_s=0) == 1
    take(stream, readings(2))
    assert take(stream, readings(1)).duplicates == 1  # its slot is another by now
    assert turn_ring(keep_s=0) is None  # not time for the next one
    assert {slot for _, slot in _slots(stream)} == {1}
    assert Ring.objects.get().oldest == 1
    assert take(stream, readings(1)).accepted == 1
    assert take(stream, readings(2)).duplicates == 1


def _slots(stream: Stream) -> list[tuple[int, int]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT seq_to, slot FROM outbox_segment WHERE stream = %s", [stream.number])
        rows: list[tuple[int, int]] = cursor.fetchall()
        return rows


def test_old_deliveries_go(receiver: Receiver) -> None:
    stream = stream_to(receiver)
    take(stream, readings(1))
    send_all(stream)
    assert drop_old_deliveries() == 0
    Delivery.objects.update(at=timezone.now() - timedelta(days=31))
    assert drop_old_deliveries() == 1
    assert Stream.objects.get().state == StreamState.RUNNING
