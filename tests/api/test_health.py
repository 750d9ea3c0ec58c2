"""`GET /health`: what it says of each part, and that nothing which hangs holds it up."""

from __future__ import annotations

import dataclasses
import socket
import threading
import uuid
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
from django.db import connection
from django.db.models.functions import Now
from django.test import Client
from pytest_django import Settings

from datasets.store import ensure_store, find_known_store
from embedded import ports
from events.models import SyncEvent
from store.looking import Look
from store.sentinel import SENTINEL, write_store_id
from syncjobs.claims import pulsing
from syncjobs.core.states import State
from syncjobs.models import ProcessSign, Pulse, SyncRecord
from syncjobs.upkeep import health
from tests.console.conftest import Tenant, make_record, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)  # its looks have sessions of their own

Ask = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def ask(client: Client) -> Ask:
    def get(part: str | None = None) -> tuple[int, dict[str, Any]]:
        answer = client.get("/health", {} if part is None else {"part": part})
        return answer.status_code, answer.json()

    return get


def appear(name: str = "host:1:abc", *, ago_s: float = 0, **fields: Any) -> None:
    then = Now() - timedelta(seconds=ago_s)
    given = {"slots": 8, "running": 2, "started_at": then, "seen_at": then}
    given |= {"store_id": find_known_store()} | fields
    ProcessSign.objects.update_or_create(name=name, defaults=given)


def backdate(part: str, seconds: float) -> None:
    Pulse.objects.filter(part=part).update(at=Now() - timedelta(seconds=seconds))


@pytest.fixture
def alive() -> None:
    """An installation whose every part has just told of itself."""
    ensure_store()
    appear()
    for part in (pulsing.PREPARED, pulsing.BEAT, pulsing.REAPER):
        pulsing.note_pulse(part, holder="")
    backdate(pulsing.PREPARED, 3600)
    for queue in ("control", "sync"):
        pulsing.note_canary_rung(queue, holder="")
        pulsing.note_canary_answered(queue, holder="")


@pytest.mark.usefixtures("alive")
def test_it_is_open_and_names_parts_and_ages_alone(ask: Ask) -> None:
    status, told = ask()
    parts = ["database", "installation", "scheduler", "reaper", "workers", "worker_stores"]
    parts += ["queue:control", "queue:sync", "queued"]
    parts += ["redis", "store", "disk"]
    assert (status, told["status"]) == (200, "ok")
    assert told["checks"] == dict.fromkeys(parts, "ok")
    assert set(told) == {"status", "checks", "ages_s"}
    assert set(told["ages_s"]) <= set(parts)


@pytest.mark.usefixtures("alive")
def test_it_is_unavailable_without_beat_and_says_so(ask: Ask) -> None:
    backdate(pulsing.BEAT, 31)
    status, told = ask()
    assert (status, told["status"]) == (503, "unavailable")
    assert {part for part, word in told["checks"].items() if word != "ok"} == {"scheduler"}
    assert told["ages_s"]["scheduler"] >= 31


@pytest.mark.usefixtures("alive")
def test_it_is_unavailable_without_workers(ask: Ask) -> None:
    appear(ago_s=31)
    assert ask()[0] == 503
    assert ask("workers")[1]["checks"] == {"workers": "none"}
    appear("host:2:abc")
    assert ask()[0] == 200


@pytest.mark.usefixtures("alive")
def test_workers_that_are_up_and_do_not_consume_are_seen(ask: Ask) -> None:
    backdate("queue:sync", 200)
    backdate("rung:sync", 121)
    status, told = ask()
    assert status == 503
    assert (told["checks"]["queue:sync"], told["checks"]["workers"]) == ("unanswered", "ok")
    pulsing.note_canary_answered("sync", holder="")
    assert ask()[0] == 200


@pytest.mark.usefixtures("alive")
def test_a_beat_that_stands_still_does_not_make_workers_look_deaf(ask: Ask) -> None:
    backdate(pulsing.BEAT, 5000)
    backdate("rung:sync", 5001)
    backdate("queue:sync", 5000)
    assert ask()[1]["checks"]["queue:sync"] == "ok"


@pytest.mark.usefixtures("alive")
def test_a_fresh_stack_is_starting(ask: Ask) -> None:
    Pulse.objects.all().delete()
    ProcessSign.objects.all().delete()
    assert ask()[0] == 503
    pulsing.note_pulse(pulsing.PREPARED, holder="")
    status, told = ask()
    assert (status, told["status"]) == (200, "starting")
    assert told["checks"]["workers"] == "starting"


def make_waiting(tenant: Tenant, *, ago_s: float, **fields: Any) -> SyncRecord:
    """Whose bell was rung just now, and not for the first time."""
    record = make_record(tenant.job, State.QUEUED, **fields)
    SyncRecord.objects.filter(pk=record.pk).update(
        queued_at=Now() - timedelta(seconds=ago_s), rung_at=Now()
    )
    return record


@pytest.mark.usefixtures("alive")
def test_a_record_whose_bell_a_limit_keeps_silent_is_no_stall(ask: Ask) -> None:
    record = make_waiting(make_tenant("acme"), ago_s=9999)
    SyncRecord.objects.filter(pk=record.pk).update(rung_at=Now() - timedelta(seconds=100))
    assert ask()[0] == 200


@pytest.mark.usefixtures("alive")
def test_a_record_that_nobody_takes_beside_free_slots_is_a_stall(ask: Ask) -> None:
    record = make_waiting(make_tenant("acme"), ago_s=601)
    status, told = ask()
    assert (status, told["checks"]["queued"]) == (503, "stalled")
    assert b"acme" not in str(told).encode()
    appear(running=8)  # every slot is taken
    assert ask()[0] == 200
    appear(running=2)
    assert ask()[0] == 503
    appear(running=2, draining=True)  # what a draining worker has free, nobody gets
    assert ask()[0] == 200
    appear(running=2)
    later = Now() + timedelta(seconds=60)
    SyncRecord.objects.filter(pk=record.pk).update(not_before=later)  # not due
    status, told = ask()
    assert (status, "queued" in told["ages_s"]) == (200, False)


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("waits_for", ["room on the store's disk", "a free place of its host"])
def test_a_record_that_waits_for_something_else_is_no_stall(ask: Ask, waits_for: str) -> None:
    make_waiting(make_tenant("acme"), ago_s=9999, waiting_for=waits_for)
    status, told = ask()
    assert (status, told["checks"]["queued"]) == (200, "ok")


@pytest.mark.usefixtures("alive")
def test_a_record_behind_a_running_one_of_its_job_is_no_stall(ask: Ask) -> None:
    tenant = make_tenant("acme")
    make_waiting(tenant, ago_s=9999)
    make_record(tenant.job, State.RUNNING)
    assert ask()[0] == 200


@pytest.mark.usefixtures("alive")
def test_a_record_that_came_back_waits_since_then(ask: Ask) -> None:
    """A drain after a run of hours is no wait of hours."""
    tenant = make_tenant("acme")
    record = make_waiting(tenant, ago_s=9999, started_at=Now() - timedelta(seconds=9000))
    assert ask()[0] == 503
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event="interrupted",
        from_state="running",
        to_state="queued",
    )
    SyncEvent.objects.create(
        record=record,
        workspace_id=record.workspace_id,
        event="coalesced",
        from_state="queued",
        to_state="queued",
    )
    assert ask()[0] == 200
    long_ago = Now() - timedelta(seconds=700)
    SyncEvent.objects.filter(event="interrupted").update(at=long_ago)
    assert ask()[1]["checks"]["queued"] == "stalled"


@pytest.mark.usefixtures("alive")
def test_a_retry_waits_since_its_time(ask: Ask) -> None:
    tenant = make_tenant("acme")
    due = Now() - timedelta(seconds=30)
    words = "its next attempt, after: the host was away"
    record = make_waiting(tenant, ago_s=9999, not_before=due, waiting_for=words, started_at=due)
    assert ask()[0] == 200
    SyncRecord.objects.filter(pk=record.pk).update(not_before=Now() - timedelta(seconds=700))
    assert ask()[1]["checks"]["queued"] == "stalled"


@pytest.mark.usefixtures("alive")
def test_a_disk_with_little_room_is_a_warning(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    monkeypatch.setattr("store.room.SHARE_MAX", 1.0)
    settings.SYNC = dataclasses.replace(settings.SYNC, min_free_bytes=1 << 60)
    status, told = ask()
    assert (status, told["status"]) == (200, "degraded")
    assert told["checks"]["disk"] == "low: new work waits"


@pytest.mark.usefixtures("alive")
def test_it_names_what_is_gone(ask: Ask, settings: Settings, tmp_path: Path) -> None:
    settings.STORE_ROOT = tmp_path / "unmounted"
    settings.CELERY_BROKER_URL = f"redis://:hidden@127.0.0.1:{ports.find_free()}/0"
    status, told = ask()
    assert status == 503
    assert told["checks"]["redis"] == "unreachable"
    assert told["checks"]["store"] == "not mounted"
    assert "hidden" not in str(told)
    settings.CELERY_BROKER_URL = "no-url"
    assert ask("redis")[1]["checks"] == {"redis": "unreachable"}


@pytest.mark.usefixtures("alive")
def test_q04_a_broker_that_takes_nothing_is_told(ask: Ask, settings: Settings) -> None:
    with redis.Redis.from_url(settings.CELERY_BROKER_URL) as broker:
        before = broker.config_get("maxmemory")["maxmemory"]
        broker.config_set("maxmemory", "1")
        try:
            assert ask("redis") == (
                503,
                {"status": "unavailable", "checks": {"redis": "full"}, "ages_s": {}},
            )
        finally:
            broker.config_set("maxmemory", before)
    assert ask("redis")[0] == 200


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """Connections are taken by the kernel and never answered."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.usefixtures("alive")
def test_q04_a_broker_that_hangs_holds_up_nobody(
    ask: Ask, settings: Settings, deaf_port: int
) -> None:
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{deaf_port}/0"
    status, told = ask()
    assert (status, told["checks"]["redis"]) == (503, "unreachable")
    assert {part for part, word in told["checks"].items() if word != "ok"} == {"redis"}
    assert ask("web")[0] == 200


@pytest.mark.usefixtures("alive")
@pytest.mark.parametrize("gone", [True, False])
def test_q05_a_database_that_does_not_answer_is_told(
    ask: Ask, monkeypatch: pytest.MonkeyPatch, deaf_port: int, gone: bool
) -> None:
    connection.close()
    monkeypatch.setitem(connection.settings_dict, "PORT", ports.find_free() if gone else deaf_port)
    answers = ask(), ask("scheduler"), ask("web")
    monkeypatch.undo()
    connection.close()
    word = "unreachable" if gone else "no answer"
    assert [(status, told["checks"]["database"]) for status, told in answers] == [(503, word)] * 3
    assert answers[0][1]["checks"]["redis"] == "ok"


@pytest.mark.usefixtures("alive")
def test_the_probe_of_a_web_process_does_not_care_for_workers(
    ask: Ask, settings: Settings, tmp_path: Path
) -> None:
    ProcessSign.objects.all().delete()
    Pulse.objects.all().delete()
    assert ask()[0] == 503
    assert ask("web") == (
        200,
        {"status": "ok", "checks": {"database": "ok", "store": "ok"}, "ages_s": {}},
    )
    settings.STORE_ROOT = tmp_path / "unmounted"
    assert ask("web")[0] == 503
    assert ask("disk") == (
        503,
        {"status": "unavailable", "checks": {"store": "not mounted"}, "ages_s": {}},
    )


@pytest.mark.usefixtures("alive")
def test_a_web_process_with_another_store_says_so(
    ask: Ask, settings: Settings, tmp_path: Path
) -> None:
    """Also one whose sentinel file was made by hand, without an id."""
    settings.STORE_ROOT = tmp_path / "other"
    write_store_id(settings.STORE_ROOT, uuid.uuid4())
    for _ in range(2):
        status, told = ask("web")
        assert (status, told["checks"]["store"]) == (503, "another store")
        (settings.STORE_ROOT / SENTINEL).write_text("")
    (settings.STORE_ROOT / SENTINEL).unlink()
    assert ask("web")[1]["checks"]["store"] == "not mounted"
    (settings.STORE_ROOT / SENTINEL).symlink_to(SENTINEL)
    assert ask("web")[1]["checks"]["store"] == "unreadable"


@pytest.mark.usefixtures("alive")
def test_workers_without_the_store_are_told(ask: Ask) -> None:
    appear("host:2:abc", store_id=None)
    status, told = ask()
    assert (status, told["status"]) == (200, "degraded")
    assert told["checks"]["worker_stores"] == "not mounted on 1 of 2"
    ProcessSign.objects.update(store_id=uuid.uuid4())
    status, told = ask("worker_stores")
    assert (status, told["checks"]) == (503, {"worker_stores": "another store on 2 of 2"})


@pytest.mark.usefixtures("alive")
def test_a_restored_copy_is_told(ask: Ask) -> None:
    ProcessSign.objects.update(halted="moved")
    backdate(pulsing.BEAT, 3600)
    status, told = ask("installation")
    word = "halted (moved): see manage.py resume_after_restore"
    assert (status, told["checks"]) == (503, {"installation": word})
    ProcessSign.objects.update(seen_at=Now() - timedelta(minutes=5))
    assert ask("installation")[0] == 200  # of a host that is gone


def test_a_part_that_is_not_known_is_said_to_be(ask: Ask) -> None:
    assert ask("nonsense")[0] == 404


def test_who_asks_meanwhile_shares_the_look() -> None:
    looks: list[int] = []
    go_on = threading.Event()

    def look() -> int:
        looks.append(1)
        go_on.wait(20)
        return len(looks)

    slow = Look("slow", look, within_s=20)
    first, second = slow.begin(), slow.begin()
    go_on.set()
    assert (slow.wait(first), slow.wait(second), looks) == (1, 1, [1])
    assert slow.wait(slow.begin()) == 2


def test_one_that_hangs_costs_one_thread() -> None:
    go_on = threading.Event()
    hung = Look("hung", lambda: go_on.wait(60), within_s=0.05)
    for _ in range(3):
        with pytest.raises(TimeoutError):
            hung.wait(hung.begin())
    assert sum(thread.name == "look at hung" for thread in threading.enumerate()) == 1
    go_on.set()


@pytest.mark.usefixtures("alive")
def test_item_04_one_of_two_workers_that_stands_still_is_told(ask: Ask) -> None:
    ProcessSign.objects.update(started_at=Now() - timedelta(hours=1))
    ProcessSign.objects.create(
        name="stopped",
        part="worker",
        slots=8,
        started_at=Now() - timedelta(minutes=3),
        seen_at=Now() - timedelta(minutes=2),
    )
    status, told = ask("workers")
    assert (status, told["checks"]) == (200, {"workers": "1 of 2 silent"})


@pytest.mark.usefixtures("alive")
def test_https_only_does_not_send_neighbours_away(client: Client, settings: Settings) -> None:
    settings.SECURE_SSL_REDIRECT = True
    assert client.get("/health").status_code == 200
    assert client.get("/admin/").status_code == 301


def test_every_look_is_bounded() -> None:
    assert {look._within_s for look in health._LOOKS.values()} == {health.WITHIN_S}
