"""Connectors of kind client in REST: their options, what hangs on them, connectivity, and metrics of streams."""

from __future__ import annotations

import pytest
from django.test import Client

from outbox.intake import take
from outbox.models import Stream, StreamState
from tests.api.asking import asker
from tests.outbox.rows import make_client, make_stream, readings
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


def test_options_in_groups_are_told_in_a_way_that_put_takes() -> None:
    admin = asker(Role.ADMIN)
    body = {
        "name": "c", "kind": "client", "host": "client.example.com",
        "options": {"paths": {"batch": "/b", "digest": "/d"}, "paths.health": "/up"},
    }  # fmt: skip
    made = admin.post("connectors", body)
    assert made.status_code == 201, made.content
    told = made.json()
    assert told["options"] == {"paths": {"batch": "/b", "digest": "/d", "health": "/up"}}
    put = admin._send("PUT", "connectors/c", told, {})
    assert (put.status_code, put.json()["options"]) == (200, told["options"])
    patched = admin.patch("connectors/c", {"options": {"paths": {"digest": None}, "base": "/api"}})
    assert (patched.status_code, patched.json()["options"]) == (
        200,
        {"base": "/api", "paths": {"batch": "/b", "health": "/up"}},
    )
    wrong = admin.patch("connectors/c", {"options": {"paths": {"batch": "no-slash"}}})
    assert (wrong.status_code, list(wrong.json()["errors"])) == (400, ["options.paths.batch"])


def test_no_job_syncs_from_a_client_system() -> None:
    admin, client = asker(Role.ADMIN), make_client()
    refused = admin.post("sync-jobs", {"name": "j", "connector": client.name})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["connector"])
    refused = admin.patch(f"connectors/{client.name}", {"auto_sync": True})
    assert (refused.status_code, list(refused.json()["errors"])) == (400, ["auto_sync"])


def test_a_client_system_with_streams_is_not_deleted() -> None:
    admin, stream = asker(Role.ADMIN), make_stream(name="meters")
    refused = admin.delete(f"connectors/{stream.client.name}")
    assert (refused.status_code, "meters" in refused.json()["detail"]) == (409, True)


def test_connectivity_is_watched_checked_and_told_of() -> None:
    admin = asker(Role.ADMIN)
    client = make_client(port=1, options={"tls": False})
    path = f"connectors/{client.name}/connectivity"
    told = admin.get(path).json()
    assert (told["is_connected"], told["watch"], told["uptime"]) == (None, True, 0)
    assert admin.patch(path, {"watch": False}).json()["watch"] is False
    assert admin.patch(path, {"watch": "no"}).status_code == 400
    for failures in (1, 2):
        told = admin.post(f"{path}/check").json()
        assert told["consecutive_failures"] == failures
    assert (told["is_connected"], told["watch"]) == (False, False)
    events = admin.items(f"{path}/events")
    assert [event["event"] for event in events] == ["disconnected", "state-change"]
    assert admin.get(path).json()["last_failed_connection"]


def test_metrics_tell_of_streams_by_name() -> None:
    stream = make_stream(name="meters")
    take(stream, readings(1, 2, 3))
    Stream.objects.update(state=StreamState.PAUSED)
    token = asker().token
    text = Client().get("/metrics", headers={"Authorization": f"Bearer {token}"}).content.decode()
    label = 'stream="meters",workspace="acme"'
    assert f"outbox_readings_queued{{{label}}} 3.0" in text
    assert f"outbox_stream_paused{{{label}}} 1.0" in text
    assert f"outbox_dead_letters{{{label}}} 0.0" in text
    for outcome in ("delivered", "rejected", "split", "retried", "unreachable", "paused"):
        assert f'outbox_deliveries_total{{outcome="{outcome}",{label}}} 0.0' in text
    assert "outbox_oldest_reading_seconds{" in text
