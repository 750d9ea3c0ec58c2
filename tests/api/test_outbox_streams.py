"""`streams`: settings, readings, status, dead letters, digests, through REST and to a real client system."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from outbox.delivery import deliver
from outbox.figures import read_status
from outbox.models import DeadLetter, Delivery, Stream, StreamState, StreamTail
from syncjobs.leases.heart import Heart
from tests.api.asking import TREE, Asker, asker
from tests.outbox.hosts import Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import make_client, make_stream, readings
from workspaces.models import AuditEntry, Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


def send_all(stream: Stream) -> None:
    for _ in range(50):
        StreamTail.objects.filter(pk=stream.pk).update(not_before=None)
        if not deliver(stream.pk, Heart("test")) and not read_status(stream).queue_size:
            return


def post_raw(who: Asker, path: str, body: bytes, **headers: str) -> Any:
    told = {"Authorization": f"Bearer {who.token}"} | headers
    return Client().post(f"{TREE}/{path}", body, content_type="application/json", headers=told)


def count_of(stream: Stream) -> int:
    return read_status(stream).queue_size


def test_a_stream_is_made_read_changed_replaced_and_deleted(admin: Asker) -> None:
    client = make_client()
    made = admin.post("streams", {"name": "meters", "client": client.name})
    assert made.status_code == 201, made.content
    told = made.json()
    expected = {
        "name": "meters", "client": client.name, "batch_size": 1000, "sync_interval_s": 300,
        "max_queued": 20_000_000, "heartbeat_interval_s": 60, "configuration_interval_s": 3600,
        "configuration_schema": None, "state": "running", "reason": "",
    }  # fmt: skip
    assert {name: told[name] for name in expected} == expected
    assert set(told) == {*expected, "id", "created_at"}
    assert admin.get("streams/meters").json() == admin.get(f"streams/{told['id']}").json() == told
    assert admin.items("streams") == [told]
    changed = admin.patch("streams/meters", {"batch_size": 7, "heartbeat_interval_s": 0})
    assert (changed.json()["batch_size"], changed.json()["heartbeat_interval_s"]) == (7, 0)
    assert admin._send("PUT", "streams/meters", changed.json(), {}).json() == changed.json()
    replaced = admin._send("PUT", "streams/meters", {"name": "m2", "client": str(client.pk)}, {})
    assert replaced.json() == told | {"name": "m2"}
    assert admin.delete("streams/m2").status_code == 204
    assert admin.get("streams/m2").status_code == 404
    assert list(AuditEntry.objects.filter(kind="stream").values_list("action", flat=True))


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"client": "nobody"}, "client"),
        ({"client": "client-1"}, "client"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 10_001}, "batch_size"),
        ({"sync_interval_s": True}, "sync_interval_s"),
        ({"max_queued": 0}, "max_queued"),
        ({"configuration_schema": {"type": "objekt"}}, "configuration_schema"),
        ({"name": "a/b"}, "name"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_stream_that_does_not_fit_is_refused_by_field(
    fields: dict[str, Any], field: str, admin: Asker
) -> None:
    client = make_client()
    make_client(kind="sftp")
    answer = admin.post("streams", {"name": "s", "client": client.name} | fields)
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [field]
    assert not Stream.objects.exists()


def test_a_name_that_is_taken_is_a_conflict(admin: Asker) -> None:
    stream = make_stream(name="meters")
    body = {"name": "meters", "client": stream.client.name}
    assert admin.post("streams", body).status_code == 409


def test_a_change_leaves_alone_what_delivery_writes(admin: Asker) -> None:
    stream = make_stream(name="meters")
    Stream.objects.update(state=StreamState.PAUSED, reason="401", batch_bytes=5000)
    told = admin.patch("streams/meters", {"batch_size": 5}).json()
    assert (told["state"], told["reason"]) == ("paused", "401")
    stream.refresh_from_db()
    assert stream.batch_bytes == 5000


def test_o22_readings_are_taken_and_counted(admin: Asker) -> None:
    stream = make_stream(name="meters")
    first = admin.post("streams/meters/readings", {"readings": readings(*range(100))})
    assert (first.status_code, first.json()) == (
        202,
        {"accepted": 100, "duplicates": 0, "conflicts": 0},
    )
    again = admin.post("streams/meters/readings", {"readings": readings(*range(100))})
    assert again.json() == {"accepted": 0, "duplicates": 100, "conflicts": 0}
    other = [{"key": keys(5)[0], "payload": {"value": "another"}}, *readings(100)]
    assert admin.post("streams/meters/readings", {"readings": other}).json() == {
        "accepted": 1,
        "duplicates": 1,
        "conflicts": 1,
    }
    assert count_of(stream) == 101


@pytest.mark.parametrize(
    ("reading", "place"),
    [
        ('{"key": "a", "payload": {"v": NaN}}', "readings.1.payload"),
        ('{"key": "a", "payload": {"v": 1e400}}', "readings.1.payload"),
        ('{"key": "a", "payload": {"v": 9007199254740993}}', "readings.1.payload"),
        ('{"key": "", "payload": {}}', "readings.1.key"),
        ('{"key": "a\\u0000", "payload": {}}', "readings.1.key"),
        ('{"key": "a", "payload": {"v": "\\u0000"}}', "readings.1.payload"),
        ('{"key": "a", "payload": {"v": "\\ud800"}}', "readings.1.payload"),
        ('{"key": "a"}', "readings.1.payload"),
        ('{"key": "a", "payload": []}', "readings.1.payload"),
        ("7", "readings.1"),
    ],
)
def test_o23_one_bad_reading_refuses_the_bulk_and_tells_its_place(
    reading: str, place: str, admin: Asker
) -> None:
    stream = make_stream(name="meters")
    body = f'{{"readings": [{{"key": "ok", "payload": {{}}}}, {reading}]}}'
    answer = post_raw(admin, "streams/meters/readings", body.encode())
    assert answer.status_code == 400, answer.content
    assert list(answer.json()["errors"]) == [place]
    assert count_of(stream) == 0


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff", b"[]", b"{}", b'{"readings": 7}', b'{"readings": []}', b'{"readings": {}}',
        b'{"readings": [], "more": 1}', b"[" * 100_000,
        json.dumps({"readings": readings(*range(10_001))}).encode(),
    ],
)  # fmt: skip
def test_o23_what_is_no_bulk_is_refused(body: bytes, admin: Asker) -> None:
    stream = make_stream(name="meters")
    answer = post_raw(admin, "streams/meters/readings", body)
    assert answer.status_code == 400
    assert answer["Content-Type"] == "application/problem+json"
    assert count_of(stream) == 0


def test_ten_thousand_readings_of_a_kilobyte_fit_into_one_request(admin: Asker) -> None:
    make_stream(name="meters")
    many = [{"key": f"k-{n}", "payload": {"text": "x" * 1000}} for n in range(10_000)]
    answer = admin.post("streams/meters/readings", {"readings": many})
    assert answer.json()["accepted"] == 10_000
    again = admin.post("streams/meters/readings", {"readings": many}, Idempotency_Key="b")
    assert again.json()["duplicates"] == 10_000
    huge = b'{"readings": ["' + b"x" * (33 << 20) + b'"]}'
    answer = post_raw(admin, "streams/meters/readings", huge)
    assert (answer.status_code, "32 MiB" in answer.json()["detail"]) == (400, True)


def test_readings_with_an_idempotency_key_are_answered_as_the_first_time(admin: Asker) -> None:
    stream = make_stream(name="meters")
    body = {"readings": readings(1, 2)}
    for _ in range(2):
        answer = admin.post("streams/meters/readings", body, Idempotency_Key="a")
        assert answer.json() == {"accepted": 2, "duplicates": 0, "conflicts": 0}
    assert count_of(stream) == 2


def test_o24_a_full_queue_tells_when_to_come_again(admin: Asker) -> None:
    stream = make_stream(name="meters", max_queued=3)
    assert admin.post("streams/meters/readings", {"readings": readings(1, 2)}).status_code == 202
    full = admin.post("streams/meters/readings", {"readings": readings(3, 4)})
    assert full.status_code == 429
    assert int(full["Retry-After"]) > 0
    assert count_of(stream) == 2


def test_status_and_statistics_equal_what_the_client_system_has(
    receiver: Receiver, admin: Asker
) -> None:
    stream = stream_to(receiver, name="meters")
    admin.post("streams/meters/readings", {"readings": readings(*range(25))})
    waiting = admin.get("streams/meters/status").json()
    assert (waiting["queue_size"], waiting["is_running"], waiting["state"]) == (25, True, "running")
    assert waiting["oldest_reading_age_s"] >= 0
    send_all(stream)
    told = admin.get("streams/meters/status").json()
    assert list(told) == [
        "is_running", "state", "reason", "last_sync_time", "last_sync_success", "last_sync_error",
        "queue_size", "queue_bytes", "oldest_reading_age_s", "total_synced", "total_failed",
        "dead_letters", "is_client_connected", "next_try_at", "waiting_for", "connectivity",
    ]  # fmt: skip
    assert (told["queue_size"], told["total_synced"]) == (0, len(receiver.keys))
    assert told["connectivity"]["is_connected"] is told["is_client_connected"] is True
    assert list(told["connectivity"]) == [
        "is_connected", "last_check_time", "last_successful_connection", "last_failed_connection",
        "consecutive_failures", "uptime", "downtime",
    ]  # fmt: skip
    assert admin.get("streams/meters/stats").json() == {
        "hours": 24, "total_syncs": 3, "successful_syncs": 3, "failed_syncs": 0,
        "total_readings_synced": 25, "success_rate": 1.0,
    }  # fmt: skip
    assert admin.get("streams/meters/stats?hours=0").status_code == 400
    tries = admin.items("streams/meters/deliveries", limit=2)
    assert [(row["sequence_from"], row["count"]) for row in tries] == [(21, 5), (11, 10), (1, 10)]
    assert {row["outcome"] for row in tries} == {"done"}
    assert {row["batch"] for row in tries} == {batch["batch"] for batch in receiver.batches}
    assert Delivery.objects.count() == 3


def test_stop_start_and_sync(admin: Asker) -> None:
    stream = make_stream(name="meters")
    assert admin.post("streams/meters/stop").json()["state"] == "stopped"
    refused = admin.post("streams/meters/sync")
    assert refused.status_code == 409
    assert "start it first" in refused.json()["detail"]
    started = admin.post("streams/meters/start")
    assert (started.status_code, started.json()["is_running"]) == (202, True)
    assert admin.post("streams/meters/sync").status_code == 202
    Stream.objects.update(state=StreamState.PAUSED, reason="the key was refused (401)")
    refused = admin.post("streams/meters/sync")
    assert (refused.status_code, "401" in refused.json()["detail"]) == (409, True)
    told = admin.post("streams/meters/start").json()
    assert (told["state"], told["reason"]) == ("running", "")
    assert stream.name == "meters"


def test_deleting_with_unsent_readings_needs_a_word(admin: Asker) -> None:
    make_stream(name="meters")
    admin.post("streams/meters/readings", {"readings": readings(1)})
    assert admin.delete("streams/meters").status_code == 409
    assert admin.delete("streams/meters?discard=true").status_code == 204


def test_o27_heartbeat_and_configuration(receiver: Receiver, admin: Asker) -> None:
    stream_to(receiver, name="meters")
    beat = admin.post("streams/meters/heartbeat")
    assert (beat.status_code, beat.json()["status"], beat.json()["error"]) == (202, 200, None)
    assert admin.get("streams/meters/configuration").json() == {
        "version": None, "etag": None, "downloaded_at": None, "checked_at": None, "error": None,
        "configuration": None,
    }  # fmt: skip
    receiver.ask("/configuration", {"batch_size": 7})
    told = admin.post("streams/meters/configuration").json()
    assert (told["version"], told["configuration"]) == (1, {"batch_size": 7})
    assert admin.get("streams/meters/configuration").json() == told
    assert admin.get("streams/meters").json()["batch_size"] == 7


def test_o25_dead_letters_are_read_and_sent_again(receiver: Receiver, admin: Asker) -> None:
    stream = stream_to(receiver, name="meters")
    admin.post("streams/meters/readings", {"readings": readings(*range(5))})
    receiver.control(reject=dict.fromkeys(keys(1, 2, 3), "no such meter"), times=1)
    send_all(stream)
    letters = admin.items("streams/meters/dead-letters", limit=1)
    assert [letter["key"] for letter in letters] == keys(1, 2, 3)
    one = letters[0]
    assert set(one) == {
        "id", "sequence", "key", "payload", "code", "reason", "maybe_delivered", "batch", "at",
    }  # fmt: skip
    assert (one["sequence"], one["payload"], one["code"], one["reason"], one["maybe_delivered"]) == (
        2, {"value": 1}, "invalid", "no such meter", False,
    )  # fmt: skip
    path = "streams/meters/dead-letters/redrive"
    wrong: Any
    for wrong in ({}, {"all": False}, {"all": True, "items": [{"id": one["id"]}]}, {"items": []}):
        assert admin.post(path, wrong).status_code == 400
    assert admin.post(path, {"items": [{"id": 10**9}]}).status_code == 404
    bad = admin.post(path, {"items": [{"id": one["id"], "payload": {"v": 2**60}}]})
    assert (bad.status_code, list(bad.json()["errors"])) == (400, ["items.0.payload"])
    mended = admin.post(path, {"items": [{"id": one["id"], "payload": {"value": "mended"}}]})
    assert (mended.status_code, mended.json()) == (202, {"redriven": 1})
    assert admin.post(path, {"all": True}).json() == {"redriven": 2}
    send_all(stream)
    assert sorted(receiver.keys) == keys(*range(5))
    assert admin.items("streams/meters/dead-letters") == []
    assert DeadLetter.objects.filter(redriven_at=None).count() == 0


def test_what_a_client_system_lost_is_sent_again(receiver: Receiver, admin: Asker) -> None:
    stream = stream_to(receiver, {"paths": {"digest": "/digest"}}, name="meters")
    admin.post("streams/meters/readings", {"readings": readings(*range(40))})
    receiver.control(reject={keys(30)[0]: "no"})
    send_all(stream)
    receiver.control()
    [hour] = admin.get("streams/meters/digest").json()["items"]
    assert (hour["count"], hour["hour"][14:]) == (40, "00:00Z")
    same = admin.post("streams/meters/reconcile")
    assert (same.status_code, same.json()) == (202, {"hours": 1, "differing": 0, "resent": 0})
    receiver.lose(keys(7)[0])
    assert admin.post("streams/meters/reconcile").json() == {
        "hours": 1, "differing": 1, "resent": 1,
    }  # fmt: skip
    send_all(stream)
    assert receiver.taken["doubles"] == 0
    assert admin.post("streams/meters/reconcile").json()["differing"] == 0
    receiver.lose(*keys(8, 9))
    assert admin.post("streams/meters/reconcile").json()["resent"] == 39
    waits = admin.post("streams/meters/reconcile").json()
    assert waits == {"hours": 0, "differing": 0, "resent": 0}
    send_all(stream)
    assert receiver.taken["readings"] == 39
    assert admin.post("streams/meters/reconcile").json()["differing"] == 0
    assert len({row["batch"] for row in receiver.batches}) == len(receiver.batches)


def test_a_client_system_without_digests_cannot_be_compared(
    receiver: Receiver, admin: Asker
) -> None:
    stream_to(receiver, name="meters")
    answer = admin.post("streams/meters/reconcile")
    assert (answer.status_code, "paths.digest" in answer.json()["detail"]) == (409, True)


def test_viewers_read_and_send_nothing() -> None:
    make_stream(name="meters")
    viewer, operator = asker(), asker(Role.OPERATOR, "op")
    assert viewer.get("streams/meters/status").status_code == 200
    assert viewer.post("streams/meters/readings", {"readings": readings(1)}).status_code == 403
    assert operator.post("streams/meters/readings", {"readings": readings(1)}).status_code == 202
    assert operator.patch("streams/meters", {"batch_size": 5}).status_code == 403


def test_a_status_reads_no_reading(admin: Asker) -> None:
    make_stream(name="meters")
    admin.post("streams/meters/readings", {"readings": readings(*range(1000))})
    with connection.cursor() as cursor:
        cursor.execute("UPDATE outbox_segment SET body = ''")  # whoever read it would break
    assert admin.get("streams/meters/status").json()["queue_size"] == 1000
