"""A sender that was killed at any point loses no message, and doubles one at most, under its own key."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models.functions import Now

from alerts.core.words import Severity
from alerts.models import AlertMessage
from tests.alerts.things import (
    make_alert,
    make_channel,
    make_rule,
    make_workspace,
    open_alert,
    recover_alert,
    tell,
)
from tests.hosts.alert_receiver import Received, Reply, receiving_alerts
from tests.kills.forks import Forks, forking
from timing.clock import database_now

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

POINTS = (
    "after messages were made",
    "before messages are claimed",
    "after messages were claimed",
    "while a message is sent",
    "between a sending and its mark",
    "after a message was marked",
)


@pytest.fixture
def forks(transactional_db: None, tmp_path: Path) -> Iterator[Forks]:
    told = connection.settings_dict
    url = f"postgresql://{told['USER']}:{told['PASSWORD']}@{told['HOST']}:{told['PORT']}/{told['NAME']}"
    with forking(url, tmp_path / "forks.log") as running:
        yield running


def answer_slowly(_: Received) -> Reply:
    threading.Event().wait(
        0.05
    )  # a host that takes a moment, so that a kill finds the message on its way
    return Reply()


@pytest.mark.timeout(0)  # as long as it takes to kill so often
def test_wherever_its_sender_is_killed_a_message_arrives_and_is_doubled_at_most_under_its_key(
    request: pytest.FixtureRequest, forks: Forks, settings: Any
) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]
    kills_wanted = max(len(POINTS), request.config.getoption("--kills") // 10)
    chance = random.Random(request.config.getoption("--seed"))  # noqa: S311 — to be played again
    workspace = make_workspace()
    rule = make_rule(workspace, Severity.CRITICAL)
    moves: list[tuple[str, str]] = []
    kills: Counter[str] = Counter()
    with receiving_alerts(answer_slowly) as receiver:
        make_channel(workspace, url=receiver.url(), most_per_hour=1_000)
        while kills.total() < kills_wanted:
            alert = make_alert(rule)
            for move in (open_alert, recover_alert):
                now = database_now()
                told = move(alert, now)
                tell(told, now)
                moves.append((str(alert.pk), told.tell.value))
                for _ in range(chance.randint(1, 3)):
                    point = POINTS[kills.total() % len(POINTS)]
                    ended = forks.run("alerts", kill_at=point, nth=1)
                    kills[point] += ended.killed
                    let_go()
                forks.run("alerts")
        assert not AlertMessage.objects.filter(ended_at=None).exists()
    bodies = {one.key: one.body for one in receiver.received}
    assert all(one.body == bodies[one.key] for one in receiver.received)
    arrived = [
        (item["id"], item["tell"])
        for key in dict.fromkeys(one.key for one in receiver.received)
        for item in next(one for one in receiver.received if one.key == key).told["syncproject"][
            "alerts"
        ]
    ]
    assert arrived == moves  # in order, and none is lost
    doubled = len(receiver.received) - len(bodies)
    assert doubled <= kills["while a message is sent"] + kills["between a sending and its mark"]
    print(f"{kills.total()} kills of a sender, 0 lost, {doubled} doubled: {dict(kills)}")  # noqa: T201 — what `make kills` shows


def let_go() -> None:
    """The lease of who died is over; and the spacing of messages has passed."""
    AlertMessage.objects.filter(ended_at=None).update(leased_until=Now() - timedelta(seconds=1))
    AlertMessage.objects.update(made_at=Now() - timedelta(minutes=2))
