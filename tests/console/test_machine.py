"""The first page's line of health."""

from __future__ import annotations

import dataclasses
import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.contrib.postgres.functions import TransactionNow as Now  # all of a test is one moment
from django.test import Client
from pytest_django import Settings

from datasets.store import find_known_store
from embedded.ports import find_free
from store.sentinel import write_store_id
from syncjobs.claims import pulsing
from syncjobs.core.states import State
from syncjobs.models import ProcessSign, Pulse, SyncRecord
from tests.console.conftest import Tenant, make_record
from workspaces.models import Role

LIVE = "/admin/syncjobs/syncrecord/dashboard/"
LINE = re.compile(
    r'<span class="sp-(\w+)[^"]*"[^>]*><svg.*?</svg><span>([^<]*)</span><span[^>]*>([^<]*)</span></span>'
)


def read_card(client: Client) -> dict[str, tuple[str, str]]:
    """By part, its tone and its words."""
    text = client.get(LIVE).content.decode()
    card = text[text.index('id="health"') :].partition("</section>")[0]
    return {unescape(part): (tone, unescape(words)) for tone, part, words in LINE.findall(card)}


def appear(name: str, **fields: Any) -> None:
    ProcessSign.objects.create(
        name=name, part="worker", started_at=Now(), seen_at=Now(), **{"slots": 8} | fields
    )


@pytest.fixture
def alive(acme: Tenant) -> None:
    appear("w", slots=8, running=3, store_id=find_known_store())
    for part in (pulsing.BEAT, pulsing.REAPER):
        pulsing.note_pulse(part, holder="")
    pulsing.note_canary_rung("sync", holder="")
    pulsing.note_canary_answered("sync", holder="")


@pytest.mark.usefixtures("alive")
def test_it_says_that_all_is_well(acme: Tenant, root: Client) -> None:
    card = read_card(root)
    assert set(card) == {
        "Scheduler",
        "Workers",
        "Messages",
        "Queue sync",
        "Oldest queued",
        "Disk",
    }
    assert {tone for tone, _ in card.values()} == {"ok"}
    assert card["Workers"][1] == "1 alive, 3 of 8 slots in use"
    assert card["Oldest queued"][1] == "nothing waits"
    assert "free of" in card["Disk"][1]
    assert "All parts work" in root.get(LIVE).content.decode()


@pytest.mark.usefixtures("alive")
def test_workers_are_told_against_those_that_were_started(root: Client, settings: Settings) -> None:
    settings.WORKERS_EXPECTED = 2
    assert read_card(root)["Workers"][1].startswith("1 of 2 alive")


@pytest.mark.usefixtures("alive")
def test_item_04_it_says_what_health_says(root: Client, settings: Settings) -> None:
    """Without Redis, and with one of two workers stopped."""
    appear("stopped")
    ProcessSign.objects.update(started_at=Now() - timedelta(hours=1))
    ProcessSign.objects.filter(name="stopped").update(seen_at=Now() - timedelta(minutes=2))
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{find_free()}/0"
    card = read_card(root)
    assert root.get("/health").json()["checks"]["redis"] == "unreachable"
    assert card["Messages"] == (
        "bad",
        "unreachable: records wait until Redis takes messages again",
    )
    assert card["Workers"] == ("warn", "1 of 2 silent: 1 alive, 3 of 8 slots in use")


@pytest.mark.usefixtures("alive")
def test_a_worker_that_was_replaced_is_missed_by_nobody(root: Client) -> None:
    appear("killed")
    ProcessSign.objects.filter(name="killed").update(
        seen_at=Now() - timedelta(minutes=2), started_at=Now() - timedelta(minutes=3)
    )
    assert read_card(root)["Workers"] == ("ok", "1 alive, 3 of 8 slots in use")


@pytest.mark.usefixtures("alive")
def test_it_says_what_stands_still(acme: Tenant, root: Client) -> None:
    record = make_record(acme.job, State.QUEUED)
    SyncRecord.objects.filter(pk=record.pk).update(
        queued_at=Now() - timedelta(minutes=20), rung_at=Now()
    )
    Pulse.objects.exclude(part="queue:sync").update(at=Now() - timedelta(minutes=5))
    Pulse.objects.filter(part="queue:sync").update(at=Now() - timedelta(minutes=6))
    card = read_card(root)
    assert card["Scheduler"] == ("bad", "late: last tick 5 min ago")
    assert card["Queue sync"] == ("bad", "unanswered for 5 min")
    assert card["Clean-up"] == ("warn", "late: last round 5 min ago")
    assert card["Oldest queued"] == ("bad", "stalled: waits for 20 min")
    ProcessSign.objects.update(seen_at=Now() - timedelta(minutes=3))
    assert read_card(root)["Workers"] == ("bad", "none: last one seen 3 min ago")


@pytest.mark.usefixtures("alive")
def test_it_says_which_host_has_no_store_or_another(
    acme: Tenant,
    root: Client,
    browser_of: Callable[[User], Client],
    settings: Settings,
    tmp_path: Path,
) -> None:
    appear("one", host="bay-2", store_id=None)
    appear("two", host="bay-3", store_id=uuid.uuid4())
    told = "not mounted on 1 of 3, another store on 1 of 3"
    tone, words = read_card(root)["Workers' store"]
    assert (tone, words) == ("warn", f"{told}: no record is taken on bay-2, bay-3")
    assert read_card(browser_of(acme.people[Role.ADMIN]))["Workers' store"][1] == told
    ProcessSign.objects.filter(name="w").delete()
    assert read_card(root)["Workers' store"][0] == "bad"
    settings.STORE_ROOT = tmp_path / "other"
    write_store_id(settings.STORE_ROOT, uuid.uuid4())
    words = "the web server has another store than the database knows"
    assert read_card(root)["Store"] == ("bad", words)


@pytest.mark.usefixtures("alive")
def test_it_says_which_host_a_restore_has_halted(
    acme: Tenant, root: Client, browser_of: Callable[[User], Client]
) -> None:
    appear("one", host="bay-2", store_id=find_known_store(), halted="moved")
    told = "halted (moved): see manage.py resume_after_restore"
    assert read_card(root)["Restored"] == ("warn", f"{told}: bay-2")
    assert read_card(browser_of(acme.people[Role.ADMIN]))["Restored"][1] == told


def test_before_anything_was_seen(root: Client, settings: Settings, tmp_path: Path) -> None:
    settings.STORE_ROOT = tmp_path / "unmounted"
    card = read_card(root)
    assert card["Scheduler"] == ("bad", "never seen: no tick yet")
    assert card["Workers"][1] == "none: no one seen yet"
    assert card["Store"][0] == "bad"


@pytest.mark.usefixtures("alive")
def test_little_room_is_told(root: Client, settings: Settings) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("store.room.SHARE_MAX", 1.0)
        settings.SYNC = dataclasses.replace(settings.SYNC, min_free_bytes=1 << 60)
        tone, words = read_card(root)["Disk"]
    assert (tone, words.rpartition(": ")[2]) == ("warn", "new work waits")


@pytest.mark.usefixtures("alive")
def test_p12_members_see_nothing_of_others_work(
    acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    card = read_card(browser_of(acme.people[Role.ADMIN]))
    assert set(card) == {"Scheduler", "Workers", "Messages", "Queue sync"}
    assert card["Workers"][1] == "1 alive"
