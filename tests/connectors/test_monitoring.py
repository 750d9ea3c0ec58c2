"""Far ends are watched: checks, what work has met, events, and who is woken."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.utils import timezone

from connectors.models import Connector, FarEndWatch
from connectors.monitoring import check_due, check_now, take_due_checks
from connectors.reachability import (
    find_connectivity,
    note_failure,
    note_success,
    switch_watching,
    take_came_back,
)
from events.models import SyncEvent
from tests.outbox.hosts import running_receiver, stream_to
from tests.racing import in_a_session
from tests.rows import make_workspace
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def listening(*, answers: bool = True) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0), backlog=128 if answers else 0) as server:
        yield server.getsockname()[1]


def host(port: int, name: str = "host") -> Connector:
    return Connector.objects.create(
        workspace=make_workspace(), name=name, kind="ftp", host="127.0.0.1", port=port,
        options={"connect_timeout_s": 2},
    )  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


def events(connector: Connector) -> list[str]:
    told = SyncEvent.objects.filter(connector=connector).order_by("id")
    return list(told.values_list("event", flat=True))


def test_a_host_goes_offline_after_two_checks_and_online_after_one() -> None:
    with listening() as port:
        connector = host(port)
        assert check_now(connector).state == "online"
    assert check_now(connector).state == "online"
    row = check_now(connector)
    assert (row.state, row.failures) == ("offline", 2)
    assert row.last_error
    with socket.create_server(("127.0.0.1", port)):
        assert check_now(connector).state == "online"
    assert events(connector) == [
        "connected",
        "state-change",
        "disconnected",
        "state-change",
        "connected",
        "state-change",
    ]


def test_a_connector_is_checked_when_it_is_due_and_watched() -> None:
    connector = host(free_port())
    assert take_due_checks() == [connector.pk]
    assert take_due_checks() == []
    FarEndWatch.objects.update(due_at=timezone.now())
    switch_watching(connector, on=False)
    assert check_due() == 0
    switch_watching(connector, on=True)
    assert check_due() == 1
    assert find_connectivity(connector).failures == 1
    FarEndWatch.objects.update(due_at=timezone.now())
    Connector.objects.update(status="paused")
    assert check_due() == 0


def test_a_connector_that_is_deleted_while_it_is_looked_at_is_passed_over() -> None:
    with listening(answers=False) as silent, ThreadPoolExecutor(1) as beside:
        filler = [socket.socket() for _ in range(4)]
        for one in filler:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", silent))
        connector = host(silent)
        checked = beside.submit(in_a_session, check_due)
        until(lambda: FarEndWatch.objects.exists(), "nobody looks at it")
        connector.delete()
        assert checked.result(60) == 1
        for one in filler:
            one.close()
    assert not FarEndWatch.objects.exists()


def test_one_host_that_hangs_delays_no_other() -> None:
    with listening(answers=False) as silent, listening() as port:
        filler = [socket.socket() for _ in range(4)]
        for one in filler:  # its queue is full: further ones get no answer
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", silent))
        hanging = [host(silent, f"hanging-{number}") for number in range(6)]
        good = [host(port, f"good-{number}") for number in range(6)]
        assert check_due() == 12
        for one in filler:
            one.close()
    assert {find_connectivity(one).state for one in good} == {"online"}
    assert all(find_connectivity(one).failures == 1 for one in hanging)
    # Each answer is kept as it comes, and not when the last one has come.
    checked = FarEndWatch.objects.order_by("last_check_at").values_list("connector_id", flat=True)
    assert set(checked[:6]) == {one.pk for one in good}


def test_what_work_met_counts_as_well() -> None:
    connector = host(free_port())
    note_success(connector)
    assert find_connectivity(connector).state == "online"
    note_failure(connector, "refused", sure=True)
    assert find_connectivity(connector).state == "offline"
    assert take_came_back() == []
    note_success(connector)
    assert take_came_back() == [connector.pk]
    assert take_came_back() == []


def test_a_client_system_is_there_whatever_it_answers_below_500(tmp_path: Path) -> None:
    with running_receiver(tmp_path / "log") as receiver:
        stream = stream_to(receiver, {"paths.health": "/nowhere"})
        assert check_now(stream.client).state == "online"
        receiver.control(down=True)
        stream.client.options["paths.health"] = "/health"
        stream.client.save()
        assert check_now(stream.client).failures == 1
