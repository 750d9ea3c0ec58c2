"""Messages reach real receivers: in order, after failures, once for each key; and what is broken is told elsewhere."""

from __future__ import annotations

import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

import pytest

from alerts.core.words import ChannelState, Severity
from alerts.models import AlertChannel, AlertDeliveryTotal, AlertMessage, Notification
from alerts.sending.courier import Courier
from alerts.sending.keeping import drop_old_messages
from alerts.sending.making import make_messages
from alerts.sending.office import AT_ONCE, PostOffice, is_anything_due
from alerts.sending.testing import send_test
from tests.alerts.things import (
    NOON,
    make_alert,
    make_channel,
    make_rule,
    make_workspace,
    open_alert,
    recover_alert,
    tell,
)
from tests.hosts.alert_receiver import AlertReceiver, Received, Reply, receiving_alerts
from timing.clock import database_now
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _allowed(settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ["127.0.0.0/8"]


@pytest.fixture(scope="module")
def courier() -> Iterator[Courier]:
    with closing(Courier()) as made:
        yield made


class Clock:
    """The database's time, as far as the sender sees it."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def office(courier: Courier, clock: Clock) -> PostOffice:
    return PostOffice(courier, clock=clock)


@pytest.fixture
def workspace() -> Workspace:
    return make_workspace()


def fail_once(workspace: Workspace, at: datetime, name: str = "nightly-reports") -> Any:
    alert = make_alert(make_rule(workspace, Severity.CRITICAL), name)
    tell(open_alert(alert, at), at)
    return alert


def state_of(channel: AlertChannel) -> AlertChannel:
    return AlertChannel.objects.get(pk=channel.pk)


def test_c01_a_failure_and_its_recovery_arrive_once_each_in_order(
    workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    with receiving_alerts() as receiver:
        channel = make_channel(workspace, url=receiver.url("/hook?token=t"))
        alert = fail_once(workspace, clock.now)
        office.send_due()
        clock.pass_s(60)
        office.send_due()
        tell(recover_alert(alert, clock.now), clock.now)
        office.send_due()
    opened, recovered = receiver.received
    assert (opened.path, opened.fields["content-type"]) == ("/hook?token=t", "application/json")
    assert opened.key == opened.told["syncproject"]["delivery"]
    assert opened.told["message"].endswith(f"\nDelivery {opened.key}")
    told = [one.told["syncproject"]["alerts"][0]["tell"] for one in receiver.received]
    assert told == ["opened", "recovered"]
    assert recovered.told["type"] == "success"
    row = state_of(channel)
    assert (row.state, row.last_delivery_at, row.last_result) == ("ok", clock.now, "delivered")
    assert AlertDeliveryTotal.objects.get(outcome="delivered").total == 2


def test_c04_a_channel_that_answers_500_three_times_gets_the_same_bytes_under_one_key(
    workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    replies = iter([Reply(500), Reply(503), Reply(500), Reply(200)])
    with receiving_alerts(lambda _: next(replies)) as receiver:
        channel = make_channel(workspace, url=receiver.url())
        fail_once(workspace, clock.now)
        for wait_s, count in ((0, 1), (29, 1), (1, 2), (119, 2), (1, 3), (599, 3), (1, 4)):
            clock.pass_s(wait_s)
            office.send_due()
            assert len(receiver.received) == count
            assert state_of(channel).state == ("ok" if count == 4 else "retrying")
        clock.pass_s(10_000)
        assert office.send_due() == 0
    assert len({(one.key, one.body) for one in receiver.received}) == 1
    assert AlertDeliveryTotal.objects.get(outcome="retried").total == 3


@pytest.mark.parametrize("status", [301, 302, 400, 401, 403, 404, 410])
def test_c04_what_no_wait_mends_breaks_the_channel_at_once_and_another_channel_tells_it(
    status: int, workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    elsewhere = {"Location": "http://127.0.0.1:1/"}
    with (
        receiving_alerts(lambda _: Reply(status, elsewhere)) as broken_one,
        receiving_alerts() as other_one,
    ):
        broken = make_channel(workspace, "ops", broken_one.url())
        make_channel(workspace, "other", other_one.url(), min_severity=Severity.CRITICAL)
        rule = make_rule(workspace)
        rule.channels.set([broken])
        alert = make_alert(rule)
        tell(open_alert(alert, clock.now), clock.now)
        clock.pass_s(30)
        office.send_due()
        row = state_of(broken)
        assert (row.state, row.broken_since) == (ChannelState.BROKEN, clock.now)
        assert str(status) in row.last_result
        [notice] = other_one.received
        assert notice.told["title"] == "[warning] alert channel ops is broken"
        assert str(status) in notice.told["message"]
        clock.pass_s(10_000)
        tell(recover_alert(alert, clock.now), clock.now)
        clock.pass_s(60)
        assert office.send_due() == 0
        assert len(other_one.received) == 1
        # A test that fails mends nothing; one that passes lets go what waited, in its order.
        assert not send_test(row).delivered
        assert office.send_due() == 0
        broken_one.answer = lambda _: Reply(200)
        test = send_test(row)
        assert (test.delivered, test.code, test.detail) == (True, "", "")
        office.send_due()
        opened, recovered = broken_one.received[-2:]
        assert opened.body == broken_one.received[0].body
        assert recovered.told["syncproject"]["alerts"][0]["tell"] == "recovered"
        assert state_of(broken).state == "ok"


def test_after_the_last_try_a_channel_is_broken(
    workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    with receiving_alerts(lambda _: Reply(500)) as receiver:
        channel = make_channel(workspace, url=receiver.url())
        fail_once(workspace, clock.now)
        for wait_s in (0, 30, 120, 600, 3_600):
            assert state_of(channel).state != "broken"
            clock.pass_s(wait_s)
            office.send_due()
    assert len(receiver.received) == 5
    assert state_of(channel).state == "broken"


def test_a_service_that_limits_us_is_asked_when_it_said(
    workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    replies = iter(
        [Reply(429, {"Retry-After": "7"}), Reply(429, {"Retry-After": "99999"}), Reply()]
    )
    with receiving_alerts(lambda _: next(replies)) as receiver:
        make_channel(workspace, url=receiver.url())
        fail_once(workspace, clock.now)
        for wait_s, count in ((0, 1), (6, 1), (1, 2), (3_599, 2), (1, 3)):
            clock.pass_s(wait_s)
            office.send_due()
            assert len(receiver.received) == count


@pytest.mark.parametrize("scheme", ["json", "gotify"])
def test_a_service_that_names_the_time_is_asked_at_that_time(
    scheme: str, workspace: Workspace, office: PostOffice, clock: Clock
) -> None:
    """By its own clock, whatever ours says."""
    told = {"Date": "Sat, 28 Nov 2020 10:00:00 GMT", "Retry-After": "Sat, 28 Nov 2020 10:00:07 GMT"}
    replies = iter([Reply(429, told), Reply(503, told), Reply(body=b'{"id": 1}')])
    with receiving_alerts(lambda _: next(replies)) as receiver:
        make_channel(workspace, url=f"{scheme}://127.0.0.1:{receiver.port}/token")
        fail_once(workspace, clock.now)
        for wait_s, count in ((0, 1), (6, 1), (1, 2), (6, 2), (1, 3)):
            clock.pass_s(wait_s)
            office.send_due()
            assert len(receiver.received) == count


class PressingClock(Clock):
    """More is to be told each time that the healthy host has heard what there was, while others still have the first."""

    def __init__(self, workspace: Workspace, healthy: AlertReceiver, most: int) -> None:
        super().__init__()
        self._workspace, self._healthy, self._most = workspace, healthy, most
        self.told = 0
        self.settled_before: list[int] = []  # how many channels had failed when it heard so many

    def __call__(self) -> datetime:
        if len(self._healthy.received) == self.told < self._most:
            failed = AlertChannel.objects.filter(state=ChannelState.RETRYING)
            self.settled_before.append(failed.count())
            self.pass_s(3)
            fail_once(self._workspace, self.now, f"job-{self.told}")
            self.told += 1
        return self.now


@contextmanager
def answering_by(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """A host that accepts; what it does then is the test's. Yields the URL of a channel."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=behave, args=(accepted,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"json://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()


def hang(accepted: socket.socket) -> None:
    with accepted:
        while accepted.recv(4096):
            pass


def drip(accepted: socket.socket) -> None:
    """A byte of its answer each second."""
    over = threading.Event()
    with accepted, suppress(OSError):
        for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 3_600:
            accepted.sendall(bytes([byte]))
            over.wait(1)


def test_hosts_that_hang_or_drip_delay_no_other(workspace: Workspace, courier: Courier) -> None:
    """The healthy one is told one thing after the other meanwhile."""
    with answering_by(hang) as hanging, answering_by(drip) as dripping, receiving_alerts() as quick:
        channels = [
            make_channel(workspace, "hanging", hanging),
            make_channel(workspace, "dripping", dripping),
        ]
        make_channel(workspace, "quick", quick.url())
        clock = PressingClock(workspace, quick, 4)
        fail_once(workspace, clock.now)
        clock.told = 1
        PostOffice(courier, clock=clock, within_s=8).send_due()
    assert len(quick.received) == 4
    assert clock.settled_before == [0, 0, 0]
    for channel in channels:
        row = state_of(channel)
        assert (row.state, row.last_result.partition(":")[0]) == ("retrying", "timed_out")


def test_many_hosts_that_hang_leave_room_for_the_others(
    workspace: Workspace, courier: Courier, clock: Clock
) -> None:
    """More than are sent to at once: those that failed before share half of the places."""
    released = threading.Event()

    def wait(_: Received) -> Reply:
        released.wait(60)
        return Reply()

    def release_after(receiver: AlertReceiver) -> None:
        receiver.wait_for(1)
        released.set()

    with receiving_alerts(wait) as slow, receiving_alerts() as quick:
        for number in range(AT_ONCE + 1):
            make_channel(workspace, f"slow-{number}", slow.url(), state=ChannelState.RETRYING)
        make_channel(workspace, "quick", quick.url())
        fail_once(workspace, clock.now)
        # The quick one must have its message while the others hang: only then they are let go.
        thread = threading.Thread(target=release_after, args=(quick,))
        thread.start()
        PostOffice(courier, clock=clock).send_due()
        thread.join()
    assert (len(quick.received), len(slow.received)) == (1, AT_ONCE + 1)
    assert not AlertMessage.objects.filter(ended_at=None).exists()


def test_what_only_waits_for_its_spacing_is_waited_for(
    workspace: Workspace, courier: Courier, clock: Clock
) -> None:
    """Beat would ask a second later. What waits for a group, or for an hour that is full, is left to beat."""
    waits: list[float] = []

    def pause(seconds: float) -> None:
        waits.append(seconds)
        clock.pass_s(seconds)

    with receiving_alerts() as receiver:
        make_channel(workspace, url=receiver.url())
        office = PostOffice(courier, clock=clock, pause=pause)
        for number in range(3):
            fail_once(workspace, clock.now, f"job-{number}")
            office.send_due()
            clock.pass_s(0.5)
        assert (len(receiver.received), waits) == (3, [1.5, 1.5])
        for number in range(3, 8):
            fail_once(workspace, clock.now, f"job-{number}")
        office.send_due()  # a flood
    assert (len(receiver.received), waits) == (3, [1.5, 1.5])


@pytest.mark.parametrize("scheme", ["json", "form", "gotify"])
def test_a_forbidden_address_is_not_connected_to_by_any_library(
    scheme: str, workspace: Workspace, office: PostOffice, clock: Clock, settings: Any
) -> None:
    with receiving_alerts() as receiver:
        url = f"{scheme}://localhost:{receiver.port}/token"
        channel = make_channel(workspace, url=url)
        fail_once(workspace, clock.now)
        settings.ALLOWED_NETWORKS = []
        office.send_due()
        row = state_of(channel)
        assert (row.state, row.last_result.partition(":")[0]) == ("broken", "forbidden_network")
        settings.ALLOWED_NETWORKS = ["127.0.0.0/8", "::1/128"]
        settings.OWN_LISTENERS = (("127.0.0.1", receiver.port),)
        assert send_test(row).code == "forbidden_network"
    assert receiver.received == []


def test_a_message_whose_sender_died_is_sent_again_when_the_lease_is_over(
    workspace: Workspace, courier: Courier, clock: Clock
) -> None:
    with receiving_alerts() as receiver:
        make_channel(workspace, url=receiver.url())
        fail_once(workspace, clock.now)
        dead = PostOffice(courier, clock=clock, lease_s=45)
        make_messages(clock.now)
        assert dead._claim_and_send() == 1  # and never looks at the receipt
        receiver.wait_for(1)
        with closing(Courier()) as other:
            second = PostOffice(other, clock=clock)
            assert second.send_due() == 0
            clock.pass_s(46)
            assert is_anything_due(clock.now)
            assert second.send_due() == 1
        while courier.sending_count:
            courier.wait(1)
    first, again = receiver.received
    assert (first.key, first.body) == (again.key, again.body)


def test_c09_a_test_is_a_real_message_that_says_so(workspace: Workspace) -> None:
    with receiving_alerts() as receiver:
        channel = make_channel(workspace, url=receiver.url())
        told = send_test(channel)
        [message] = receiver.received
        assert (told.delivered, told.code, str(told.delivery)) == (True, "", message.key)
        assert (message.told["type"], message.told["syncproject"]["reason"]) == ("info", "test")
        assert message.told["title"] == "[test] channel ops works"
        receiver.answer = lambda _: Reply(404)
        told = send_test(channel)
    assert (told.delivered, told.code) == (False, "not_found")
    assert "404" in told.detail
    assert told.took_s < 20
    assert "apprise" not in sys.modules


def test_secrets_of_a_url_are_in_no_result(
    workspace: Workspace, office: PostOffice, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "s3cr3tcanary"
    with ExitStack() as stack:
        refusing = stack.enter_context(receiving_alerts(lambda _: Reply(401, body=secret.encode())))
        for scheme in ("json", "form", "gotify", "mailto"):
            for port in (refusing.port, 1):
                place = f"127.0.0.1:{port}"
                make_channel(
                    workspace,
                    f"{scheme}-{port}",
                    f"{scheme}://u:{secret}@{place}/{secret}?to=a@example.org",
                )
        fail_once(workspace, clock.now)
        office.send_due()
    for channel in AlertChannel.objects.all():
        assert channel.last_result
        assert secret not in channel.last_result
    assert secret not in caplog.text


def test_old_messages_go_and_what_a_firing_alert_has_told_stays(
    workspace: Workspace, office: PostOffice
) -> None:
    long_ago = database_now() - timedelta(days=40)
    channel = make_channel(workspace, url="json://127.0.0.1:1/")
    rule = make_rule(workspace)
    firing, over = make_alert(rule, "firing"), make_alert(rule, "over")
    for alert in (firing, over):
        tell(open_alert(alert, long_ago), long_ago)
        make_messages(long_ago + timedelta(minutes=1))
        AlertMessage.objects.update(ended_at=long_ago, next_at=None)
    tell(recover_alert(over, long_ago), long_ago)  # the channel is never told: it waits too long
    assert drop_old_messages() == 2
    [kept] = AlertMessage.objects.filter(channel=channel)
    assert [note.alert for note in kept.notifications.all()] == [firing]
    now = database_now()
    tell(recover_alert(firing, now), now)
    assert Notification.objects.filter(message=None).count() == 1
