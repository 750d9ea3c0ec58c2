"""Streams in the console, with readings that go to a real client system."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse

from connectors.models import Connector
from connectors.reachability import find_connectivity
from connectors.secrets import seal
from console.configuration_changes import ConfigurationChange, iter_changes
from outbox.contacts import download_configuration
from outbox.delivery import deliver
from outbox.intake import take
from outbox.models import DeadLetter, Stream, StreamState, StreamTail
from syncjobs.leases.heart import Heart
from syncjobs.models import SyncJob
from tests.console.conftest import NASTY, Tenant
from tests.console.urls import add_to, list_of, page_of, press
from tests.outbox.hosts import KEY, Receiver, keys, running_receiver
from tests.outbox.rows import readings
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

Browser = Callable[[User], Client]


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def point_at(receiver: Receiver, stream: Stream) -> None:
    client = stream.client
    client.port = receiver.port
    client.options = {"tls": False, "timeout_s": 5}
    seal(client, {"token": KEY})
    client.save()


@pytest.fixture
def stream(acme: Tenant, receiver: Receiver) -> Stream:
    point_at(receiver, acme.stream)
    return acme.stream


def send(stream: Stream) -> None:
    for _ in range(20):
        StreamTail.objects.filter(pk=stream.pk).update(not_before=None)
        deliver(stream.pk, Heart("test"))


def page_named(stream: Stream, name: str, *args: object) -> str:
    return reverse(f"admin:outbox_stream_{name}", args=[stream.pk, *args])


def text_of(client: Client, page: str) -> str:
    answer = client.get(page)
    assert answer.status_code == 200, page
    return answer.content.decode()


def test_the_list_and_the_page_tell_what_waits_and_what_went_out(
    stream: Stream, root: Client
) -> None:
    take(stream, readings(*range(1234)))
    listed = text_of(root, list_of(Stream))
    assert "1,234" in listed
    assert "unknown" in listed
    send(stream)
    listed = text_of(root, list_of(Stream))
    assert "1,234" not in listed
    assert "online" in listed
    for page in (page_of(stream), page_named(stream, "live"), page_named(stream, "deliveries")):
        text = text_of(root, page)
        assert "1–1000" in text  # noqa: RUF001 — as a range is written
        assert "1001–1234" in text  # noqa: RUF001
    assert "1,234" in text_of(root, page_named(stream, "live"))


def test_a_stream_is_stopped_started_and_hurried_from_its_page(
    stream: Stream, root: Client
) -> None:
    take(stream, readings(1))
    assert press(stream, "stop") in text_of(root, page_of(stream))
    root.post(press(stream, "stop"))
    stream.refresh_from_db()
    assert stream.state == StreamState.STOPPED
    told = root.post(press(stream, "sync"), follow=True).content.decode()
    assert "start it first" in told
    assert press(stream, "stop") not in text_of(root, page_of(stream))
    root.post(press(stream, "start"))
    stream.refresh_from_db()
    assert stream.state == StreamState.RUNNING
    assert "begins at once" in root.post(press(stream, "sync"), follow=True).content.decode()
    send(stream)
    assert "Nothing waits" in root.post(press(stream, "sync"), follow=True).content.decode()


def test_a_pause_is_told_with_its_reason(stream: Stream, receiver: Receiver, root: Client) -> None:
    receiver.control(status=403)
    take(stream, readings(1))
    send(stream)
    text = text_of(root, page_of(stream))
    assert "Paused:" in text
    assert "403" in text


def test_dead_letters_are_sent_again_one_edited_and_all(
    stream: Stream, receiver: Receiver, root: Client
) -> None:
    receiver.control(reject=dict.fromkeys(keys(1, 2, 3), NASTY), times=1)
    take(stream, readings(*range(5)))
    send(stream)
    page = page_named(stream, "dead_letters")
    text = text_of(root, page)
    assert all(key in text for key in keys(1, 2, 3))
    assert NASTY not in text
    assert "3" in text_of(root, list_of(Stream))

    first, second, third = DeadLetter.objects.order_by("pk")
    redrive = page_named(stream, "redrive")
    assert "1 reading is" in root.post(redrive, {"letter": first.pk}, follow=True).content.decode()
    assert (
        "sent again already"
        in root.post(redrive, {"letter": first.pk}, follow=True).content.decode()
    )

    edit = page_named(stream, "dead_letter", second.pk)
    assert "&quot;value&quot;: 2" in text_of(root, edit)
    for wrong in ("{", "[1]", '{"value": NaN}', '{"value": 1e400}'):
        answer = root.post(edit, {"payload": wrong})
        assert answer.status_code == 200, wrong
        assert 'role="alert"' in answer.content.decode()
    assert root.post(edit, {"payload": '{"value": 22}'}).status_code == 302
    assert root.get(edit).status_code == 404

    assert "1 reading is" in root.post(redrive, follow=True).content.decode()
    third.refresh_from_db()
    assert third.redriven_at is not None
    assert not DeadLetter.objects.filter(redriven_at=None).exists()
    send(stream)
    assert sorted(receiver.keys) == keys(*range(5))
    assert receiver.taken["doubles"] == 0
    assert "None: the client system" in text_of(root, page)


def test_a_dead_letter_that_may_have_been_delivered_says_so(acme: Tenant, root: Client) -> None:
    for number, maybe in ((1, True), (2, False)):
        DeadLetter.objects.create(
            stream=acme.stream, seq=number, key=f"k-{number}", payload="{}", batch_id=acme.stream.pk,
            maybe_delivered=maybe,
        )  # fmt: skip
    text = text_of(root, page_named(acme.stream, "dead_letters"))
    assert text.count("may have been delivered: a try") == 1
    assert text.count("Send it again?") == 1


def test_configurations_show_what_differs_and_why_one_was_refused(
    stream: Stream, receiver: Receiver, root: Client
) -> None:
    def give(said: dict[str, object]) -> None:
        receiver.ask("/configuration", said)
        told = root.post(press(stream, "configuration"), follow=True).content.decode()
        assert "Downloaded." in told

    page = page_named(stream, "configurations")
    assert "None was downloaded yet" in text_of(root, page)
    give({"batch_size": 100, "limits": {"low": 1, "high": 5}})
    give({"batch_size": 200, "limits": {"low": 1, "high": 7}, "note": NASTY})
    text = text_of(root, page)
    assert "What differs from version 1" in text
    assert "limits.high" in text
    assert "limits.low" not in text
    assert NASTY not in text
    stream.refresh_from_db()
    assert stream.batch_size == 200

    Stream.objects.filter(pk=stream.pk).update(
        configuration_schema={"type": "object", "required": ["batch_size"]}
    )
    give({"limits": {}})
    text = text_of(root, page)
    assert "It is not used:" in text
    assert "batch_size" in text
    assert "What differs from version 2" in text
    assert "What differs from version 1" in text_of(root, f"{page}?version=2")
    assert "current" in text_of(root, f"{page}?version=2")
    receiver.control()


def test_a_download_that_fails_keeps_what_was_there(
    stream: Stream, receiver: Receiver, root: Client
) -> None:
    download_configuration(stream)
    client = stream.client
    client.options |= {"paths.config": "/nowhere", "paths.heartbeat": "/nowhere"}
    client.save()
    told = root.post(press(stream, "configuration"), follow=True).content.decode()
    assert "was not downloaded: the client system answered 404" in told
    text = text_of(root, page_named(stream, "configurations"))
    assert "The last look failed" in text
    assert "Version 1" in text
    told = root.post(press(stream, "heartbeat"), follow=True).content.decode()
    assert "The heartbeat did not arrive" in told


def test_a_new_stream_goes_to_a_client_system_of_its_own_workspace(
    acme: Tenant, lab: Tenant, root: Client, browser_of: Browser
) -> None:
    browser = browser_of(acme.people[Role.ADMIN])
    form = text_of(browser, add_to(Stream))
    assert "acme-meters" in form
    assert "acme-host" not in form  # of another kind
    assert "lab-meters" not in form
    fields = {
        "workspace": str(acme.workspace.pk), "name": "new", "client": str(acme.stream.client_id),
        "batch_size": "50", "sync_interval_s": "60", "max_queued": "1000", "heartbeat_interval_s": "0",
        "configuration_interval_s": "0", "configuration_schema": "",
    }  # fmt: skip
    assert browser.post(add_to(Stream), fields).status_code == 302
    made = Stream.objects.get(name="new")
    assert (made.batch_size, made.configuration_schema) == (50, None)
    assert made.head.next_seq == 1

    wrong: list[tuple[dict[str, str], str]] = [
        ({"client": str(acme.connector.pk)}, "Select a valid choice"),
        ({"client": str(lab.stream.client_id)}, "belongs to another workspace"),
        ({"configuration_schema": '{"type": 7}'}, "no JSON Schema"),
        ({"configuration_schema": "[]"}, "give an object"),
        ({"name": "acme-stream"}, "already exists"),
        ({"batch_size": "10001"}, "less than or equal to 10000"),
    ]
    for changed, words in wrong:
        answer = root.post(add_to(Stream), {**fields, "name": "other", **changed})
        assert answer.status_code == 200, changed
        assert words in answer.content.decode(), changed
    answer = root.post(
        page_of(made), {**fields, "batch_size": "70", "client": str(lab.stream.client_id)}
    )
    assert "Select a valid choice" in answer.content.decode()
    assert root.post(page_of(made), {**fields, "batch_size": "70"}).status_code == 302
    made.refresh_from_db()
    assert made.batch_size == 70


def test_a_viewer_sees_a_stream_and_an_operator_does_not_configure_it(
    acme: Tenant, browser_of: Browser
) -> None:
    letter = DeadLetter.objects.create(
        stream=acme.stream, seq=1, key="k-1", payload="{}", batch_id=acme.stream.pk
    )
    viewer = browser_of(acme.people[Role.VIEWER])
    operator = browser_of(acme.people[Role.OPERATOR])
    redrive = page_named(acme.stream, "redrive")
    edit = page_named(acme.stream, "dead_letter", letter.pk)
    assert redrive not in text_of(viewer, page_named(acme.stream, "dead_letters"))
    assert redrive in text_of(operator, page_named(acme.stream, "dead_letters"))
    assert viewer.post(redrive).status_code == 403
    assert viewer.get(edit).status_code == 403
    assert text_of(operator, edit)
    assert press(acme.stream, "stop") not in text_of(viewer, page_of(acme.stream))
    for browser in (viewer, operator):
        assert 'name="batch_size"' not in text_of(browser, page_of(acme.stream))
        assert browser.get(add_to(Stream)).status_code == 403
        assert browser.post(page_of(acme.stream), {"batch_size": "7"}).status_code == 403


def test_a_stream_with_unsent_readings_is_not_deleted(
    stream: Stream, receiver: Receiver, root: Client
) -> None:
    take(stream, readings(1, 2))
    page = page_of(stream).replace("change", "delete")
    assert "2 unsent readings of acme-stream" in text_of(root, page)
    root.post(page, {"post": "yes"})
    assert Stream.objects.filter(pk=stream.pk).exists()
    send(stream)
    root.post(page, {"post": "yes"})
    assert not Stream.objects.filter(pk=stream.pk).exists()


def test_a_stream_is_deleted_with_its_unsent_readings_by_who_types_their_count(
    stream: Stream, acme: Tenant, root: Client, browser_of: Browser
) -> None:
    take(stream, readings(1, 2))
    page = page_named(stream, "discard")
    assert page in text_of(root, page_of(stream).replace("change", "delete"))
    assert "2 readings were not sent yet" in text_of(root, page)
    for count in ("1", "", "two", "-2"):
        assert root.post(page, {"count": count}).status_code == 200
    take(stream, readings(3))
    assert (
        "3 readings are unsent by now, and not 2"
        in root.post(page, {"count": "2"}).content.decode()
    )
    operator = browser_of(acme.people[Role.OPERATOR])
    assert operator.get(page).status_code == operator.post(page, {"count": "3"}).status_code == 403
    assert Stream.objects.filter(pk=stream.pk).exists()
    assert root.post(page, {"count": "3"}).status_code == 302
    assert not Stream.objects.filter(pk=stream.pk).exists()


def test_a_connector_that_a_stream_sends_to_is_not_deleted(acme: Tenant, root: Client) -> None:
    client = acme.stream.client
    page = page_of(client).replace("change", "delete")
    assert "1 stream" in text_of(root, page)
    root.post(page, {"post": "yes"})
    assert Connector.objects.filter(pk=client.pk).exists()


def test_a_client_system_is_no_source_of_a_sync_job(acme: Tenant, root: Client) -> None:
    assert "acme-meters" not in text_of(root, add_to(SyncJob))
    assert "acme-meters" not in text_of(root, page_of(acme.job))
    client = acme.stream.client
    fields = {
        "name": client.name, "host": client.host, "port": "9", "status": "active", "sync_interval_s": "60",
        "option_auth": "header", "auto_sync": "on",
    }  # fmt: skip
    answer = root.post(page_of(client), fields)
    assert answer.status_code == 200
    assert "No job can sync from a connector of kind client" in answer.content.decode()


def test_a_connectors_page_tells_whether_its_far_end_can_be_reached(
    stream: Stream, receiver: Receiver, root: Client
) -> None:
    client = stream.client
    assert "nothing was heard yet" in text_of(root, page_of(client))
    told = root.post(press(client, "check"), follow=True).content.decode()
    assert "can be reached" in told
    assert "online for" in told
    Connector.objects.filter(pk=client.pk).update(port=9)
    for _ in range(2):
        told = root.post(press(client, "check"), follow=True).content.decode()
    assert "cannot be reached" in told
    assert "offline for" in told
    fragment = text_of(root, reverse("admin:connectors_connector_connectivity", args=[client.pk]))
    assert 'data-state="offline"' in fragment
    assert "Failures in a row" in fragment

    root.post(press(client, "unwatch"))
    assert not find_connectivity(client).watch
    assert "not watched" in text_of(root, page_of(client))
    root.post(press(client, "watch"))
    assert find_connectivity(client).watch


def test_a_connection_test_of_a_client_system_shows_its_own_stages(
    stream: Stream, root: Client
) -> None:
    told = root.post(press(stream.client, "test"), follow=True).content.decode()
    assert "the connection test passed" in told
    assert "Find the path of readings" in told
    assert "Read a file" not in told


def test_changes_are_told_leaf_by_leaf() -> None:
    before = {"a": 1, "b": {"c": [1, 2], "d": "x"}, "gone": None}
    after = {"a": True, "b": {"c": [1, 3], "d": "x"}, "new": {"e": "ä"}}
    assert list(iter_changes(before, after)) == [
        ConfigurationChange("a", "1", "true"),
        ConfigurationChange("b.c[1]", "2", "3"),
        ConfigurationChange("gone", "null", None),
        ConfigurationChange("new", None, json.dumps({"e": "ä"}, ensure_ascii=False)),
    ]
    assert list(iter_changes(before, before)) == []
